"""A posterior bent by a normalizing flow: Rezende & Mohamed 2015, section 4; Kingma et al. 2016, section 3."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ancestral.distributions.diagonal_gaussian import DiagonalGaussian
from ancestral.distributions.posterior import Posterior
from ancestral.interface import repeated


@runtime_checkable
class Flow(Protocol):
    """An invertible map of rows given a context of each, with ln |det| of its own Jacobian: a `Bijection`."""

    def __call__(self, x: Tensor, context: Tensor | None = None, /) -> tuple[Tensor, Tensor]: ...

    def inverse(self, z: Tensor, context: Tensor | None = None, /) -> tuple[Tensor, Tensor]: ...


class FlowPosterior(Posterior):
    """z = f(z_0; context) with z_0 from a diagonal Gaussian, and ln q(z | x) = ln q_0(z_0) - ln |det df/dz_0|.

    Draws take one pass of the flow; the density of any other z its inverse. `context` is what the encoder tells the
    flow of each x, (batch, n).
    """

    def __init__(self, first: DiagonalGaussian, flow: Flow, context: Tensor) -> None:
        self.first, self.flow, self.context = first, flow, context
        self.batch, self.size = first.batch, first.size

    @property
    def like(self) -> Tensor:
        return self.first.like

    def from_noise(
        self, noise: Float[Tensor, "samples batch size"]
    ) -> tuple[Float[Tensor, "samples batch size"], Float[Tensor, "samples batch"]]:
        first, log_density = self.first.from_noise(noise)
        # In the dtype of the draws, whatever the networks run in: a determinant loses digits in bf16.
        with torch.autocast(first.device.type, enabled=False):
            z, log_det = self.flow(first.flatten(0, 1), repeated(self.context, len(noise)))
        return z.view_as(noise), log_density - log_det.view_as(log_density)

    def log_prob(self, z: Float[Tensor, "samples batch size"]) -> Float[Tensor, "samples batch"]:
        first, log_det = self.flow.inverse(z.flatten(0, 1), repeated(self.context, len(z)))
        return self.first.log_prob(first.view_as(z)) + log_det.view(z.shape[:2])
