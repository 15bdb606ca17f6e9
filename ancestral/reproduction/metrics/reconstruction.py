"""What codes decode to."""

from collections.abc import Mapping
from typing import Any

import torch

from ancestral.data import columns_in_figures, in_units
from ancestral.evaluation import evaluate_reconstruction, spread_rows
from ancestral.interface import Decoder, Encoder, InputError, MeanDecoder
from ancestral.plots import samples_figure
from ancestral.reproduction.baselines import sklearn_kmeans, sklearn_pca
from ancestral.reproduction.measurement import Measure, Measurement, Trained, as_fitted, fitting_start


def _reconstruction(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    """The squared distance of a row to what its code decodes to, in the units that the model is fitted in; of k-means
    the inertia."""
    model, test, schema = trained.model, trained.data.test, trained.data.schema
    found = evaluate_reconstruction(model, test, **{"progress": progress, **settings})
    assert isinstance(model, Encoder)
    assert isinstance(model, MeanDecoder)
    rows = test.__getitems__(spread_rows(64, len(test)))
    context = None if rows.context is None else rows.context.to(model.device)
    with torch.no_grad():
        back = model.decode_mean(model.encode(rows.x.to(model.device), context=context).mean, context=context).cpu()
    shown = samples_figure(in_units(back, schema), model.event, **columns_in_figures(schema))
    return Measurement(found.error, found.stderr, "exact", panels={"reconstructions of the real data": shown})


def _sklearn_kmeans(trained: Trained) -> float:
    start = dict(fitting_start(trained).named_buffers())["centres"]
    return sklearn_kmeans(*as_fitted(trained), start, iterations=trained.report.steps)


def _pca(trained: Trained) -> float:
    if not isinstance(trained.model, Decoder):
        raise InputError(f"{trained.recipe.model} has no code, whose size PCA could have: it is no Decoder")
    return sklearn_pca(*as_fitted(trained), trained.model.latent_size)


MEASURES: Mapping[str, Measure] = {
    "squared reconstruction error": Measure(
        "squared distance", _reconstruction, {"sklearn_kmeans": _sklearn_kmeans, "pca": _pca}
    ),
}
