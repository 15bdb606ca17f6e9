"""Composition."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from ancestral.bijections.bijection import Bijection


class Chain(Bijection):
    """The bijections one after the other, the first one first; log-determinants add up."""

    def __init__(self, bijections: Sequence[Bijection]) -> None:
        super().__init__()
        self.bijections = nn.ModuleList(bijections)

    def forward(
        self, x: Float[Tensor, "batch *event"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch *latent"], Float[Tensor, " batch"]]:
        total = x.new_zeros(len(x))
        for bijection in self.bijections:
            x, log_det = bijection(x, context)
            total = total + log_det
        return x, total

    def inverse(
        self, z: Float[Tensor, "batch *latent"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        total = z.new_zeros(len(z))
        for bijection in reversed(self.bijections):
            assert isinstance(bijection, Bijection)
            z, log_det = bijection.inverse(z, context)
            total = total + log_det
        return z, total
