"""Permutations of the entries of dimension 1."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ancestral.bijections.bijection import Bijection
from ancestral.interface import InputError


class Permutation(Bijection):
    """z[:, i] = x[:, order[i]], for the features of a vector or the channels of an image."""

    order: Tensor
    back: Tensor

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        if sorted(order) != list(range(len(order))):
            raise InputError(f"order must be a permutation of 0 .. {len(order) - 1}, got {list(order)}")
        indices = torch.tensor(order)
        self.register_buffer("order", indices, persistent=False)
        self.register_buffer("back", indices.argsort(), persistent=False)

    @classmethod
    def flip(cls, features: int) -> "Permutation":
        """The permutation that reverses the order."""
        return cls(list(reversed(range(features))))

    def forward(
        self, x: Float[Tensor, "batch *event"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        return x[:, self.order], x.new_zeros(len(x))

    def inverse(
        self, z: Float[Tensor, "batch *event"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        return z[:, self.back], z.new_zeros(len(z))
