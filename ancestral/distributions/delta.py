"""All mass at one point: the distribution of a deterministic code."""

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints


class Delta(Distribution):
    """Mass 1 at `value`, (batch, n), as a `torch.distributions.Distribution` with event shape (n,).

    `log_prob` is the logarithm of a mass: 0 at the point and -inf elsewhere.
    """

    arg_constraints = {"value": constraints.real_vector}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, value: Tensor, validate_args: bool | None = None) -> None:
        self.value = value
        super().__init__(value.shape[:-1], value.shape[-1:], validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.value

    @property
    def mode(self) -> Tensor:
        return self.value

    @property
    def variance(self) -> Tensor:
        return torch.zeros_like(self.value)

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        return self.value.expand(*sample_shape, *self.value.shape)

    def log_prob(self, value: Tensor) -> Tensor:
        same = (value == self.value).all(-1)
        return torch.where(same, 0.0, -torch.inf).to(self.value.dtype)
