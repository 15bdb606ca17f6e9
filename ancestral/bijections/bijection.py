"""What every bijection has."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn


class Bijection(nn.Module, ABC):
    """An invertible map of each example on its own, with the logarithm of its Jacobian's determinant.

    An implementer writes `forward` and `inverse`, both batched over the first dimension. Each returns its value and
    ln |det| of its *own* Jacobian, (batch,), so that those of a round trip cancel. The latent may have another shape
    than x, of the same number of elements. `context` is (batch, n) numbers that the map may depend on, whatever their
    meaning; a map that does not use them ignores them.

    Data towards noise is `forward`: the density of x is that of z = forward(x) times the determinant.
    """

    @abstractmethod
    def forward(
        self, x: Float[Tensor, "batch *event"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch *latent"], Float[Tensor, " batch"]]:
        """z and ln |det dz/dx|."""

    @abstractmethod
    def inverse(
        self, z: Float[Tensor, "batch *latent"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        """x and ln |det dx/dz|, so that forward(x) is z again."""
