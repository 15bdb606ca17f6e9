"""Many quadratic forms x^T A x and weighted sums of x x^T at once, as matrix products.

Columns x are (size, n). `features` turns them into what both `form` and `scatter` multiply, so that one pass over the
data pays for it once.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Quadratic(ABC):
    """Symmetric matrices of `size` rows as vectors of so many coefficients: `pack` and `unpack`."""

    def __init__(self, size: int) -> None:
        self.size = size

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """What stands for columns x below."""

    def form(self, coefficients: Tensor, features: Tensor) -> Tensor:
        """x^T A x for each packed A, (k, coefficients) -> (k, n)."""
        return coefficients @ features

    def scatter(self, weights: Tensor, features: Tensor) -> Tensor:
        """The sum of x x^T over the columns with each row of `weights`, (k, n) -> (k, coefficients)."""
        return weights @ features.T

    def outer(self, rows: Tensor) -> Tensor:
        """x x^T of each row, (n, size) -> (n, coefficients), as `scatter` sums it."""
        return self.features(rows.T).T

    @abstractmethod
    def pack(self, matrices: Tensor) -> Tensor:
        """The coefficients of forms, (k, ...) -> (k, coefficients)."""

    @abstractmethod
    def unpack(self, scatter: Tensor) -> Tensor:
        """The matrices of sums, (k, coefficients) -> (k, ...)."""


class Squares(Quadratic):
    """Diagonal matrices, given as (k, size)."""

    def features(self, x: Tensor) -> Tensor:
        return x.square()

    def pack(self, matrices: Tensor) -> Tensor:
        return matrices

    def unpack(self, scatter: Tensor) -> Tensor:
        return scatter


class Pairs(Quadratic):
    """Full matrices by the products x_i x_j: one product for all k, of half the operations of `Matrices`.

    The products stand a few rows of the upper triangle at a time: rows i to j with columns i to the end. Within its own
    square of a block each pair comes twice, beyond it once.
    """

    #: About the products of one block; fewer repeat less, more are quicker to write.
    block = 128

    def __init__(self, size: int) -> None:
        super().__init__(size)
        step = max(1, self.block // size)
        self.rows = [slice(i, min(i + step, size)) for i in range(0, size, step)]
        self.lengths = [(rows.stop - rows.start) * (size - rows.start) for rows in self.rows]

    def features(self, x: Tensor) -> Tensor:
        if x.requires_grad:
            return torch.cat([(x[rows, None] * x[rows.start :]).flatten(0, 1) for rows in self.rows])
        products = x.new_empty(sum(self.lengths), x.shape[1])
        for rows, block in zip(self.rows, products.split(self.lengths), strict=True):
            torch.mul(x[rows, None], x[rows.start :], out=block.unflatten(0, (-1, self.size - rows.start)))
        return products

    def pack(self, matrices: Tensor) -> Tensor:
        parts = []
        for rows in self.rows:
            part = matrices[:, rows, rows.start :].clone()
            part[:, :, rows.stop - rows.start :] *= 2
            parts.append(part.flatten(1))
        return torch.cat(parts, 1)

    def unpack(self, scatter: Tensor) -> Tensor:
        matrices = scatter.new_empty(len(scatter), self.size, self.size)
        for rows, part in zip(self.rows, scatter.split(self.lengths, 1), strict=True):
            part = part.unflatten(1, (-1, self.size - rows.start))
            matrices[:, rows, rows.start :] = part
            matrices[:, rows.start :, rows] = part.mT
        return matrices


class Matrices(Quadratic):
    """Full matrices one by one: for many dimensions, where the products of all pairs would leave the cache."""

    def features(self, x: Tensor) -> Tensor:
        return x

    def form(self, coefficients: Tensor, features: Tensor) -> Tensor:
        return torch.stack([(features * (matrix @ features)).sum(0) for matrix in self.unpack(coefficients)])

    def scatter(self, weights: Tensor, features: Tensor) -> Tensor:
        return torch.stack([((features * row) @ features.T).flatten() for row in weights])

    def outer(self, rows: Tensor) -> Tensor:
        return (rows[:, :, None] * rows[:, None]).flatten(1)

    def pack(self, matrices: Tensor) -> Tensor:
        return matrices.flatten(1)

    def unpack(self, scatter: Tensor) -> Tensor:
        return scatter.unflatten(1, (self.size, self.size))
