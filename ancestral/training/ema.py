"""A moving average of a model's weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ancestral.interface import Model


class MovingAverage:
    """Exponential moving average of all parameters and floating buffers (Polyak & Juditsky 1992, in its common form);
    not of a `training_state`, which is no part of the model.

    average <- d average + (1 - d) weights after each step, with d = min(decay, (1 + step) / (10 + step)): a short run
    does not stay with the weights that it started from.
    """

    def __init__(self, model: Model, decay: float) -> None:
        self.model, self.decay = model, decay
        self._averages = [weight.clone() for weight in self._weights()]

    def _weights(self) -> list[Tensor]:
        # Collected anew each time: a model may replace a buffer by assignment.
        parameters = [parameter.detach() for parameter in self.model.parameters()]
        passing = {id(tensor) for tensor in self.model.training_state().values()}
        buffers = [buffer for buffer in self.model.buffers() if buffer.is_floating_point()]
        return parameters + [buffer for buffer in buffers if id(buffer) not in passing]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the weights after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averages, self._weights(), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model holds the averages inside, and its own weights again after."""
        own = [weight.clone() for weight in self._weights()]
        self.apply()
        try:
            yield
        finally:
            _copy(self._weights(), own)

    def apply(self) -> None:
        """Put the averages into the model for good."""
        _copy(self._weights(), self._averages)

    def state_dict(self) -> list[Tensor]:
        return self._averages

    def load_state_dict(self, averages: list[Tensor]) -> None:
        _copy(self._averages, averages)


@torch.no_grad()
def _copy(to: list[Tensor], source: list[Tensor]) -> None:
    for target, value in zip(to, source, strict=True):
        target.copy_(value)
