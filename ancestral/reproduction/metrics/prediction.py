"""How likely later frames are given the first."""

from collections.abc import Mapping
from typing import Any

import torch

from ancestral.evaluation import entropy_bound, evaluate_prediction, independent, spread_rows
from ancestral.interface import Completer, Event, InputError
from ancestral.plots import predictions_figure
from ancestral.reproduction.measurement import Measure, Measurement, Trained


def _prediction(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    """Of test videos, the negative log-likelihood of a frame after the first `given`, of which the picture shows
    draws."""
    model, test = trained.model, trained.data.test
    found = evaluate_prediction(model, test, **{"progress": progress, **settings})
    assert isinstance(model, Completer)
    rows = test.__getitems__(spread_rows(4, len(test)))
    x, context = rows.x.to(model.device), None if rows.context is None else rows.context.to(model.device)
    known = torch.zeros(model.event.shape, dtype=torch.bool, device=x.device)
    known[: found.given] = True
    drawn = model.complete(x, known, context=context, generator=torch.Generator().manual_seed(trained.seed))
    shown = predictions_figure(rows.x, drawn.cpu().to(rows.x), model.event, found.given)
    panels = {f"test videos, and what it draws after frame {found.given}": shown}
    return Measurement(found.nats_per_frame, found.stderr, "exact", panels=panels)


def _independent_pixels(trained: Trained) -> float:
    data, given = trained.data, trained.recipe.evaluation["given"]
    train, test = data.train.x[:, given:], data.test.x[:, given:]
    event = Event(test.shape[1:], data.event.support)
    return -independent(train, test, event)[1].double().mean().item() / test.shape[1]


def _entropy_bound(trained: Trained) -> float:
    intensity = trained.data.test.factors.get("intensity")
    if intensity is None:
        raise InputError(
            f"{trained.data.name} does not know the grey values that its pixels are drawn from: no entropy bound"
        )
    return entropy_bound(intensity, trained.recipe.evaluation["given"]).mean().item()


MEASURES: Mapping[str, Measure] = {
    "negative log-likelihood of later frames": Measure(
        "nats/frame", _prediction, {"independent": _independent_pixels, "entropy_bound": _entropy_bound}, ("given",)
    ),
}
