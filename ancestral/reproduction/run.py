"""`reproduce`: train by a recipe and measure, or draw a figure; the ledger and a picture say what came out."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from ancestral import environment
from ancestral.data import Data, load_data
from ancestral.evaluation import count_parameters
from ancestral.interface import InputError, Model
from ancestral.output import check_output
from ancestral.persistence import CHECKPOINT, CONFIG, load, read_config, save, saved_in
from ancestral.plots import save_figure
from ancestral.reproduction.figure import FigureRecipe, load_result, seeded_build
from ancestral.reproduction.ledger import LedgerEntry
from ancestral.reproduction.measurement import Measurement, Trained
from ancestral.reproduction.measures import baselines, check_recipe, measured, rivals
from ancestral.reproduction.pictures import picture
from ancestral.reproduction.recipes import Recipe, StatedResult, load_recipe
from ancestral.training import Report, fit, training_arguments
from ancestral.training.run_folder import check_run_dir, replacing


@dataclass(frozen=True)
class Outcome:
    """A stated result from one seed; `seconds` are of its training and measuring."""

    result: StatedResult
    seed: int
    measurement: Measurement
    picture: Callable[[], Figure]
    seconds: float
    #: The model of a recipe; a figure trains what it needs and keeps nothing.
    trained: Trained | None = None


class Interrupted(KeyboardInterrupt):
    """A training was interrupted; `reproduce(..., resume=True)` goes on with it."""


def reproduce(
    name: str | Path,
    *,
    results_dir: str | Path = "results",
    runs_dir: str | Path = "runs",
    seeds: Sequence[int] = (0,),
    minutes: float | None = None,
    resume: bool = False,
    overwrite: bool = False,
    data_root: str | Path | None = None,
    progress: bool = True,
    command: str | None = None,
    on_start: Callable[[StatedResult, int], None] | None = None,
    on_end: Callable[[Outcome], None] | None = None,
) -> LedgerEntry:
    """Train by a recipe and measure on the test split, or draw a figure: `NAME.json` and `NAME.png` in `results_dir`.

    Args:
        name: a recipe (`list_recipes()`) or a figure (`list_figures()`) of the package, or the path of a YAML file.
        results_dir: the folder of the ledger.
        runs_dir: the folder of the runs `reproduce-NAME` of recipes, each with its model and checkpoint. The run of a
            recipe that is a baseline is taken from there, or made there first.
        seeds: one training for each; the ledger has their mean, never their best.
        minutes: end each training of a recipe earlier; the entry says so.
        resume: go on with runs of a recipe that were interrupted.
        overwrite: replace the runs of an earlier time.
        data_root: where the data lie.
        progress: show progress on stderr.
        command: what the entry says it was made by; by default this call.
        on_start: called before each training with the recipe or figure and the seed.
        on_end: called after each with what came out.

    Raises:
        InputError: before any training, if there is no such recipe, or it asks for what there is not.
        Interrupted: by Ctrl-C or SIGTERM, when the run can be gone on with.
    """
    if isinstance(seeds, int) or not seeds or not all(isinstance(seed, int) and seed >= 0 for seed in seeds):
        raise InputError(f"seeds must be one or more whole numbers from 0 on, as (0, 1, 2), got {seeds!r}")
    result = load_result(name)
    image = check_output(Path(results_dir) / f"{result.name}.png", (".png",))
    seeds = list(dict.fromkeys(seeds))
    if isinstance(result, FigureRecipe):
        if minutes is not None or resume:
            raise InputError(f"{result.name} is a figure, made in one go: leave minutes and resume out")
        outcome_of: Callable[[int], Outcome] = partial(_drawn, result, data_root=data_root, progress=progress)
    else:
        assert isinstance(result, Recipe)
        outcome_of = _trainer(result, seeds, Path(runs_dir), minutes, resume, overwrite, data_root, progress)
    outcomes = []
    for seed in seeds:
        if on_start is not None:
            on_start(result, seed)
        outcome = outcome_of(seed)
        if on_end is not None:
            on_end(outcome)
        outcomes.append(outcome)
    remarks = [] if minutes is None else [f"not the recipe's own run: ended after {minutes:g} minutes"]
    more = "" if minutes is None else f", minutes={minutes:g}"
    call = command or f"an.reproduce({str(name)!r}, seeds={tuple(seeds)}{more})"
    entry = _ledger_entry(outcomes, call, remarks)
    save_figure(outcomes[0].picture(), image)
    entry.write(Path(results_dir))
    return entry


def _drawn(figure: FigureRecipe, seed: int, *, data_root: str | Path | None, progress: bool) -> Outcome:
    started = time.perf_counter()
    drawn = figure.draw(seed=seed, data_root=data_root, progress=progress)
    return Outcome(figure, seed, drawn.measurement, lambda: drawn.picture, time.perf_counter() - started)


def _trainer(
    recipe: Recipe,
    seeds: Sequence[int],
    runs_dir: Path,
    minutes: float | None,
    resume: bool,
    overwrite: bool,
    data_root: str | Path | None,
    progress: bool,
) -> Callable[[int], Outcome]:
    """What trains by the recipe from a seed, once all is found in order for every seed."""
    check_recipe(recipe)
    folders = {seed: _folder(runs_dir, recipe, seed) for seed in seeds}
    for name in rivals(recipe):
        _check_rival(load_recipe(name), runs_dir)
    resumed = {seed: resume and (folder / CHECKPOINT).exists() for seed, folder in folders.items()}
    for seed, folder in folders.items():
        check_run_dir(folder, resume=resumed[seed], overwrite=overwrite)
    first = load_data(recipe.data, **{"data_root": data_root, **_data_options(recipe, seeds[0])})

    def outcome_of(seed: int) -> Outcome:
        options = _data_options(recipe, seed)
        same = options == _data_options(recipe, seeds[0])
        data = first if same else load_data(recipe.data, **{"data_root": data_root, **options})
        others = {}
        for name in rivals(recipe):
            rival = load_recipe(name)
            told = rival.data_options == recipe.data_options
            theirs = data if told else load_data(rival.data, **{"data_root": data_root, **rival.data_options})
            others[name] = _rival(rival, theirs, runs_dir, progress)
        with replacing(folders[seed], overwrite=overwrite):
            return _trained(recipe, data, seed, folders[seed], minutes, resumed[seed], progress, others)

    return outcome_of


def _data_options(recipe: Recipe, seed: int) -> dict[str, Any]:
    """Of few labels each training draws its own, by its seed; all else is the same for all trainings."""
    return {"labels_seed": seed, **recipe.data_options} if "labels" in recipe.data_options else recipe.data_options


def _folder(runs_dir: Path, recipe: Recipe, seed: int = 0) -> Path:
    return runs_dir / f"reproduce-{recipe.name}{f'-seed{seed}' if seed else ''}"


def _trained(
    recipe: Recipe,
    data: Data,
    seed: int,
    folder: Path,
    minutes: float | None,
    resume: bool,
    progress: bool,
    others: Mapping[str, Model],
) -> Outcome:
    """Train and score once, in the run's `folder`."""
    model, report = _fitted(recipe, data, seed, folder, minutes, resume, progress)
    trained = Trained(recipe, seed, model, data, report, others)
    started = time.perf_counter()
    measurement = measured(trained, progress)
    seconds = report.seconds + time.perf_counter() - started
    return Outcome(recipe, seed, measurement, partial(picture, trained, measurement), seconds, trained)


def _fitted(
    recipe: Recipe, data: Data, seed: int, folder: Path, minutes: float | None, resume: bool, progress: bool
) -> tuple[Model, Report]:
    """Train by the recipe, and save the model in the run's `folder`."""
    how = training_arguments(recipe.training) | ({} if minutes is None else {"minutes": minutes})
    model = seeded_build(recipe.model, data, seed, recipe.model_settings)
    report = fit(model, data, **{**how, "seed": seed, "run_dir": folder, "resume": resume, "progress": progress})
    if report.interrupted:
        raise Interrupted(f"the run in {folder} was interrupted; resume=True goes on with it")
    remembered: dict[str, Any] = {"name": recipe.name, "data": {"name": recipe.data, **_data_options(recipe, seed)}}
    remembered |= {"data_digest": data.digests, **data.meaning}
    save(model, folder, recipe=remembered, weights=report.weights)
    return model, report


# -- Recipes as baselines ----------------------------------------------------------------------------------------------


def _check_rival(recipe: Recipe, runs_dir: Path) -> None:
    """Raise unless the run of a recipe that is a baseline is there, finished and by the same settings, or not begun."""
    folder = _folder(runs_dir, recipe)
    if not (saved_in(folder) / CONFIG).exists():
        if folder.exists() and any(folder.iterdir()):
            raise InputError(
                f"{folder} holds no finished run of the baseline {recipe.name}; `ancestral reproduce {recipe.name}"
                " --resume` finishes it"
            )
        return
    config = read_config(folder)
    settings = config["settings"]
    made = config["name"], {key: settings.get(key) for key in recipe.model_settings}
    if made != (recipe.model, recipe.model_settings) or (config["recipe"] or {}).get("name") != recipe.name:
        raise InputError(
            f"the run in {folder} is not that of the recipe {recipe.name} as it is now; `ancestral reproduce"
            f" {recipe.name} --overwrite` makes it anew"
        )


def _rival(recipe: Recipe, data: Data, runs_dir: Path, progress: bool) -> Model:
    """The model of a recipe that is a baseline: that of its run, or trained as `reproduce` would."""
    folder = _folder(runs_dir, recipe)
    if (saved_in(folder) / CONFIG).exists():
        if read_config(folder)["recipe"].get("data_digest") != data.digests:
            raise InputError(f"the run in {folder} was trained on other rows of {data.name} than those that are judged")
        return load(folder)
    try:
        return _fitted(recipe, data, 0, folder, None, False, progress)[0]
    except Interrupted as error:
        raise Interrupted(f"the baseline {recipe.name} is not trained yet: {error}") from error


def _ledger_entry(outcomes: Sequence[Outcome], command: str, remarks: Sequence[str]) -> LedgerEntry:
    """What the ledger says of a stated result from all seeds: their mean, never their best."""
    result, trained, first = outcomes[0].result, outcomes[0].trained, outcomes[0].measurement
    values = [outcome.measurement.value for outcome in outcomes]
    mean, stderr = sum(values) / len(values), first.stderr
    if len(values) > 1:
        stderr = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
    published = result.published
    note = None if trained is None else trained.data.note
    return LedgerEntry(
        name=result.name,
        model=result.model,
        data=result.data,
        split=result.split if isinstance(result, FigureRecipe) else "test",
        selected_on="valid" if trained is not None and trained.report.best is not None else None,
        metric=result.metric,
        unit=result.unit,
        value=mean,
        stderr=stderr,
        kind=first.kind,
        importance_samples=first.importance_samples,
        published=None if published is None else published.value,
        source=result.source if published is None else published.source,
        epochs=None if trained is None else trained.report.epochs,
        seconds=round(sum(outcome.seconds for outcome in outcomes), 1),
        parameters=None if trained is None else count_parameters(trained.model),
        command=command,
        seeds=[outcome.seed for outcome in outcomes],
        device=environment.device(),
        threads=torch.get_num_threads(),
        versions=environment.versions(),
        date=environment.today(),
        notes="; ".join(part for part in (result.notes.strip(), note, *remarks) if part),
        settings=dict(result.settings),
        baselines={**first.baselines, **({} if trained is None else baselines(trained))},
    )
