"""Train by a recipe, measure on the test split, and say in the ledger and in a picture what came out."""

import io
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from PIL import Image

from ancestral.cli import environment
from ancestral.cli.latents import decoded, draw_latents, resampled, walks
from ancestral.cli.ledger import LedgerEntry
from ancestral.cli.measures import Measurement, Trained, baseline, measured
from ancestral.cli.runs import count_parameters, spread_rows
from ancestral.data import Data
from ancestral.interface import Encoder, MeanDecoder, Model, Sampler
from ancestral.persistence import save
from ancestral.plots import figure_png, learning_curves, samples_figure
from ancestral.registry import build
from ancestral.training import Recipe, fit, training_arguments

#: Panels side by side in the picture: one row of as many, or rows of fewer.
_ONE_ROW, _COLUMNS = 4, 3


@dataclass(frozen=True)
class Outcome:
    """One training of a recipe and its figure; `seconds` are of both."""

    trained: Trained
    measurement: Measurement
    seconds: float


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
    trained = Trained(recipe, seed, model, data, report)
    started = time.perf_counter()
    measurement = measured(trained, progress)
    return Outcome(trained, measurement, report.seconds + time.perf_counter() - started)


def ledger_entry(outcomes: Sequence[Outcome], command: str, remarks: Sequence[str]) -> LedgerEntry:
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
        baselines={**first.baselines, **baseline(trained)},
    )


def picture(outcome: Outcome) -> Figure:
    """Real data and all that the model can show beside them, what was measured, and the learning curve."""
    trained = outcome.trained
    panels = {
        "real data": samples_figure(trained.data.test.x[spread_rows(64, len(trained.data.test))], trained.data.event),
        **_abilities_shown(trained.model, trained.data, torch.Generator().manual_seed(trained.seed)),
        **outcome.measurement.panels,
        "learning curve": _learning_curve(trained),
    }
    columns = len(panels) if len(panels) <= _ONE_ROW else _COLUMNS
    rows = math.ceil(len(panels) / columns)
    whole = Figure(figsize=(5 * columns, 5.4 * rows), dpi=100)
    whole.set_layout_engine("constrained", rect=(0, 0, 1, 0.98))
    grid = whole.subplots(rows, columns, squeeze=False).flatten()
    for axes in grid:
        axes.set_axis_off()
    for axes, (title, panel) in zip(grid, panels.items(), strict=False):
        axes.imshow(_pixels(panel))
        axes.set_title(title)
    return whole


def _abilities_shown(model: Model, data: Data, generator: torch.Generator) -> dict[str, Figure]:
    panels = {}
    if isinstance(model, Sampler):
        drawn = model.sample(64, generator=generator).cpu()
        panels[f"samples of {model.registered_name}"] = samples_figure(drawn, data.event)
    if isinstance(model, MeanDecoder) and model.has_prior:
        if isinstance(model, Encoder):
            x = data.test.x[spread_rows(16, len(data.test))]
            z, between = model.encode(x).mean.detach(), "real data"
        else:
            z, between = draw_latents(model, 16, generator), "draws"
        half = len(z) // 2  # a test split may have fewer than 16 rows
        way = decoded(model, walks(z[:half], z[half : 2 * half], steps=8), None)
        panels[f"latent walks between {between}"] = samples_figure(way, data.event, columns=8)
        if isinstance(model, Encoder) and len(model.latent_shapes) > 1:
            kept, x = resampled(model, z[:half], generator)
            shares = ", ".join(str(share) for share in kept)
            panels[f"real; all but {shares} of the latents re-sampled"] = samples_figure(
                x, data.event, columns=1 + len(kept)
            )
    return panels


def _learning_curve(trained: Trained) -> Figure:
    report = trained.report
    if report.monitor is not None:
        return learning_curves(
            {"validation": report.curve(f"valid/{report.monitor}")}, y_label=f"{report.monitor}, nats"
        )
    # One line a phase: of a closed-form fit its objective, of a game each player's loss.
    phases = [key for key in report.history[-1] if key.startswith("train/") and key.count("/") == 1]
    return learning_curves({key.removeprefix("train/"): report.curve(key) for key in phases}, y_label="training")


def _pixels(figure: Figure) -> Image.Image:
    return Image.open(io.BytesIO(figure_png(figure)))
