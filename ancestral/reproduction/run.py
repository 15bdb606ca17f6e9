"""`reproduce`: train by a recipe, measure on the test split, and say in the ledger and in a picture what came out."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ancestral import environment
from ancestral.data import Data, load_data
from ancestral.evaluation import count_parameters
from ancestral.interface import InputError
from ancestral.output import check_output
from ancestral.persistence import CHECKPOINT, save
from ancestral.plots import save_figure
from ancestral.registry import build
from ancestral.reproduction.ledger import LedgerEntry
from ancestral.reproduction.measures import Measurement, Trained, baselines, check_recipe, measured
from ancestral.reproduction.pictures import picture
from ancestral.reproduction.recipes import Recipe, load_recipe
from ancestral.training import fit, training_arguments
from ancestral.training.run_folder import check_run_dir, replacing


@dataclass(frozen=True)
class Outcome:
    """One training of a recipe and its figure; `seconds` are of both."""

    trained: Trained
    measurement: Measurement
    seconds: float


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
    on_start: Callable[[Recipe, int], None] | None = None,
    on_end: Callable[[Outcome], None] | None = None,
) -> LedgerEntry:
    """Train by a recipe, measure on the test split, and write `NAME.json` and `NAME.png` into `results_dir`.

    Args:
        name: a recipe of the package (`list_recipes()`), or the path of a YAML file.
        results_dir: the folder of the ledger.
        runs_dir: the folder of the runs `reproduce-NAME`, each with its model and checkpoint.
        seeds: one training for each; the ledger has their mean, never their best.
        minutes: end each training earlier; the entry says so.
        resume: go on with runs that were interrupted.
        overwrite: replace the runs of an earlier time.
        data_root: where the data lie.
        progress: show progress on stderr.
        command: what the entry says it was made by; by default this call.
        on_start: called before each training with the recipe and the seed.
        on_end: called after each with what came out.

    Raises:
        InputError: before any training, if there is no such recipe, or it asks for what there is not.
        Interrupted: by Ctrl-C or SIGTERM, when the run can be gone on with.
    """
    if isinstance(seeds, int) or not seeds or not all(isinstance(seed, int) and seed >= 0 for seed in seeds):
        raise InputError(f"seeds must be one or more whole numbers from 0 on, as (0, 1, 2), got {seeds!r}")
    recipe = load_recipe(name)
    check_recipe(recipe)
    image = check_output(Path(results_dir) / f"{recipe.name}.png", (".png",))
    folders = {seed: Path(runs_dir) / f"reproduce-{recipe.name}{f'-seed{seed}' if seed else ''}" for seed in seeds}
    resumed = {seed: resume and (folder / CHECKPOINT).exists() for seed, folder in folders.items()}
    for seed, folder in folders.items():
        check_run_dir(folder, resume=resumed[seed], overwrite=overwrite)
    data = load_data(recipe.data, **{"data_root": data_root, **recipe.data_options})
    outcomes = []
    for seed, folder in folders.items():
        if on_start is not None:
            on_start(recipe, seed)
        with replacing(folder, overwrite=overwrite):
            outcome = _outcome(recipe, data, seed, folder, minutes, resumed[seed], progress)
        if on_end is not None:
            on_end(outcome)
        outcomes.append(outcome)
    remarks = [] if minutes is None else [f"not the recipe's own run: ended after {minutes:g} minutes"]
    more = "" if minutes is None else f", minutes={minutes:g}"
    call = command or f"an.reproduce({str(name)!r}, seeds={tuple(folders)}{more})"
    entry = _ledger_entry(outcomes, call, remarks)
    save_figure(picture(outcomes[0].trained, outcomes[0].measurement), image)
    entry.write(Path(results_dir))
    return entry


def _outcome(
    recipe: Recipe, data: Data, seed: int, folder: Path, minutes: float | None, resume: bool, progress: bool
) -> Outcome:
    """Train and score once, in the run's `folder`."""
    how = training_arguments(recipe.training) | ({} if minutes is None else {"minutes": minutes})
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = build(recipe.model, data, **recipe.model_settings)
    report = fit(model, data, **{**how, "seed": seed, "run_dir": folder, "resume": resume, "progress": progress})
    if report.interrupted:
        raise Interrupted(f"the run in {folder} was interrupted; resume=True goes on with it")
    remembered = {"name": recipe.name, "data": {"name": recipe.data, **recipe.data_options}}
    remembered["data_digest"] = data.digests
    save(model, folder, recipe=remembered, weights=report.weights)
    trained = Trained(recipe, seed, model, data, report)
    started = time.perf_counter()
    measurement = measured(trained, progress)
    return Outcome(trained, measurement, report.seconds + time.perf_counter() - started)


def _ledger_entry(outcomes: Sequence[Outcome], command: str, remarks: Sequence[str]) -> LedgerEntry:
    """What the ledger says of all trainings of a recipe: their mean, never their best."""
    trained, first = outcomes[0].trained, outcomes[0].measurement
    recipe, data = trained.recipe, trained.data
    values = [outcome.measurement.value for outcome in outcomes]
    mean, stderr = sum(values) / len(values), first.stderr
    if len(values) > 1:
        stderr = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
    published = recipe.published
    return LedgerEntry(
        name=recipe.name,
        model=recipe.model,
        data=recipe.data,
        split="test",
        selected_on="valid" if trained.report.best is not None else None,
        metric=recipe.metric,
        unit=recipe.unit,
        value=mean,
        stderr=stderr,
        kind=first.kind,
        importance_samples=first.importance_samples,
        published=None if published is None else published.value,
        source=recipe.source if published is None else published.source,
        epochs=trained.report.epochs,
        seconds=round(sum(outcome.seconds for outcome in outcomes), 1),
        parameters=count_parameters(trained.model),
        command=command,
        seeds=[outcome.trained.seed for outcome in outcomes],
        device=environment.device(),
        threads=torch.get_num_threads(),
        versions=environment.versions(),
        date=environment.today(),
        notes="; ".join(part for part in (recipe.notes.strip(), data.note, *remarks) if part),
        settings={"model": recipe.model_settings, "training": recipe.training, "evaluation": recipe.evaluation},
        baselines={**first.baselines, **baselines(trained)},
    )
