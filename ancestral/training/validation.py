"""The quantity that picks the best checkpoint."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

import torch
from torch import Tensor, nn

from ancestral.interface import (
    Batch,
    BoundedDensity,
    Classifier,
    ExactDensity,
    InputError,
    Model,
    Monitor,
    Phase,
    Shuffled,
    abilities,
    seeded,
)
from ancestral.suggestions import did_you_mean
from ancestral.training.loader import Loader
from ancestral.training.sources import Source

#: What a model must be to be monitored by each quantity but its loss.
_NEEDS = {
    "log_prob": "ExactDensity",
    "elbo": "BoundedDensity",
    "log_prob_lower_bound": "BoundedDensity",
    "accuracy": "Classifier",
}


class Validation:
    """The mean of the model's monitor over the validation rows, in evaluation mode; accuracy over those with a label.

    Noise comes from a generator of its own, seeded alike each time: two epochs are compared under the same draws, and
    training goes on as if there had been no validation.
    """

    def __init__(self, model: Model, source: Source, batch_size: int, *, rank: int, world: int) -> None:
        self.model = model
        monitor, name = str(model.monitor), model.display_name
        if monitor not in get_args(Monitor):
            known = get_args(Monitor)
            raise InputError(
                f"{name} monitors {monitor!r}{did_you_mean(monitor, known)}; monitors are {', '.join(known)} and None"
            )
        if monitor in _NEEDS and _NEEDS[monitor] not in abilities(model):
            raise InputError(f"{name} monitors {monitor} but is no {_NEEDS[monitor]}")
        if monitor == "log_prob_lower_bound" and model.monitor_samples < 1:
            raise InputError(f"monitor_samples of {name} must be at least 1, got {model.monitor_samples}")
        if monitor == "accuracy" and (source.labels is None or bool((source.labels < 0).all())):
            raise InputError(f"{name} monitors accuracy, but no validation row has a label; give the validation labels")
        # All other quantities are means over all rows alike; a loss needs the batches that it is trained on.
        batching = model.batching if monitor == "loss" else Shuffled()
        self.loader = Loader(source, batching, batch_size, seed=0, rank=rank, world=world)

    @torch.no_grad()
    def sums(self, phase: Phase) -> Tensor:
        """(sum of the monitor over this process's rows, number of rows), float64 on the CPU. A loss is that of `phase`,
        which may take gradients of its inputs."""
        self.model.eval()
        self.loader.position = 0
        values, rows = [], 0
        with seeded(torch.Generator().manual_seed(0), self.model.device):
            for batch, _ in self.loader:
                if self.model.monitor == "accuracy":
                    batch = _labelled(batch)
                if len(batch.x) > 0:
                    values.append(self._sum(batch, phase).double())
                    rows += len(batch.x)
        total = torch.stack(values).sum().cpu() if values else torch.zeros((), dtype=torch.float64)
        return torch.stack([total, torch.tensor(rows, dtype=torch.float64)])

    def better(self, value: float, than: float) -> bool:
        return value < than if self.model.monitor == "loss" else value > than

    def _sum(self, batch: Batch, phase: Phase) -> Tensor:
        model = self.model
        if model.monitor == "loss":
            with _gradients_of_inputs_alone(model):
                return phase.loss(model.prepare(batch)).total.detach() * len(batch.x)
        x, context = batch.x.to(model.device), None if batch.context is None else batch.context.to(model.device)
        if model.monitor == "accuracy" and isinstance(model, Classifier) and batch.y is not None:
            return (model.class_log_probs(x).argmax(1) == batch.y.to(model.device)).sum()
        if model.monitor == "log_prob" and isinstance(model, ExactDensity):
            return model.log_prob(x, context=context).sum()
        assert isinstance(model, BoundedDensity)
        if model.monitor == "elbo":
            return model.elbo(x, context=context).sum()
        return model.log_prob_lower_bound(x, importance_samples=model.monitor_samples, context=context).sum()


def _labelled(batch: Batch) -> Batch:
    """The rows with a label; their context is not asked for."""
    assert batch.y is not None
    return Batch(batch.x[batch.y >= 0], batch.y[batch.y >= 0])


@contextmanager
def _gradients_of_inputs_alone(model: nn.Module) -> Iterator[None]:
    """A loss may take gradients of its inputs (a gradient penalty), and no graph of the parameters is built."""
    free = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in free:
        parameter.requires_grad = False
    try:
        with torch.enable_grad():
            yield
    finally:
        for parameter in free:
            parameter.requires_grad = True
