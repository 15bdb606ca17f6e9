"""Squeeze: space into channels (Dinh et al. 2017, section 3.6)."""

from jaxtyping import Float
from torch import Tensor

from ancestral.bijections.bijection import Bijection


class Squeeze(Bijection):
    """(batch, c, 2h, 2w) -> (batch, 4c, h, w): each 2 x 2 block becomes one pixel.

    The new channels are ordered by row and column within the block, then by old channel. Halves of the channels are
    thus rows, which no checkerboard separates: channel couplings behind checkerboard ones are not redundant.
    """

    def forward(
        self, x: Float[Tensor, "batch c h2 w2"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch c4 h w"], Float[Tensor, " batch"]]:
        blocks = x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))  # batch, c, h, row, w, column
        return blocks.permute(0, 3, 5, 1, 2, 4).flatten(1, 3), x.new_zeros(len(x))

    def inverse(
        self, z: Float[Tensor, "batch c4 h w"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch c h2 w2"], Float[Tensor, " batch"]]:
        blocks = z.unflatten(1, (2, 2, -1))  # batch, row, column, c, h, w
        return blocks.permute(0, 3, 4, 1, 5, 2).flatten(4, 5).flatten(2, 3), z.new_zeros(len(z))
