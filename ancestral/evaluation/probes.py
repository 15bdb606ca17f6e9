"""What a representation is worth to a classifier that learns nothing more: the label of the nearest neighbour."""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ancestral.data import Split
from ancestral.evaluation.classification import ErrorRate
from ancestral.evaluation.likelihood import batches
from ancestral.interface import Features, InputError, Model


def evaluate_nearest_neighbour(
    model: Model, reference: Split, data: Split, *, batch_size: int = 256, progress: bool = False
) -> ErrorRate:
    """The one-nearest-neighbour error of the features of a model on the labelled rows of `data`.

    Each is given the label of the row of `reference` whose features are nearest, by the Euclidean distance. Raises
    `InputError` for a model without features, and for data without labels.
    """
    if not isinstance(model, Features):
        raise InputError(f"{type(model).__name__} has no features to compare rows by: it is no Features")
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    known, asked = _labelled(reference), _labelled(data)
    features = [_features(model, split, batch_size, progress) for split, _ in (known, asked)]
    return nearest_neighbour_error(features[0], known[1], features[1], asked[1])


def nearest_neighbour_error(
    reference: Float[Tensor, "rows n"],
    reference_labels: Int64[Tensor, " rows"],
    features: Float[Tensor, "batch n"],
    labels: Int64[Tensor, " batch"],
) -> ErrorRate:
    """How often the label of the nearest of the `reference` rows, by the Euclidean distance, is not a row's own."""
    from sklearn.neighbors import KNeighborsClassifier

    if len(reference) == 0 or len(features) == 0:
        raise InputError(
            f"nearest neighbours need rows with labels on both sides, got {len(reference)} to compare with and"
            f" {len(features)} to classify"
        )
    if not bool(reference.isfinite().all() & features.isfinite().all()):
        raise InputError("nearest neighbours need finite features; the model's are not, so its training went wrong")
    nearest = KNeighborsClassifier(n_neighbors=1, algorithm="brute").fit(reference.numpy(), reference_labels.numpy())
    given = torch.from_numpy(nearest.predict(features.numpy()))
    error = float((given != labels).double().mean())
    return ErrorRate(error, math.sqrt(error * (1 - error) / len(labels)), len(labels))


def _labelled(split: Split) -> tuple[Split, Tensor]:
    """The rows that have a label, and the labels."""
    if split.y is None or bool((split.y < 0).all()):
        raise InputError("the data have no labels, which nearest neighbours are to tell")
    places = torch.nonzero(split.y >= 0)[:, 0]
    return split.take(places), split.y[places]


@torch.no_grad()
def _features(model: Features, split: Split, batch_size: int, progress: bool) -> Tensor:
    rows = batches(split, batch_size, None, "taking features" if progress else None)
    return torch.cat([model.features(batch.x.to(model.device)).float().cpu() for batch in rows])
