"""The quantity that picks the best checkpoint."""

import torch
from torch import Tensor

from ancestral.interface import Batch, BoundedDensity, ExactDensity, InputError, Model, Phase, Shuffled, seeded
from ancestral.training.loader import Loader
from ancestral.training.sources import Source


class Validation:
    """The mean of the model's monitor over the validation rows, in evaluation mode.

    Noise comes from a generator of its own, seeded alike each time: two epochs are compared under the same draws, and
    training goes on as if there had been no validation.
    """

    def __init__(self, model: Model, phase: Phase, source: Source, batch_size: int, *, rank: int, world: int) -> None:
        self.model, self.phase = model, phase
        monitor = model.monitor
        if monitor == "log_prob" and not isinstance(model, ExactDensity):
            raise InputError(f"{type(model).__name__} monitors log_prob but is no ExactDensity")
        if monitor == "elbo" and not isinstance(model, BoundedDensity):
            raise InputError(f"{type(model).__name__} monitors elbo but is no BoundedDensity")
        # A likelihood is a mean over all rows alike; a loss needs the batches that it is trained on.
        batching = model.batching if monitor == "loss" else Shuffled()
        self.loader = Loader(source, batching, batch_size, seed=0, rank=rank, world=world)

    @torch.no_grad()
    def sums(self) -> Tensor:
        """(sum of the monitor over this process's rows, number of rows), float64 on the CPU."""
        self.model.eval()
        self.loader.position = 0
        values, rows = [], 0
        with seeded(torch.Generator().manual_seed(0), self.model.device):
            for batch, _ in self.loader:
                values.append(self._sum(self.model.prepare(batch)).double())
                rows += len(batch.x)
        return torch.stack([torch.stack(values).sum().cpu(), torch.tensor(rows, dtype=torch.float64)])

    def better(self, value: float, than: float) -> bool:
        return value < than if self.model.monitor == "loss" else value > than

    def _sum(self, batch: Batch) -> Tensor:
        model = self.model
        if model.monitor == "log_prob" and isinstance(model, ExactDensity):
            return model.log_prob(batch.x, context=batch.context).sum()
        if model.monitor == "elbo" and isinstance(model, BoundedDensity):
            return model.elbo(batch.x, context=batch.context).sum()
        return self.phase.loss(batch).total * len(batch.x)
