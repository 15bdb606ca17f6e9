"""Tiny models for the tests of training."""

import os
import signal
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ancestral.interface import (
    SGD,
    Adam,
    Batch,
    ClosedFormFit,
    Event,
    ExactDensity,
    FitStep,
    Losses,
    Model,
    OptimizerSpec,
    Phase,
    Real,
    Sampler,
)

PLANE = Event((2,), Real())


def points(n: int = 64, seed: int = 0) -> Tensor:
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)) * 0.5 + torch.tensor([1.0, -2.0])


def interrupt() -> None:
    """Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


class Gaussian(Sampler, ExactDensity):
    """Independent Gaussians: the maximum likelihood is in closed form, and training draws no noise."""

    def __init__(self, event: Event = PLANE, optimizer: OptimizerSpec | None = None) -> None:
        super().__init__(event)
        self.mean = nn.Parameter(torch.zeros(event.shape))
        self.log_scale = nn.Parameter(torch.zeros(event.shape))
        self.optimizer = optimizer or Adam(1e-2)
        self.watch: Callable[[], None] = lambda: None

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self._loss, optimizer=self.optimizer)]

    def _loss(self, batch: Batch) -> Losses:
        self.watch()
        log_prob = self._log_prob(batch.x, None)
        return Losses(-log_prob.mean(), {"spread": self.log_scale.mean()})

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return torch.distributions.Normal(self.mean, self.log_scale.exp()).log_prob(x).flatten(1).sum(1)

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return self.mean + self.log_scale.exp() * torch.randn(n, *self.event.shape)


class Noisy(Model):
    """A denoiser with dropout, batch norm and noise in its loss: all the state that a resumption must bring back."""

    def __init__(self, event: Event = PLANE) -> None:
        super().__init__(event)
        self.network = nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2))
        self.calls = 0
        self.watch: Callable[[int], None] = lambda call: None

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self._loss)]

    def _loss(self, batch: Batch) -> Losses:
        if self.training:
            self.calls += 1
            self.watch(self.calls)
        error = self.network(batch.x + torch.rand_like(batch.x)) - batch.x
        return Losses(error.square().sum(1).mean())


class Duel(Model):
    """Two phases against each other, which check at each move that only their own parameters are free."""

    monitor = None

    def __init__(self, event: Event = PLANE) -> None:
        super().__init__(event)
        self.generator = nn.Linear(2, 2)
        self.critic = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
        self.moves: list[str] = []

    def phases(self) -> Sequence[Phase]:
        clip = self._clip
        critic = Phase("critic", list(self.critic.parameters()), self._critic, optimizer=SGD(0.1), after_step=clip)
        return [critic, Phase("generator", list(self.generator.parameters()), self._generator, every=3)]

    def _critic(self, batch: Batch) -> Losses:
        self._check("critic", self.critic, self.generator)
        return Losses(self.critic(self._fake(batch)).mean() - self.critic(batch.x).mean())

    def _generator(self, batch: Batch) -> Losses:
        self._check("generator", self.generator, self.critic)
        return Losses(-self.critic(self._fake(batch)).mean())

    def _fake(self, batch: Batch) -> Tensor:
        return self.generator(torch.randn_like(batch.x))

    def _check(self, move: str, free: nn.Module, frozen: nn.Module) -> None:
        self.moves.append(move)
        assert all(parameter.requires_grad for parameter in free.parameters())
        assert not any(parameter.requires_grad for parameter in frozen.parameters())

    @torch.no_grad()
    def _clip(self) -> None:
        for parameter in self.critic.parameters():
            parameter.clamp_(-0.05, 0.05)


class Halving(ClosedFormFit):
    """Moves half of the way to the mean of the data at each step; the objective is minus the squared distance."""

    def __init__(self, event: Event = PLANE) -> None:
        super().__init__(event)
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(event.shape))
        self.watch: Callable[[], None] = lambda: None

    def _fit_start(self, x: Tensor) -> None:
        self.mean.copy_(torch.randn(self.event.shape))

    def _fit_step(self, x: Tensor) -> FitStep:
        self.watch()
        before = self._objective(x)
        self.mean += 0.5 * (x.mean(0) - self.mean)
        return FitStep(self._objective(x), (("look", before), ("move", self._objective(x))))

    def _objective(self, x: Tensor) -> float:
        return -float((x.mean(0) - self.mean).square().sum())
