"""Continuous densities on discrete levels: uniform dequantization (Theis, van den Oord & Bethge 2016, section 3.1).

The probability of the levels x is the mass of their cell, p(x) = integral over u in [0, 1)^D of f(x + u) du. With
u ~ U[0, 1)^D, f(x + u) is an unbiased estimate of it, so its logarithm is a stochastic lower bound. The inner model f
sees y = (x + u) / L, or, for a flow, logit(a + (1 - 2a) y) as in Dinh et al. 2017, section 4.1 (with the margin on both
sides); the log-determinants are counted here. The real columns of a table pass as they are.

Mass that f puts outside the cells of all levels belongs to no x: the bound is then looser than it need be, never too
high.
"""

import math
from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from ancestral.interface import (
    Batch,
    BoundedDensity,
    Categories,
    ClosedFormFit,
    Columns,
    Encoder,
    Event,
    ExactDensity,
    FitStep,
    InputError,
    Levels,
    Losses,
    MeanDecoder,
    Phase,
    Sampler,
    Support,
    repeated,
    seeded,
)


class DequantizedDensity(Sampler, BoundedDensity, ABC):
    """What the three dequantized models share; `inner` is the continuous density."""

    #: Margin a of the logit transform; None for no logit.
    margin: ClassVar[float | None] = None
    levels: Tensor
    ordered: Tensor

    def __init__(self, inner: ExactDensity, event: Event) -> None:
        super().__init__(event, context_event=inner.context_event)
        if not is_dequantized(event.support):
            raise InputError(
                f"only Levels, and columns of which none are categories, are dequantized, got {event.support}"
            )
        if not isinstance(inner, Sampler):
            raise InputError(f"{inner.display_name} cannot be dequantized: it is no Sampler")
        self.inner = inner
        counts = [support.values or 1 for support in event.supports]
        #: How many levels each dimension has, (*event); 1 where it is real already.
        self.register_buffer("levels", torch.tensor(counts).view(event.shape), persistent=False)
        #: What is dequantized, (*event).
        self.register_buffer("ordered", self.levels > 1, persistent=False)
        self._log_levels = sum(map(math.log, counts))
        self.batching, self.loss_differs = inner.batching, inner.loss_differs
        self.accepts_missing = inner.accepts_missing
        # Saved and loaded under the inner model's name: `build` dequantizes it again.
        self.registered_name, self.settings = inner.registered_name, inner.settings

    def to_inner(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """The inner model's input for y in [0, L], and ln |d inner / dy| summed per example, (batch,)."""
        y = y / self.levels
        if self.margin is None:
            return y, -self._log_volumes(y)
        # What is real passes as it is.
        v = torch.where(self.ordered, self.margin + (1 - 2 * self.margin) * y, 0.5)
        log_derivative = torch.where(self.ordered, math.log1p(-2 * self.margin) - v.log() - torch.log1p(-v), 0.0)
        return torch.where(self.ordered, torch.logit(v), y), log_derivative.flatten(1).sum(1) - self._log_levels

    def _log_volumes(self, y: Tensor) -> Tensor:
        """ln of the levels of all dimensions, of a row with missing values of those that are there, (batch,)."""
        if not self.accepts_missing:
            return y.new_full((len(y),), self._log_levels)
        return ((~y.isnan()).flatten(1).double() @ self.levels.flatten().double().log()).to(y.dtype)

    def from_inner(self, z: Tensor) -> Tensor:
        """The inverse of `to_inner`: values that lie in [0, L] wherever z has a preimage there."""
        if self.margin is None:
            return z * self.levels
        y = (torch.sigmoid(z) - self.margin) / (1 - 2 * self.margin) * self.levels
        return torch.where(self.ordered, y, z)

    def _to_levels(self, z: Tensor) -> Tensor:
        y = self.from_inner(z)
        return torch.where(self.ordered, y.floor().clamp(min=0).minimum(self.levels - 1), y)

    def _noisy(self, x: Tensor) -> Tensor:
        """x + u, where x is discrete."""
        return torch.where(self.ordered, x + torch.rand_like(x), x)

    def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        rows = repeated(x, samples)
        z, log_det = self.to_inner(self._noisy(rows))
        return (self.inner._log_prob(z, repeated(context, samples)) + log_det).unflatten(0, (samples, -1))

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        assert isinstance(self.inner, Sampler)
        return self._to_levels(self.inner._sample(n, context))

    def phases(self) -> Sequence[Phase]:
        return [replace(phase, loss=self._dequantized(phase)) for phase in self.inner.phases()]

    def _dequantized(self, phase: Phase) -> Callable[[Batch], Losses]:
        def loss(batch: Batch) -> Losses:
            z, log_det = self.to_inner(self._noisy(batch.x))
            inner = phase.loss(Batch(z, batch.y, batch.context))
            return Losses(inner.total - log_det.mean(), inner.parts)

        return loss


class Dequantized(DequantizedDensity):
    """A dequantized density without latents."""


class DequantizedFlow(DequantizedDensity, Encoder, MeanDecoder):
    """A dequantized flow: its latents are those of the flow at the middle of each cell."""

    margin = 0.05

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return self._flow.latent_shapes

    @property
    def _flow(self) -> MeanDecoder:
        assert isinstance(self.inner, MeanDecoder)
        return self.inner

    def _sample_latent(self, name: str, parents: Mapping[str, Tensor], n: int, context: Tensor | None) -> Tensor:
        return self._flow._sample_latent(name, parents, n, context)

    def _log_prior(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self._flow._log_prior(z, context)

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        assert isinstance(self.inner, Encoder)
        return self.inner._encode(self.to_inner(torch.where(self.ordered, x + 0.5, x))[0], context)

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        # A cell [k, k + 1) has its middle at k + 1/2, and decode() rounds.
        y = self.from_inner(self._flow._decode_mean(z, context))
        return torch.where(self.ordered, (y - 0.5).clamp(min=0).minimum(self.levels - 1), y)


class DequantizedFit(DequantizedDensity, ClosedFormFit):
    """A dequantized model that is fitted without gradients, on one fixed draw of the noise."""

    _NOISE_SEED: ClassVar[int] = 0

    @property
    def _fit(self) -> ClosedFormFit:
        assert isinstance(self.inner, ClosedFormFit)
        return self.inner

    def phases(self) -> Sequence[Phase]:
        return ()

    def _fixed(self, x: Tensor) -> Tensor:
        # The same noise at every step: EM climbs one objective.
        with seeded(torch.Generator().manual_seed(self._NOISE_SEED), self.device):
            return self.to_inner(self._noisy(x))[0]

    def _fit_start(self, x: Tensor) -> None:
        self._fit._fit_start(self._fixed(x))

    def _fit_step(self, x: Tensor) -> FitStep:
        step = self._fit._fit_step(self._fixed(x))
        offset = float(self._log_volumes(x).mean())
        return FitStep(step.objective - offset, tuple((name, value - offset) for name, value in step.trace))


def is_dequantized(support: Support) -> bool:
    """Whether noise makes it `Real`: `Levels`, and columns of which none are categories."""
    if isinstance(support, Columns):
        return not any(isinstance(kind, Categories) for kind in support.kinds)
    return isinstance(support, Levels)


def dequantize(inner: ExactDensity, event: Event) -> DequantizedDensity:
    """The continuous density `inner` as a model of the levels of `event`."""
    if isinstance(inner, ClosedFormFit):
        return DequantizedFit(inner, event)
    if isinstance(inner, Encoder) and isinstance(inner, MeanDecoder):
        return DequantizedFlow(inner, event)
    return Dequantized(inner, event)
