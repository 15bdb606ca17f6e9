"""Learning-rate schedules: factors of the optimizer's own rate."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from ancestral.interface import InputError


class Schedule(ABC):
    """A factor of the learning rate over a run."""

    @abstractmethod
    def factor_at(self, step: int, epoch: int, progress: float) -> float:
        """The factor at a step: `step` and `epoch` count from 0, `progress` is the share of the budget that is used."""

    @property
    def stretches(self) -> bool:
        """Whether the factors depend on the run's budget."""
        return False


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate throughout."""

    def factor_at(self, step: int, epoch: int, progress: float) -> float:
        return 1.0


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine over the budget, from 1 down to `final` (Loshchilov & Hutter 2017, equation 5), after a linear rise
    over `warmup_steps`."""

    warmup_steps: int = 0
    final: float = 0.0

    def __post_init__(self) -> None:
        if self.warmup_steps < 0 or not 0 <= self.final <= 1:
            raise InputError(f"Cosine needs warmup_steps >= 0 and final in [0, 1], got {self}")

    def factor_at(self, step: int, epoch: int, progress: float) -> float:
        rise = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        return rise * (self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))

    @property
    def stretches(self) -> bool:
        return True


@dataclass(frozen=True)
class Linear(Schedule):
    """A straight line over the budget, from 1 down to `final`, after a linear rise over `warmup_steps`."""

    warmup_steps: int = 0
    final: float = 0.0

    def __post_init__(self) -> None:
        if self.warmup_steps < 0 or not 0 <= self.final <= 1:
            raise InputError(f"Linear needs warmup_steps >= 0 and final in [0, 1], got {self}")

    def factor_at(self, step: int, epoch: int, progress: float) -> float:
        rise = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        return rise * (1 - (1 - self.final) * min(progress, 1.0))

    @property
    def stretches(self) -> bool:
        return True


@dataclass(frozen=True)
class Step(Schedule):
    """Multiplied by `factor` after every `every` epochs."""

    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        if self.every < 1 or self.factor <= 0:
            raise InputError(f"Step needs every >= 1 epoch and factor > 0, got {self}")

    def factor_at(self, step: int, epoch: int, progress: float) -> float:
        return self.factor ** (epoch // self.every)
