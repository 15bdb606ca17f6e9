"""A bijection the other way round."""

from jaxtyping import Float
from torch import Tensor

from ancestral.bijections.bijection import Bijection


class Inverse(Bijection):
    """`forward` is the `inverse` of the bijection, and the other way round.

    What starts from its first batch, as actnorm, does so in its own `forward`, and belongs outside.
    """

    def __init__(self, bijection: Bijection) -> None:
        super().__init__()
        self.bijection = bijection

    def forward(
        self, x: Float[Tensor, "batch *event"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch *latent"], Float[Tensor, " batch"]]:
        return self.bijection.inverse(x, context)

    def inverse(
        self, z: Float[Tensor, "batch *latent"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        x: tuple[Tensor, Tensor] = self.bijection(z, context)
        return x
