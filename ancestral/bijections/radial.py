"""Radial flows: Rezende & Mohamed 2015 (arXiv:1505.05770), section 4.1 (after Tabak & Turner 2013).

    f(z) = z + beta h (z - z_0),    h = 1 / (alpha + r),  r = |z - z_0|                             (equation 14)
    ln |det df/dz| = (d - 1) ln(1 + beta h) + ln(1 + alpha beta h^2)

is invertible where beta >= -alpha, which beta = -alpha + s with s = ln(1 + e^b) ensures (appendix A.2). Along its ray a
point's distance from z_0 then obeys a quadratic equation, which gives the inverse in closed form. Both factors of the
determinant are written as what they are, sums of what is above 0, which float32 does not lose where s is all but 0:

    1 + beta h = h (r + s),    1 + alpha beta h^2 = h^2 (r^2 + 2 alpha r + alpha s)
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.bijections.bijection import Bijection
from ancestral.interface import InputError


class RadialFlows(Bijection):
    """`length` radial maps one after the other, as one bijection of (batch, features).

    With a `context_size` the parameters of all maps are a linear function of the context, each row's own.
    """

    def __init__(self, features: int, length: int, context_size: int = 0) -> None:
        super().__init__()
        if length < 1:
            raise InputError(f"a flow needs a length of at least 1, got {length}")
        self.features, self.length = features, length
        start = torch.randn(length, features + 2)
        start[:, features:] *= 0.1  # alpha and what makes beta are nearly alike: nearly the identity
        #: z_0, alpha and beta of every map, or what they are of the context.
        self.bias = nn.Parameter(start.flatten())
        self.amortized = nn.Linear(context_size, start.numel(), bias=False) if context_size else None
        if self.amortized is not None:
            nn.init.normal_(self.amortized.weight, std=0.1 / context_size**0.5)

    def forward(
        self, x: Float[Tensor, "batch features"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch features"], Float[Tensor, " batch"]]:
        total = x.new_zeros(len(x))
        for centre, alpha, s in self._maps(context):
            offset = x - centre
            r = _length(offset)
            x = torch.addcmul(centre, ((r + s) / (r + alpha))[:, None], offset)
            total = total + self._log_det(alpha, s, r)
        return x, total

    def inverse(
        self, z: Float[Tensor, "batch features"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch features"], Float[Tensor, " batch"]]:
        total = z.new_zeros(len(z))
        for centre, alpha, s in reversed(self._maps(context)):
            offset = z - centre
            moved = _length(offset)
            # r (r + s) = moved (r + alpha); of the two forms of its root the one that cancels nothing.
            linear = s - moved
            root = torch.sqrt(linear.square() + 4 * alpha * moved)
            r = torch.where(linear > 0, 2 * alpha * moved / (root + linear.clamp(min=0)), (root - linear) / 2)
            z = torch.addcmul(centre, ((r + alpha) / (r + s))[:, None], offset)
            total = total - self._log_det(alpha, s, r)
        return z, total

    def _maps(self, context: Tensor | None) -> list[tuple[Tensor, Tensor, Tensor]]:
        """z_0 (rows or 1, features), alpha and s = alpha + beta (rows or 1,) of every map."""
        raw = self.bias[None]
        if self.amortized is not None and context is not None:
            raw = raw + self.amortized(context)
        raw = raw.view(len(raw), self.length, -1)
        alpha, s = F.softplus(raw[..., -2]), F.softplus(raw[..., -1])
        return [(raw[:, k, : self.features], alpha[:, k], s[:, k]) for k in range(self.length)]

    def _log_det(self, alpha: Tensor, s: Tensor, r: Tensor) -> Tensor:
        h = 1 / (r + alpha)
        across, along = h * (r + s), h.square() * (r * (r + 2 * alpha) + alpha * s)
        return (self.features - 1) * across.log() + along.log()


def _length(offset: Tensor) -> Tensor:
    """|offset|, with a derivative where it is 0."""
    return torch.sqrt(offset.square().sum(1) + torch.finfo(offset.dtype).tiny)
