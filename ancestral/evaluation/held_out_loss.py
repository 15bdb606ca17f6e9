"""The loss of held-out rows: the ruler of models that have neither a likelihood nor samples, codes or classes."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ancestral.data import Split
from ancestral.evaluation.likelihood import batches
from ancestral.interface import InputError, Model, seeded


@dataclass(frozen=True)
class HeldOutLoss:
    """The mean loss of a row that was not trained on (smaller is better), and its named parts."""

    loss: float
    parts: Mapping[str, float]
    n: int

    def __str__(self) -> str:
        parts = "".join(f", {name} {value:.4g}" for name, value in self.parts.items())
        return f"loss {self.loss:.4g}{parts}, n = {self.n:,}"


@torch.no_grad()
def evaluate_loss(
    model: Model,
    data: Split,
    *,
    batch_size: int = 256,
    limit: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> HeldOutLoss:
    """The loss of the model's first phase on the rows of `data` (at most its first `limit`), in evaluation mode.

    Its noise is drawn by `seed`. Raises `InputError` for a model that is fitted without a loss.
    """
    phases = model.phases()
    if not phases:
        raise InputError(f"{model.display_name} is fitted without a loss")
    if batch_size < 1 or (limit is not None and limit < 1):
        raise InputError(f"batch_size and limit must be at least 1, got {batch_size} and {limit}")
    sums: defaultdict[str, float] = defaultdict(float)
    n = 0
    with seeded(torch.Generator().manual_seed(seed), model.device):
        for batch in batches(data, batch_size, limit, "measuring the loss" if progress else None):
            losses, rows = phases[0].loss(model.prepare(batch)), len(batch.x)
            n += rows
            for name, value in {"": losses.total, **losses.parts}.items():
                sums[name] += rows * float(value)
    means = {name: total / n for name, total in sums.items()}
    return HeldOutLoss(means.pop(""), means, n)
