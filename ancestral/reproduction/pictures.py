"""The picture of a ledger's entry: real data, all that the model can show beside them, and the learning curve."""

import torch
from matplotlib.figure import Figure

from ancestral.data import Data, Schema, Split, columns_in_figures, in_units
from ancestral.evaluation import (
    activity,
    analogies,
    class_input,
    contexts_of,
    decoded,
    latent_plane,
    latent_spread,
    quantiles,
    resampled,
    spread_rows,
    traversals,
    walks,
)
from ancestral.interface import Decoder, Encoder, Model, Sampler, StagedDensity
from ancestral.plots import (
    given_figure,
    is_image_of,
    kind_of,
    learning_curves,
    manifold_figure,
    number_shown,
    panels_figure,
    samples_figure,
    text_figure,
    walks_figure,
)
from ancestral.reproduction.measurement import Measurement, Trained

#: Texts in a panel.
_TEXTS = 3
#: Walks and steps in a panel of walks.
_WALKS = 8
#: Rows, and draws of each, in a panel of what is drawn given images.
_GIVEN, _EACH = 8, 4
#: Points a side of a manifold, real rows by which the use of a latent space is known, and how far a latent is moved.
_SIDE, _ROWS, _REACH = 20, 1000, 3


def picture(trained: Trained, measurement: Measurement) -> Figure:
    """Real data and all that the model can show beside them, what was measured, and the learning curve."""
    test = trained.data.test
    real = test.take(spread_rows(number_shown(trained.data.event), len(test)))
    data, schema = trained.data, trained.data.schema
    columns = {**columns_in_figures(schema), "sample_rate": data.sample_rate}
    if data.vocabulary and kind_of(data.event) == "strips":
        shown = text_figure([data.text(tokens.long()) for tokens in real.x[:_TEXTS]])
    else:
        shown = samples_figure(in_units(real.x, schema), data.event, **columns)
    panels = {
        "real data": shown,
        **_abilities_shown(trained.model, real, data, torch.Generator().manual_seed(trained.seed)),
        **measurement.panels,
        "learning curve": _learning_curve(trained),
    }
    return panels_figure(panels)


def _abilities_shown(model: Model, real: Split, data: Data, generator: torch.Generator) -> dict[str, Figure]:
    """Samples at the contexts of the real rows, and what codes decode to: walks between them; of two latents their
    plane, of images the most active ones of more moved one by one, and the style of real rows under every class; codes
    re-sampled from the last latent on."""
    event, panels, schema = model.event, {}, data.schema
    columns = columns_in_figures(schema)
    if isinstance(model, Sampler):
        n = number_shown(event)
        drawn = model.sample(n, context=_at(model, real, n), generator=generator)
        panels[f"samples of {model.registered_name}"] = samples_figure(
            in_units(drawn, schema), event, real=in_units(real.x, schema), sample_rate=data.sample_rate, **columns
        )
        panels |= _several_given(model, real, generator)
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
    if isinstance(model, StagedDensity):
        return panels | _given_views(model, ends.x[:half], z[:half], first, schema, generator)
    along = None if first is None else first.repeat_interleave(_WALKS, 0)
    way = decoded(model, walks(z[:half], z[half : 2 * half], steps=_WALKS), along, generator)
    panels[f"latent walks between {between}"] = walks_figure(in_units(way, schema), event, _WALKS, **columns)
    panels |= _latents_shown(model, z[:1], None if context is None else context[:1], real, schema, generator)
    if isinstance(model, Encoder) and model.has_prior and len(model.latent_shapes) > 1:
        kept, x = resampled(model, z[:half], first, generator)
        rows = x.unflatten(0, (half, 1 + len(kept))).transpose(0, 1).flatten(0, 1)
        shares = ", ".join(str(share) for share in kept)
        title = f"real data; below, all but {shares} of their latents drawn anew"
        panels[title] = samples_figure(in_units(rows, schema), event, columns=half, **columns)
    return panels


def _given_views(
    model: Decoder,
    x: torch.Tensor,
    views: torch.Tensor,
    context: torch.Tensor | None,
    schema: Schema | None,
    generator: torch.Generator,
) -> dict[str, Figure]:
    """Real data, and draws given each of their views, the finest one first. Views are discrete: there are no walks
    between two of them."""
    _, drawn = resampled(model, views, context, generator)
    rows = torch.cat([x.to(drawn)[:, None], drawn.unflatten(0, (len(x), -1))], dim=1).transpose(0, 1).flatten(0, 1)
    names = ["real data", *(f"given {name}" for name in reversed(list(model.latent_shapes)))]
    figure = samples_figure(in_units(rows, schema), model.event, columns=len(x), row_names=names)
    return {"real data, and draws given their views": figure}


def _several_given(model: Sampler, real: Split, generator: torch.Generator) -> dict[str, Figure]:
    """Of a model that is given an image, several draws for one, beside it and the real row."""
    if not is_image_of(model.context_event, model.event):
        return {}
    assert model.context_event is not None
    rows = real.take(spread_rows(_GIVEN, len(real)))
    context = _at(model, rows, len(rows))
    assert context is not None
    drawn = model.sample(_EACH * len(rows), context=context.repeat_interleave(_EACH, 0), generator=generator)
    shown = given_figure(context, drawn.unflatten(0, (len(rows), _EACH)), rows.x, model.event, model.context_event)
    return {"what is given, draws, and the real data": shown}


def _at(model: Model, rows: Split, n: int) -> torch.Tensor | None:
    context = contexts_of(rows, n)
    return None if context is None else context.to(model.device)


def _learning_curve(trained: Trained) -> Figure:
    report = trained.report
    if report.monitor is not None:
        unit = "" if report.monitor in ("accuracy", "loss") else ", nats"
        return learning_curves(
            {"validation": report.curve(f"valid/{report.monitor}")}, y_label=f"{report.monitor}{unit}"
        )
    # One line a phase: of a closed-form fit its objective, of a game each player's loss.
    phases = [key for key in report.history[-1] if key.startswith("train/") and key.count("/") == 1]
    return learning_curves({key.removeprefix("train/"): report.curve(key) for key in phases}, y_label="training")


def _latents_shown(
    model: Decoder,
    z: torch.Tensor,
    context: torch.Tensor | None,
    real: Split,
    schema: Schema | None,
    generator: torch.Generator,
) -> dict[str, Figure]:
    """The plane of two latents, or of images those of an encoder that are most active, moved about the code z; and, of
    images and a model that is told a class, analogies."""
    event, panels, columns = model.event, {}, columns_in_figures(schema)
    images = kind_of(event, columns.get("names")) == "images"
    if model.has_prior and model.latent_size == 2:
        spread = latent_spread(model, context=context, generator=generator)
        if len(spread.continuous) == 2:
            codes, places = latent_plane(z[0], (0, 1), quantiles(_SIDE), spread), quantiles(_SIDE).tolist()
            x = in_units(decoded(model, codes, _each(context, codes), generator), schema)
            panels["the plane of its two latents, at quantiles of the prior"] = manifold_figure(
                x, event, places, places[::-1], labels=("latent 0", "latent 1"), **columns
            )
    elif images and isinstance(model, Encoder) and len(model.latent_shapes) == 1:
        rows = real.take(spread_rows(_ROWS, len(real)))
        with torch.no_grad():
            means = model.encode(rows.x.to(model.device), context=_at(model, rows, len(rows))).mean
        spread = latent_spread(model, means, context, generator)
        used = activity(means, spread)[spread.continuous].argsort(descending=True)[:_WALKS]
        if axes := [spread.continuous[i] for i in used.tolist()]:
            offsets = torch.linspace(-_REACH, _REACH, 1 + _WALKS)
            codes = traversals(z[0], axes, offsets, spread)
            panels[f"its most active latents, each from -{_REACH} to {_REACH} standard deviations"] = walks_figure(
                decoded(model, codes, _each(context, codes), generator),
                event,
                len(offsets),
                walk_names=[f"latent {axis}" for axis in axes],
            )
    how = class_input(model)
    if images and how is not None and isinstance(model, Encoder):
        rows = real.take(torch.arange(min(_WALKS, len(real))))
        shown = analogies(model, rows.x.to(model.device), _at(model, rows, len(rows)), generator)
        panels["real data, and the style of each under every class"] = samples_figure(
            shown, event, columns=1 + how.classes
        )
    return panels


def _each(context: torch.Tensor | None, codes: torch.Tensor) -> torch.Tensor | None:
    """One context for each of the codes."""
    return None if context is None else context.expand(len(codes), *context.shape[1:])
