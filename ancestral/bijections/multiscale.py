"""The multi-scale architecture: Dinh et al. 2017, section 3.6, equations 13 to 16."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ancestral.bijections.bijection import Bijection


class Flatten(Bijection):
    """(batch, *shape) -> (batch, n)."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(
        self, x: Float[Tensor, "batch *event"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch latent"], Float[Tensor, " batch"]]:
        return x.flatten(1), x.new_zeros(len(x))

    def inverse(
        self, z: Float[Tensor, "batch latent"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        return z.unflatten(1, self.shape), z.new_zeros(len(z))


class FactorOut(Bijection):
    """Lets the second half of the channels of (batch, c, h, w) go, and maps the first half on by `rest`.

    `rest` has a flat latent. The whole latent is flat too: that of `rest`, the coarser one, comes first, then the
    half that was let go.
    """

    def __init__(self, rest: Bijection, shape: Sequence[int]) -> None:
        super().__init__()
        self.rest = rest
        channels, height, width = shape
        self.kept = channels // 2
        self.gone_shape = (channels - self.kept, height, width)
        self.gone_size = math.prod(self.gone_shape)

    def forward(
        self, x: Float[Tensor, "batch c h w"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch latent"], Float[Tensor, " batch"]]:
        coarse, log_det = self.rest(x[:, : self.kept], context)
        return torch.cat([coarse, x[:, self.kept :].flatten(1)], dim=1), log_det

    def inverse(
        self, z: Float[Tensor, "batch latent"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch c h w"], Float[Tensor, " batch"]]:
        kept, log_det = self.rest.inverse(z[:, : -self.gone_size], context)
        return torch.cat([kept, z[:, -self.gone_size :].unflatten(1, self.gone_shape)], dim=1), log_det
