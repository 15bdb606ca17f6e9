"""In which stage of a likelihood its bits are: how much of it a coarse view takes, and how much the details."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ancestral.data import Split
from ancestral.evaluation.likelihood import batches, bits_per_dim, in_digits
from ancestral.interface import InputError, Model, StagedDensity


@dataclass(frozen=True)
class StageShares:
    """Bits that each stage takes, by its name, per dimension of the whole observation: they sum to the score's."""

    bits_per_dim: Mapping[str, float]
    n: int

    @property
    def shares(self) -> dict[str, float]:
        """The share of all bits that each stage takes."""
        total = sum(self.bits_per_dim.values())
        return {name: bits / total for name, bits in self.bits_per_dim.items()}

    def __str__(self) -> str:
        parts = (f"{name} {in_digits(self.bits_per_dim[name], 4)} ({share:.1%})" for name, share in self.shares.items())
        return f"bits/dim by stage: {', '.join(parts)}, n = {self.n}"


@torch.no_grad()
def stage_shares(
    model: Model,
    data: Split | Tensor,
    *,
    batch_size: int = 256,
    limit: int | None = None,
    progress: bool = False,
) -> StageShares:
    """How the bits of `data` (at most its first `limit` rows) divide among the stages of `model`'s likelihood.

    Raises:
        InputError: the likelihood of the model has no stages.
    """
    if not isinstance(model, StagedDensity):
        raise InputError(f"the likelihood of {model.display_name} has no stages: it is no StagedDensity")
    total, n = torch.zeros(len(model.stages), dtype=torch.float64), 0
    for batch in batches(data, batch_size, limit, "dividing" if progress else None):
        x, context = batch.x.to(model.device), None if batch.context is None else batch.context.to(model.device)
        total += model.stage_log_probs(x, context=context).double().sum(1).cpu()
        n += len(x)
    found = zip(model.stages, (total / n).tolist(), strict=True)
    return StageShares({name: bits_per_dim(nats, model.event) for name, nats in found}, n)
