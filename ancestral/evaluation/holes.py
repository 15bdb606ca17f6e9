"""How near what a model fills into holes of images comes to what was there."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from ancestral.data import Split
from ancestral.evaluation.likelihood import batches, standard_error
from ancestral.interface import Completer, InputError, Model

#: Distances to training rows that are kept at once.
_AT_ONCE = 2**24


@dataclass(frozen=True)
class HoleError:
    """The mean squared error of a value in the hole, in the data's units, with its standard error over the rows."""

    error: float
    stderr: float
    n: int


@torch.no_grad()
def evaluate_hole(
    model: Model, data: Split, known: Bool[Tensor, "*event"], *, batch_size: int = 256, limit: int | None = None
) -> HoleError:
    """Of the rows of `data`, at most its first `limit`, with all hidden but what is `known`, filled in once by `model`.

    A model that draws pays twice for what is not known, its own spread beside that of the data: squared errors are
    least for a mean.
    """
    if not isinstance(model, Completer):
        raise InputError(f"{model.display_name} cannot fill anything in: it is no Completer")
    parts, generator = [], torch.Generator().manual_seed(0)
    for batch in batches(data, batch_size, limit):
        x, context = batch.x.to(model.device), None if batch.context is None else batch.context.to(model.device)
        filled = model.complete(x, known.to(x.device), context=context, generator=generator)
        parts.append(squared_errors(x, filled, known).cpu())
    errors = torch.cat(parts)
    return HoleError(float(errors.mean()), standard_error(errors), len(errors))


def squared_errors(
    x: Num[Tensor, "n *event"], filled: Num[Tensor, "n *event"], known: Bool[Tensor, "*event"]
) -> Float[Tensor, " n"]:
    """The mean squared error of each row's values that are not known, float64."""
    return (x.double() - filled.double())[:, ~known.to(x.device)].square().mean(1)


def mean_in_hole(
    train: Num[Tensor, "rows *event"], test: Num[Tensor, "n *event"], known: Bool[Tensor, "*event"]
) -> Float[Tensor, " n"]:
    """`squared_errors` of the mean of the training rows, the best that looks at nothing."""
    mean = torch.stack([part.double().sum(0) for part in train.split(1024)]).sum(0) / len(train)
    return squared_errors(test, mean.expand(test.shape), known)


def nearest_in_hole(
    train: Num[Tensor, "rows *event"], test: Num[Tensor, "n *event"], known: Bool[Tensor, "*event"]
) -> Float[Tensor, " n"]:
    """`squared_errors` of the training row that is nearest in what is known."""
    rows = train[:, known].float()
    lengths = rows.square().sum(1)
    found = []
    for part in test.split(max(1, _AT_ONCE // len(train))):
        # ||a - b||^2 less ||a||^2, which does not move the nearest.
        nearest = torch.addmm(lengths, part[:, known].float(), rows.T, alpha=-2).argmin(1)
        found.append(squared_errors(part, train[nearest], known))
    return torch.cat(found)
