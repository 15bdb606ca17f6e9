"""Affine couplings: Dinh, Sohl-Dickstein & Bengio 2017, "Density estimation using Real NVP", sections 3.2 to 3.4.

One part of the variables passes unchanged and tells a network, the conditioner, how to scale and shift the other part:
z = x exp(s) + t, with the log-determinant sum(s) (equations 4 to 6).

Two choices keep float32 accurate far outside the data. The log-scale is s = 2 tanh(raw): the paper's learned factor in
front of tanh is left to the network's last layer, and the fixed one bounds the condition number. The conditioner sees
its input clipped to [-20, 20], far beyond standardised data: outside, the coupling is affine with constant
coefficients, so an error in one half is not multiplied by the size of the other.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.bijections.bijection import Bijection

LOG_SCALE_BOUND = 2.0
CLIP = 20.0


class AffineCoupling(Bijection):
    """Transforms one half of dimension 1, the features of a vector or the channels of an image.

    The first half has `features // 2` entries. With `first`, that half is transformed given the second; otherwise the
    second given the first. `conditioner(kept, context)` outputs the shifts and then the raw log-scales along
    dimension 1, twice as many entries as are transformed.
    """

    def __init__(self, conditioner: nn.Module, *, first: bool) -> None:
        super().__init__()
        self.conditioner = conditioner
        self.first = first

    def forward(
        self, x: Float[Tensor, "batch *event"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        kept, moved = self._split(x)
        shift, log_scale = _coefficients(self.conditioner, kept, context)
        moved = torch.addcmul(shift, moved, log_scale.exp())
        return self._join(kept, moved), log_scale.flatten(1).sum(1)

    def inverse(
        self, z: Float[Tensor, "batch *event"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        kept, moved = self._split(z)
        shift, log_scale = _coefficients(self.conditioner, kept, context)
        moved = (moved - shift) * torch.exp(-log_scale)
        return self._join(kept, moved), -log_scale.flatten(1).sum(1)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        half = x.shape[1] // 2
        start, end = x.split([half, x.shape[1] - half], dim=1)
        return (end, start) if self.first else (start, end)

    def _join(self, kept: Tensor, moved: Tensor) -> Tensor:
        return torch.cat([moved, kept] if self.first else [kept, moved], dim=1)


class CheckerboardCoupling(Bijection):
    """Transforms every other pixel of an image, (batch, c, h, w), given the pixels between them (figure 3, left).

    Pixels whose row plus column is odd are transformed, with `even` the others. `conditioner(kept, context)` sees zeros
    in place of them and outputs 2c channels: the shifts, then the raw log-scales.
    """

    moves: Tensor

    def __init__(self, conditioner: nn.Module, height: int, width: int, *, even: bool) -> None:
        super().__init__()
        self.conditioner = conditioner
        parity = (torch.arange(height).unsqueeze(1) + torch.arange(width)) % 2
        moves = (parity == 0) if even else (parity == 1)
        self.register_buffer("moves", moves.to(torch.get_default_dtype()), persistent=False)

    def forward(
        self, x: Float[Tensor, "batch c h w"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch c h w"], Float[Tensor, " batch"]]:
        shift, log_scale = self._coefficients(x, context)
        return torch.addcmul(shift, x, log_scale.exp()), log_scale.flatten(1).sum(1)

    def inverse(
        self, z: Float[Tensor, "batch c h w"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch c h w"], Float[Tensor, " batch"]]:
        shift, log_scale = self._coefficients(z, context)
        return (z - shift) * torch.exp(-log_scale), -log_scale.flatten(1).sum(1)

    def _coefficients(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        shift, log_scale = _coefficients(self.conditioner, x * (1 - self.moves), context)
        return shift * self.moves, log_scale * self.moves


def _coefficients(conditioner: nn.Module, kept: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
    """Shift and bounded log-scale of the transformed variables."""
    shift, raw = conditioner(F.hardtanh(kept, -CLIP, CLIP), context).chunk(2, dim=1)
    return shift, LOG_SCALE_BOUND * raw.tanh()
