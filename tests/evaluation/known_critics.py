"""Critics whose value of each observation is a known function."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from ancestral.interface import Critic, Event, Phase, Real


class KnownCritic(Critic):
    def __init__(
        self, function: Callable[[Tensor], Tensor], criticism: Literal["logit", "potential"], dimensions: int = 1
    ) -> None:
        super().__init__(Event((dimensions,), Real()))
        self.function, self._criticism = function, criticism

    def phases(self) -> list[Phase]:
        return []

    @property
    def criticism(self) -> Literal["logit", "potential"]:
        return self._criticism

    def _criticise(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self.function(x)
