"""What a representation is worth to a classifier that learns nothing more: the label of the nearest neighbour."""

from typing import Literal, TypeAlias, get_args

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ancestral.data import Split
from ancestral.evaluation.classification import ErrorRate
from ancestral.evaluation.likelihood import batches
from ancestral.interface import Encoder, Features, InputError, Model

#: What rows are compared by.
Of: TypeAlias = Literal["features", "codes"]


def evaluate_nearest_neighbour(
    model: Model,
    reference: Split,
    data: Split,
    *,
    of: Of = "features",
    batch_size: int = 256,
    progress: bool = False,
) -> ErrorRate:
    """The one-nearest-neighbour error of the features of a model, or `of` its "codes", on the labelled rows of `data`.

    Each is given the label of the row of `reference` whose features, or mean codes, are nearest by the Euclidean
    distance. Raises `InputError` for a model that has none, and for data without labels.
    """
    if of not in get_args(Of):
        raise InputError(f"of must be one of {', '.join(get_args(Of))}, got {of!r}")
    wanted = Features if of == "features" else Encoder
    if not isinstance(model, wanted):
        raise InputError(f"{model.display_name} has no {of} to compare rows by: it is no {wanted.__name__}")
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    known, asked = _labelled(reference), _labelled(data)
    features = [_represented(model, of, split, batch_size, progress) for split, _ in (known, asked)]
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
    return ErrorRate.counted(int((given != labels).sum()), len(labels))


def _labelled(split: Split) -> tuple[Split, Tensor]:
    """The rows that have a label, and the labels."""
    if split.y is None or bool((split.y < 0).all()):
        raise InputError("the data have no labels, which nearest neighbours are to tell")
    places = torch.nonzero(split.y >= 0)[:, 0]
    return split.take(places), split.y[places]


@torch.no_grad()
def _represented(model: Model, of: Of, split: Split, batch_size: int, progress: bool) -> Tensor:
    parts = []
    for batch in batches(split, batch_size, None, f"taking {of}" if progress else None):
        x = batch.x.to(model.device)
        if of == "features":
            assert isinstance(model, Features)
            found = model.features(x)
        else:
            assert isinstance(model, Encoder)
            context = None if batch.context is None else batch.context.to(model.device)
            found = model.encode(x, context=context).mean
        parts.append(found.float().cpu())
    return torch.cat(parts)
