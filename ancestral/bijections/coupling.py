"""Affine couplings: Dinh, Sohl-Dickstein & Bengio 2017, "Density estimation using Real NVP", sections 3.2 to 3.4.

One part of the variables passes unchanged and tells a network, the conditioner, how to scale and shift the other part:
z = x exp(s) + t, with the log-determinant sum(s) (equations 4 to 6). See `bijections/affine.py` for the bounds of both.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ancestral.bijections.affine import clipped, restored, transformed
from ancestral.bijections.bijection import Bijection
from ancestral.bijections.chain import Chain


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
        moved, log_det = transformed(moved, *_coefficients(self.conditioner, kept, context))
        return self._join(kept, moved), log_det

    def inverse(
        self, z: Float[Tensor, "batch *event"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        kept, moved = self._split(z)
        moved, log_det = restored(moved, *_coefficients(self.conditioner, kept, context))
        return self._join(kept, moved), log_det

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        start, end = _halves(x)
        return (end, start) if self.first else (start, end)

    def _join(self, kept: Tensor, moved: Tensor) -> Tensor:
        return torch.cat([moved, kept] if self.first else [kept, moved], dim=1)


class AlternatingCouplings(Bijection):
    """Couplings of the halves of a vector, (batch, features), in turn: the second half moves first.

    The same map as a chain of `AffineCoupling`, but the halves stay apart from the first coupling to the last, which
    saves a copy and all strided access in between. Each coupling may have a bijection that its output goes through, as
    the paper's batch norm: pass as many `norms` as `conditioners`, or none.
    """

    def __init__(self, conditioners: Sequence[nn.Module], norms: Sequence[Bijection] = ()) -> None:
        super().__init__()
        self.conditioners = nn.ModuleList(conditioners)
        self.norms = nn.ModuleList(norms or (Chain([]) for _ in conditioners))

    def forward(
        self, x: Float[Tensor, "batch features"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch features"], Float[Tensor, " batch"]]:
        total = x.new_zeros(len(x))
        kept, moved = _halves(x)
        for conditioner, norm in zip(self.conditioners, self.norms, strict=True):
            moved, log_det = transformed(moved, *_coefficients(conditioner, kept, context))
            total = total + log_det
            moved, log_det = norm(moved)
            kept, moved, total = moved, kept, total + log_det
        return torch.cat([moved, kept] if self._odd else [kept, moved], dim=1), total

    def inverse(
        self, z: Float[Tensor, "batch features"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch features"], Float[Tensor, " batch"]]:
        total = z.new_zeros(len(z))
        first, second = _halves(z)
        kept, moved = (second, first) if self._odd else (first, second)
        for conditioner, norm in zip(reversed(self.conditioners), reversed(self.norms), strict=True):
            assert isinstance(norm, Bijection)
            kept, (moved, log_det) = moved, norm.inverse(kept)
            total = total + log_det
            moved, log_det = restored(moved, *_coefficients(conditioner, kept, context))
            total = total + log_det
        return torch.cat([kept, moved], dim=1), total

    @property
    def _odd(self) -> bool:
        return len(self.conditioners) % 2 == 1


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
        return transformed(x, *self._coefficients(x, context))

    def inverse(
        self, z: Float[Tensor, "batch c h w"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch c h w"], Float[Tensor, " batch"]]:
        return restored(z, *self._coefficients(z, context))

    def _coefficients(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        shift, log_scale = _coefficients(self.conditioner, x * (1 - self.moves), context)
        return shift * self.moves, log_scale * self.moves


def _halves(x: Tensor) -> tuple[Tensor, Tensor]:
    half = x.shape[1] // 2
    first, second = x.split([half, x.shape[1] - half], dim=1)
    return first, second


def _coefficients(conditioner: nn.Module, kept: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
    """Shift and bounded log-scale of the transformed variables."""
    shift, raw = conditioner(clipped(kept), context).chunk(2, dim=1)
    return shift, raw.tanh()
