"""`ancestral fit`: train a model, save it, and say how good it is."""

import inspect
import shlex
import warnings
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from ancestral.cli.parsing import add_signature, keywords, merged, parse, split_dotted, teach
from ancestral.cli.sources import add_data_flags, load, source
from ancestral.cli.terminal import console, resuming
from ancestral.cli.wording import in_flags
from ancestral.comparison import quick_training
from ancestral.data import Data, data_options, list_data
from ancestral.evaluation import (
    Alignment,
    ErrorRate,
    HeldOutLoss,
    Measure,
    Reconstruction,
    SampleQuality,
    StageShares,
    count_parameters,
    evaluate,
    measures,
    takes_class,
)
from ancestral.interface import (
    BoundedDensity,
    Completer,
    Encoder,
    ExactDensity,
    InputError,
    Model,
    Sampler,
    Translator,
    Unpaired,
)
from ancestral.output import counted, describe
from ancestral.persistence import CONFIG, read_config, save
from ancestral.plots import kind_of
from ancestral.registry import build, find_model, model_names, quick_settings, supports
from ancestral.reproduction import load_recipe
from ancestral.training import TrainingDiverged, fit, training_arguments
from ancestral.training.run_folder import check_run_dir, leads, replacing

#: What the command line has flags of its own for.
_OWN = ("model", "data", "run_dir", "resume", "recipe")
#: Fewer rows than these are warned of.
_FEW_TRAINING, _FEW_VALIDATION = 50, 10
#: Of each measure but the likelihood, which is named after its split.
_NAMES: dict[type, str] = {
    SampleQuality: "samples",
    Reconstruction: "reconstruction",
    ErrorRate: "classes",
    Alignment: "alignment",
    StageShares: "stages",
    HeldOutLoss: "loss",
}
_TEACHES = """Writes the model and its scores to a folder, which all commands with RUN take. Without a recipe the
model's own settings for such data are taken, and it is trained as `ancestral compare` trains it, for 20 epochs; flags
override them one by one, and with MODEL and DATA on the line --help shows the settings of the model and the defaults
that apply. A run that is interrupted goes on, exactly, with --resume."""


def run(arguments: Sequence[str], parser: ArgumentParser) -> int:
    words, dotted = split_dotted(arguments, ("data", "optimizer", "schedule", "lr"))
    options = dotted.pop("data", {})
    model_name = _model_among(words)
    _add_flags(parser, model_name)
    if {"-h", "--help"} & set(words):
        _show_defaults(parser, words, model_name, options)
    args = parse(parser, words)
    recipe = load_recipe(args.recipe) if args.recipe else None
    if recipe and model_name != recipe.model:
        raise InputError(f"the recipe {recipe.name} is for {recipe.model}, not for {args.name}")
    folder = Path(args.run_dir or f"runs/{Path(args.data).stem or 'data'}-{args.name}".replace("_", "-"))
    named = source(args, options)
    data_options(named["name"], named.get("data_root"))  # raises where there are no such data
    if args.run_dir is None:
        _check_data_of_run(folder, named["name"])
    check_run_dir(folder, resume=args.resume, overwrite=args.overwrite)
    data = load(named)
    if isinstance(find_model(args.name).batching, Unpaired) and data.domains is None and len(data.classes or ()) == 2:
        # A folder for each of two domains looks like one for each of two classes.
        named["domains"] = list(data.classes or ())
        data = data.with_domains(named["domains"])
    if reason := supports(args.name, data.event, data.context_event):
        raise InputError(
            f"{args.name} does not support {data.name} ({describe(data.event, data.context_event)}): {reason}"
        )
    own = recipe.model_settings if recipe else quick_settings(args.name, data.event).model
    training = recipe.training if recipe else quick_training(args.name, data.event)
    settings = {**own, **keywords(parser, words, find_model(args.name), nested="model")}
    given = keywords(parser, words, fit, skip=_OWN)
    if {"optimizer", "lr"} & {*given, *dotted}:  # an optimizer that is named has a rate of its own
        training = {key: value for key, value in training.items() if key != "lr"}
    how = training_arguments(merged({**training, **given}, dotted))
    torch.manual_seed(how.get("seed", args.seed))
    try:
        model = build(args.name, data, **settings)
    except InputError as error:
        raise InputError(in_flags(str(error), inspect.signature(find_model(args.name)).parameters)) from error
    # With several devices this command runs once for each; the first one speaks and saves.
    screen = console() if leads() else Console(quiet=True)
    _introduce(screen, model, data)
    if leads():
        _warn_of_few_rows(data)
        _warn_of_another_purpose(args.name, named, data)
    command = shlex.join(["ancestral", "fit", *arguments])
    remembered: dict[str, Any] = {
        "command": command,
        "data": named,
        "data_digest": data.digests,
        **data.meaning,
        "fit": {key: _plain(value) for key, value in how.items()},
    }
    with replacing(folder, overwrite=args.overwrite):
        try:
            report = fit(model, data, run_dir=folder, resume=args.resume, **how)
        except TrainingDiverged as error:
            if leads() and error.trained:
                save(model, folder, recipe=remembered)
                raise TrainingDiverged(f"{error}; saved in {folder}") from None
            raise
    if not leads():
        return 0
    if report.interrupted:
        screen.print(f"{report}\ninterrupted; go on with:\n  {resuming(command)}", soft_wrap=True)
        return 130
    if report.done_before and (folder / CONFIG).exists():
        screen.print(
            f"{report}\nthe run in {folder} is finished: nothing of its budget is left; where it began with --schedule"
            " constant a larger one goes on",
            soft_wrap=True,
        )
        return 0
    save(model, folder, recipe=remembered, weights=report.weights)
    screen.print(str(report), soft_wrap=True)
    save(model, folder, recipe=remembered, scores=_scores(screen, model, data), weights=report.weights)
    form = "txt" if "vocabulary" in remembered else "csv" if data.schema is not None else "png"
    _conclude(screen, model, data, folder, form)
    return 0


def _add_flags(parser: ArgumentParser, model_name: str | None) -> None:
    parser.usage = "ancestral fit MODEL DATA [options]"
    teach(parser, _TEACHES)
    parser.add_argument("name", metavar="MODEL", help="its name; `ancestral models` lists them")
    parser.add_argument("data", metavar="DATA", help="a built-in name or a path; its options as --data.NAME VALUE")
    parser.add_argument("--recipe", metavar="R", help="a shipped recipe or a YAML file; flags override what it says")
    parser.add_argument("--run-dir", metavar="D", help="the folder of the run (default: runs/DATA-MODEL)")
    parser.add_argument(
        "--resume", action="store_true", help="go on where an interrupted run stopped: same model, same data"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a run that is already there")
    add_data_flags(parser)
    add_signature(parser, fit, "training", skip=_OWN)
    if model_name is not None:
        hidden = ("event", "context_event")
        add_signature(parser, find_model(model_name), f"settings of {model_name}", skip=hidden, nested="model")


def _show_defaults(
    parser: ArgumentParser, words: Sequence[str], model_name: str | None, options: Mapping[str, Any]
) -> None:
    """Let the help name the defaults that apply: the model's own for such data, where both are named and at hand."""
    names = [word for word in words if not word.startswith("-")]
    if model_name is None or len(names) < 2:
        return
    at_hand = Path(names[1]).exists() or any(info.name == names[1] and info.available for info in list_data())
    if not at_hand:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            event = load({"name": names[1], **options}).event
    except InputError:
        return
    own = {f"model.{key}": value for key, value in quick_settings(model_name, event).model.items()}
    parser.set_defaults(**own, **quick_training(model_name, event))


def _model_among(arguments: Sequence[str]) -> str | None:
    """The model's name on the command line: its settings become flags. None where only help is asked for."""
    known = model_names()
    words = [word for word in arguments if not word.startswith("-")]
    for word in words:
        if word.replace("-", "_") in known:
            return word.replace("-", "_")
    if words:
        find_model(words[0])  # raises with the nearest name
    return None


def _check_data_of_run(folder: Path, name: str) -> None:
    """Refuse the folder that data are given by default where it holds a run on others: x.npy and x.npz have one."""
    try:
        recipe = read_config(folder)["recipe"] if (folder / CONFIG).exists() else None
    except InputError:  # damaged, which is for others to say
        return
    before = ((recipe or {}).get("data") or {}).get("name", name)
    is_moved = Path(before).is_absolute() and not Path(before).exists()
    if before != name and not is_moved:
        raise InputError(f"{folder} holds a run on {before}, not on {name}; name another folder with --run-dir")


def _warn_of_few_rows(data: Data) -> None:
    few = {"training": (data.train, _FEW_TRAINING), "validation": (data.valid, _FEW_VALIDATION)}
    found = [counted(len(split), f"{name} row") for name, (split, enough) in few.items() if len(split) < enough]
    if found:
        warnings.warn(
            f"{data.name} has only {' and '.join(found)}: much of the result is up to chance",
            stacklevel=1,
        )


def _warn_of_another_purpose(model_name: str, named: Mapping[str, Any], data: Data) -> None:
    """Say so where the data are not taken as the model is made for: it would train, as something else."""
    known = ["context", *data_options(named["name"], named.get("data_root"))]
    for key, value in find_model(model_name).made_for.items():
        if key not in known or key in named:
            continue
        lacking = key == "context" and value not in data.contexts
        why = f"{data.name} does not have" if lacking else "is not given"
        warnings.warn(f"{model_name} is made for {key}={value}, which {why}: it learns without", stacklevel=1)


def _introduce(screen: Console, model: Model, data: Data) -> None:
    on = describe(model.event, model.context_event)
    screen.print(f"[bold]{model.registered_name}[/]: {count_parameters(model):,} parameters, on {on}", soft_wrap=True)
    screen.print(
        f"[bold]{data.name}[/]: {len(data.train):,} training, {len(data.valid):,} validation and {len(data.test):,}"
        f" test rows{f' ({data.note})' if data.note else ''}",
        soft_wrap=True,
    )


def _scores(screen: Console, model: Model, data: Data) -> dict[str, Any]:
    """What `ancestral evaluate` measures, and of a density the validation as well; as JSON."""
    found: list[tuple[str, str, Measure]] = []
    if isinstance(model, ExactDensity | BoundedDensity):
        found.append(("valid", "valid", evaluate(model, data.valid)))
    found += [(_NAMES.get(type(score), split), split, score) for split, score in measures(model, data)]
    for name, split, score in found:
        label = name if name == split else f"{name} ({split})"
        for line in str(score).splitlines():
            screen.print(f"{label + ':':7} {line}", soft_wrap=True)
    return {name: asdict(score) for name, _, score in found}


def _conclude(screen: Console, model: Model, data: Data, folder: Path, form: str) -> None:
    screen.print(f"saved in [bold]{folder}[/]; next:")
    named = shlex.quote(str(folder))
    if isinstance(model, Translator):
        screen.print(f"  ancestral translate {named} --to {shlex.quote(model.domains[1])}", soft_wrap=True)
        return
    if isinstance(model, Sampler):
        label = " --class all" if takes_class(model.context_event) else ""
        if data.context == "captions" and data.train.captions is not None:
            shortest = data.train.captions[int(data.train.captions.ne(0).sum(1).argmin())]
            label = f" --caption {shlex.quote(data.text(shortest))}"
        if model.context_event is not None and kind_of(model.context_event) == "images":
            how = "-n 8 --each 4 -o samples.png"
        elif kind_of(model.event) == "videos":
            how = "-n 8 -o samples.gif"
        else:
            how = f"-n 64 -o samples.{form}"
        screen.print(f"  ancestral sample {named}{label} {how}", soft_wrap=True)
    if isinstance(model, Sampler | Encoder):
        screen.print(f"  ancestral {'evaluate' if isinstance(model, Sampler) else 'encode'} {named}", soft_wrap=True)
    elif form == "txt":
        screen.print(f"  ancestral words {named} --nearest WORD", soft_wrap=True)
    else:
        if isinstance(model, Completer):
            screen.print(f"  ancestral complete {named} --keep outside -o completed.png", soft_wrap=True)
        if len(data.classes or ()) > 1 and data.train.y is not None:
            labels = min(100, int((data.train.y >= 0).sum()))
            screen.print(f"  ancestral probe {named} --labels {labels}", soft_wrap=True)
        screen.print(f"  ancestral evaluate {named}", soft_wrap=True)


def _plain(value: Any) -> Any:
    """A setting as JSON: optimizers and schedules as what they print as."""
    return value if isinstance(value, str | int | float | bool | None) else repr(value)
