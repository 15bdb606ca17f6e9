"""Images given a part of them, or a caption."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ancestral.data import kept_by_words
from ancestral.evaluation import (
    evaluate_hole,
    mean_in_hole,
    nearest_in_hole,
    read_captions,
    spread_rows,
)
from ancestral.interface import Completer, InputError, Sampler
from ancestral.plots import class_grid_figure, completions_figure
from ancestral.reproduction.measurement import Measure, Measurement, Trained

#: Rows in a picture of what is filled in, or drawn of captions.
_SHOWN = 8


def _hole(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    """Of what the model fills in where test images are hidden, all but what the words `keep` name."""
    model, test = trained.model, trained.data.test
    how = {key: value for key, value in settings.items() if key != "keep"}
    found = evaluate_hole(model, test, _kept(trained), **how)
    assert isinstance(model, Completer)
    rows = test.__getitems__(spread_rows(_SHOWN, len(test)))
    x, context = rows.x.to(model.device), None if rows.context is None else rows.context.to(model.device)
    filled = model.complete(x, _kept(trained).to(x.device), context=context, generator=torch.Generator().manual_seed(0))
    observed = _kept(trained).expand(rows.x.shape)
    shown = completions_figure(rows.x, observed, filled.cpu()[:, None], model.event, names=["filled in"])
    kind = "one prediction" if model.predicts else "one draw"
    return Measurement(found.error, found.stderr, f"{kind}, n = {found.n:,}", panels={"holes filled in": shown})


def _kept(trained: Trained) -> Tensor:
    return kept_by_words(trained.recipe.evaluation["keep"], trained.data.event)


def _without_the_model(errors: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[[Trained], float]:
    def error(trained: Trained) -> float:
        test = trained.data.test.x[: trained.recipe.evaluation.get("limit")]
        return errors(trained.data.train.x, test, _kept(trained)).mean().item()

    return error


def _captions(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    """The share of the words of captions that a classifier of real images reads otherwise off what is drawn of them."""
    if not isinstance(trained.model, Sampler):
        raise InputError(f"{trained.recipe.model} draws nothing: it is no Sampler")
    found = read_captions(trained.model, trained.data, **{"seed": trained.seed, **settings})
    beside = {f"of {name}": 100 * error for name, error in found.by_place.items()}
    beside |= {
        "classifier_on_real_images": 100 * found.classifier_error,
        "guessing": 100 * found.guessing_error,
        "read against other captions": 100 * found.of_other_captions,
    }
    some = spread_rows(_SHOWN, found.n)
    pairs = torch.stack([found.drawn[some], found.real[some].to(found.drawn)], 1).flatten(0, 1)
    said = [trained.data.text(tokens) for tokens in found.captions[some]]
    shown = class_grid_figure(pairs, trained.model.event, said)
    kind = f"words read off {found.n:,} images"
    return Measurement(100 * found.error, 100 * found.stderr, kind, baselines=beside, panels={"drawn, and real": shown})


MEASURES: Mapping[str, Measure] = {
    "squared error in the hole": Measure(
        "per value",
        _hole,
        {
            "mean_image": _without_the_model(mean_in_hole),
            "nearest_neighbour": _without_the_model(nearest_in_hole),
        },
        ("keep",),
    ),
    "caption reading error": Measure("%", _captions),
}
