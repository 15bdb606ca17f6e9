"""The picture of a ledger's entry: real data, all that the model can show beside them, and the learning curve."""

import torch
from matplotlib.figure import Figure

from ancestral.data import Schema, Split, columns_in_figures, in_units
from ancestral.evaluation import contexts_of, decoded, resampled, spread_rows, walks
from ancestral.interface import Decoder, Encoder, Model, Sampler
from ancestral.plots import learning_curves, panels_figure, samples_figure, walks_figure
from ancestral.reproduction.measures import Measurement, Trained

#: Observations in a panel of samples, and walks and steps in one of walks.
_SHOWN, _WALKS = 64, 8


def picture(trained: Trained, measurement: Measurement) -> Figure:
    """Real data and all that the model can show beside them, what was measured, and the learning curve."""
    test = trained.data.test
    real = test.take(spread_rows(_SHOWN, len(test)))
    schema = trained.data.schema
    seen, columns = in_units(real.x, schema), columns_in_figures(schema)
    panels = {
        "real data": samples_figure(seen, trained.data.event, **columns),
        **_abilities_shown(trained.model, real, schema, torch.Generator().manual_seed(trained.seed)),
        **measurement.panels,
        "learning curve": _learning_curve(trained),
    }
    return panels_figure(panels)


def _abilities_shown(model: Model, real: Split, schema: Schema | None, generator: torch.Generator) -> dict[str, Figure]:
    """Samples at the contexts of the real rows, walks between codes, and codes re-sampled from the last latent on."""
    event, panels, columns = model.event, {}, columns_in_figures(schema)
    if isinstance(model, Sampler):
        drawn = model.sample(_SHOWN, context=_at(model, real, _SHOWN), generator=generator)
        panels[f"samples of {model.registered_name}"] = samples_figure(
            in_units(drawn, schema), event, real=in_units(real.x, schema), **columns
        )
    if not isinstance(model, Decoder) or not (model.has_prior or isinstance(model, Encoder)):
        return panels
    ends = real.take(spread_rows(2 * _WALKS, len(real)))
    context = _at(model, ends, 2 * _WALKS if not isinstance(model, Encoder) else len(ends))
    if isinstance(model, Encoder):
        with torch.no_grad():
            z, between = model.encode(ends.x.to(model.device), context=context).mean, "real data"
    else:
        z, between = model.sample_latents(2 * _WALKS, context=context, generator=generator), "draws"
    half = len(z) // 2  # a test split may have fewer rows
    first = None if context is None else context[:half]
    along = None if first is None else first.repeat_interleave(_WALKS, 0)
    way = decoded(model, walks(z[:half], z[half : 2 * half], steps=_WALKS), along, generator)
    panels[f"latent walks between {between}"] = walks_figure(in_units(way, schema), event, _WALKS, **columns)
    if isinstance(model, Encoder) and model.has_prior and len(model.latent_shapes) > 1:
        kept, x = resampled(model, z[:half], first, generator)
        rows = x.unflatten(0, (half, 1 + len(kept))).transpose(0, 1).flatten(0, 1)
        shares = ", ".join(str(share) for share in kept)
        title = f"real data; below, all but {shares} of their latents drawn anew"
        panels[title] = samples_figure(in_units(rows, schema), event, columns=half, **columns)
    return panels


def _at(model: Model, rows: Split, n: int) -> torch.Tensor | None:
    context = contexts_of(rows, n)
    return None if context is None else context.to(model.device)


def _learning_curve(trained: Trained) -> Figure:
    report = trained.report
    if report.monitor is not None:
        return learning_curves(
            {"validation": report.curve(f"valid/{report.monitor}")}, y_label=f"{report.monitor}, nats"
        )
    # One line a phase: of a closed-form fit its objective, of a game each player's loss.
    phases = [key for key in report.history[-1] if key.startswith("train/") and key.count("/") == 1]
    return learning_curves({key.removeprefix("train/"): report.curve(key) for key in phases}, y_label="training")
