"""The entries of x x^T as a vector, so that quadratic forms and weighted scatter matrices are matrix products."""

from collections.abc import Iterator

import torch
from torch import Tensor


class PairProducts:
    """The distinct products x_i x_j of a vector of `size` numbers, in blocks that stay in cache.

    A block is the rows i to j of the upper triangle with the columns i to the end: within its own square each pair
    comes twice, beyond it once. `at_once` is about the number of products in a block.
    """

    def __init__(self, size: int, at_once: int) -> None:
        step = max(1, at_once // size)
        self.size = size
        self.rows = [slice(i, min(i + step, size)) for i in range(0, size, step)]
        self.lengths = [(rows.stop - rows.start) * (size - rows.start) for rows in self.rows]

    def blocks(self, x: Tensor) -> Iterator[Tensor]:
        """The products of columns x, (size, n), as blocks (some products, n)."""
        for rows in self.rows:
            yield (x[rows, None] * x[rows.start :]).flatten(0, 1)

    def fill(self, x: Tensor, out: Tensor) -> Tensor:
        """All blocks below each other in `out`, (products, at least n), without gradients; what was written."""
        n = x.shape[1]
        for rows, block in zip(self.rows, out.split(self.lengths), strict=True):
            torch.mul(x[rows, None], x[rows.start :], out=block[:, :n].unflatten(0, (-1, self.size - rows.start)))
        return out[:, :n]

    def pack(self, matrices: Tensor) -> Tensor:
        """Coefficients (k, products) that give x^T A x for each of the symmetric matrices A, (k, size, size)."""
        parts = []
        for rows in self.rows:
            part = matrices[:, rows, rows.start :].clone()
            part[:, :, rows.stop - rows.start :] *= 2
            parts.append(part.flatten(1))
        return torch.cat(parts, 1)

    def unpack(self, products: Tensor) -> Tensor:
        """The symmetric matrices (k, size, size) whose entries are `products`, (k, products)."""
        matrices = products.new_empty(len(products), self.size, self.size)
        for rows, part in zip(self.rows, products.split(self.lengths, 1), strict=True):
            part = part.unflatten(1, (-1, self.size - rows.start))
            matrices[:, rows, rows.start :] = part
            matrices[:, rows.start :, rows] = part.mT
        return matrices
