"""How near codes bring back what they encode: the ruler of k-means and of autoencoders, which have no likelihood."""

from dataclasses import dataclass

import torch

from ancestral.data import Split
from ancestral.evaluation.likelihood import batches, standard_error
from ancestral.interface import Encoder, InputError, MeanDecoder, Model


@dataclass(frozen=True)
class Reconstruction:
    """The mean squared distance of a row to what its code decodes to (0 is best), with its standard error.

    Of k-means it is the inertia of a row. As the model counts distances: each dimension in units of its standard
    deviation where the model is standardised, otherwise in the data's own.
    """

    error: float
    stderr: float
    n: int

    def __str__(self) -> str:
        what = "squared distance of a row to what its code decodes to (of k-means the inertia)"
        return f"{self.error:.4g} ± {self.stderr:.2g} {what}, n = {self.n:,}"


@torch.no_grad()
def evaluate_reconstruction(
    model: Model,
    data: Split,
    *,
    batch_size: int = 256,
    limit: int | None = None,
    progress: bool = False,
) -> Reconstruction:
    """The mean squared distance of the rows of `data` (at most its first `limit`) to what their mean codes decode to.

    Raises `InputError` for a model that does not encode, or that has no expected observation of a code.
    """
    if not isinstance(model, Encoder) or not isinstance(model, MeanDecoder):
        raise InputError(f"{model.display_name} reconstructs nothing: it is no Encoder and MeanDecoder")
    if batch_size < 1 or (limit is not None and limit < 1):
        raise InputError(f"batch_size and limit must be at least 1, got {batch_size} and {limit}")
    found = []
    for batch in batches(data, batch_size, limit, "reconstructing" if progress else None):
        x, context = batch.x.to(model.device), None if batch.context is None else batch.context.to(model.device)
        decoded = model.decode_mean(model.encode(x, context=context).mean, context=context)
        difference = x.double() - decoded.double()
        if model.standardization is not None:
            difference = difference / model.standardization.scale
        found.append(difference.square().flatten(1).sum(1).cpu())
    values = torch.cat(found)
    return Reconstruction(float(values.mean()), standard_error(values), len(values))
