"""Train by a recipe, evaluate on the test split, and set the figure beside its baseline."""

import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ancestral.cli import environment
from ancestral.cli.baselines import independent, sklearn_gaussian_mixture, sklearn_ppca
from ancestral.cli.ledger import LedgerEntry
from ancestral.cli.runs import count_parameters
from ancestral.data import Data
from ancestral.evaluation import Score, bits_per_dim, evaluate
from ancestral.interface import ClosedFormFit, Event, InputError, Model, Sampler
from ancestral.persistence import save
from ancestral.plots import figure_png, learning_curves, samples_figure
from ancestral.registry import build, did_you_mean
from ancestral.training import Recipe, Report, fit, training_arguments

UNITS = ("nats", "bits/dim")


@dataclass(frozen=True)
class Outcome:
    """One training of a recipe and its score on the test split; `seconds` are of both."""

    seed: int
    model: Model
    data: Data
    report: Report
    score: Score
    seconds: float


def check_recipe(recipe: Recipe) -> None:
    """Raise if the recipe asks for a unit or a baseline that there is none of: before any training."""
    if recipe.unit not in UNITS:
        raise InputError(f"unit of the recipe {recipe.name} must be one of {', '.join(UNITS)}, got {recipe.unit!r}")
    if recipe.baseline is not None and recipe.baseline not in BASELINES:
        near = did_you_mean(recipe.baseline, BASELINES)
        raise InputError(f"there is no baseline {recipe.baseline!r}{near}; there are {', '.join(BASELINES)}")


def run_recipe(
    recipe: Recipe, data: Data, seed: int, folder: Path, *, overrides: Mapping[str, Any], resume: bool, progress: bool
) -> Outcome | None:
    """Train and score once, in the run's `folder`; None where the training was interrupted."""
    arguments = training_arguments(recipe.training) | {"seed": seed} | dict(overrides)
    torch.manual_seed(seed)
    model = build(recipe.model, data.event, **recipe.model_settings)
    report = fit(model, data, **{**arguments, "run_dir": folder, "resume": resume, "progress": progress})
    if report.interrupted:
        return None
    remembered = {"name": recipe.name, "data": {"name": recipe.data, **recipe.data_options}}
    save(model, folder, recipe=remembered, weights=report.weights)
    started = time.perf_counter()
    score = evaluate(model, data.test, **{"progress": progress, **recipe.evaluation})
    return Outcome(seed, model, data, report, score, report.seconds + time.perf_counter() - started)


def ledger_entry(recipe: Recipe, outcomes: Sequence[Outcome], command: str, remarks: Sequence[str]) -> LedgerEntry:
    """What the ledger says of all trainings of a recipe: their mean, never their best."""
    first, event = outcomes[0], outcomes[0].data.event
    values = [_in_unit(-outcome.score.nats, recipe.unit, event) for outcome in outcomes]
    mean = sum(values) / len(values)
    stderr = abs(_in_unit(first.score.stderr, recipe.unit, event))
    if len(values) > 1:
        stderr = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
    published = recipe.published
    return LedgerEntry(
        name=recipe.name,
        model=recipe.model,
        data=recipe.data,
        split="test",
        selected_on="valid" if first.report.best is not None else None,
        metric=recipe.metric,
        unit=recipe.unit,
        value=mean,
        stderr=stderr,
        kind=first.score.kind,
        importance_samples=first.score.importance_samples,
        published=None if published is None else published.value,
        source=recipe.source if published is None else published.source,
        epochs=first.report.epochs,
        seconds=round(sum(outcome.seconds for outcome in outcomes), 1),
        parameters=count_parameters(first.model),
        command=command,
        seeds=[outcome.seed for outcome in outcomes],
        device=environment.device(),
        threads=torch.get_num_threads(),
        versions=environment.versions(),
        date=environment.today(),
        notes="; ".join(part for part in (recipe.notes.strip(), first.data.note, *remarks) if part),
        settings={"model": recipe.model_settings, "training": recipe.training, "evaluation": recipe.evaluation},
        baselines=_baselines(recipe, first),
    )


def picture(outcome: Outcome) -> Figure:
    """Real data, samples beside them, and the learning curve (or EM's objective)."""
    model, data, report = outcome.model, outcome.data, outcome.report
    panels = {"real data": samples_figure(data.test.x[:64], data.event)}
    if isinstance(model, Sampler):
        drawn = model.sample(64, generator=torch.Generator().manual_seed(outcome.seed)).cpu()
        panels[f"samples of {model.registered_name}"] = samples_figure(drawn, data.event)
    curves, label = {"train": report.curve("train/objective")}, "objective, nats"
    if report.monitor is not None:
        curves, label = {"validation": report.curve(f"valid/{report.monitor}")}, f"{report.monitor}, nats"
    panels["learning curve"] = learning_curves(curves, y_label=label)
    whole = Figure(figsize=(5 * len(panels), 5.4), dpi=100)
    whole.set_layout_engine("constrained", rect=(0, 0, 1, 0.96))
    for axes, (title, panel) in zip(whole.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        axes.imshow(_pixels(panel))
        axes.set_title(title)
        axes.set_axis_off()
    return whole


def _in_unit(nats: float, unit: str, event: Event) -> float:
    """A negative log-likelihood in nats as one in `unit`."""
    return nats if unit == "nats" else bits_per_dim(-nats, event)


def _pixels(figure: Figure) -> Image.Image:
    return Image.open(io.BytesIO(figure_png(figure)))


# -- Baselines, as recipes name them: log-likelihoods of the test rows -------------------------------------------------


def _independent(recipe: Recipe, outcome: Outcome) -> Float[Tensor, " batch"]:
    return independent(outcome.data.train.x, outcome.data.test.x, outcome.data.event)[1]


def _sklearn_ppca(recipe: Recipe, outcome: Outcome) -> Float[Tensor, " batch"]:
    data, settings = outcome.data, outcome.model.settings or {}
    return sklearn_ppca(data.train.x, data.test.x, settings["latent_dim"])


def _sklearn_gaussian_mixture(recipe: Recipe, outcome: Outcome) -> Float[Tensor, " batch"]:
    """From the start of our own fit, for as many iterations."""
    data, settings = outcome.data, outcome.model.settings or {}
    start = build(recipe.model, data.event, **recipe.model_settings)
    if not isinstance(start, ClosedFormFit):
        raise InputError(f"{recipe.model} is not fitted by EM, so scikit-learn cannot start where it starts")
    start.fit_start(data.train.x, generator=torch.Generator().manual_seed(outcome.seed))
    return sklearn_gaussian_mixture(
        data.train.x,
        data.test.x,
        dict(start.named_buffers()),
        covariance=settings["covariance"],
        variance_floor=settings["variance_floor"],
        iterations=outcome.report.steps,
    )


BASELINES: Mapping[str, Callable[[Recipe, Outcome], Float[Tensor, " batch"]]] = {
    "independent_histogram": _independent,
    "sklearn_ppca": _sklearn_ppca,
    "sklearn_gaussian_mixture": _sklearn_gaussian_mixture,
}


def _baselines(recipe: Recipe, outcome: Outcome) -> dict[str, float]:
    if recipe.baseline is None:
        return {}
    nats = BASELINES[recipe.baseline](recipe, outcome).double().mean().item()
    return {recipe.baseline: _in_unit(-nats, recipe.unit, outcome.data.event)}
