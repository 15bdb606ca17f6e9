"""A label and a Gaussian latent whose mean and variance depend on it: a mixture whose component is known."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints

from ancestral.distributions.diagonal_gaussian import DiagonalGaussian


class LabelledGaussian(Distribution):
    """q(y | x) q(z | x, y) of each row, with y one-hot: flat latents (batch, classes + n), y first.

    `log_prob` of a y that is not one-hot is the mean of its classes' by y, as that of `OneHotCategorical`.
    """

    arg_constraints = {}
    support = constraints.real_vector

    def __init__(self, class_log_probs: Float[Tensor, "batch classes"], given: DiagonalGaussian) -> None:
        """`given` is q(z | x, y) class by class, rows (classes * batch)."""
        self.class_log_probs = class_log_probs
        batch, self.classes = class_log_probs.shape
        #: Of each row and class, (batch, classes, n).
        self.location, self.log_variance = (
            values.unflatten(0, (self.classes, batch)).transpose(0, 1)
            for values in (given.location, given.log_variance)
        )
        super().__init__(torch.Size([batch]), torch.Size([self.classes + given.size]), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """(q(y | x), sum over y of q(y | x) E[z | x, y]), exact."""
        shares = self.class_log_probs.exp()
        return torch.cat([shares, torch.einsum("by,byn->bn", shares, self.location)], dim=1)

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        shape = torch.Size(sample_shape)
        with torch.no_grad():
            chosen = torch.multinomial(self.class_log_probs.exp(), shape.numel(), replacement=True).T
            y = torch.nn.functional.one_hot(chosen, self.classes).to(self.location)
            location, log_variance = (
                torch.einsum("sby,byn->sbn", y, values) for values in (self.location, self.log_variance)
            )
            z = location + torch.exp(0.5 * log_variance) * torch.randn_like(location)
        return torch.cat([y, z], dim=2).view(*shape, *self.batch_shape, *self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        y, z = value.split([self.classes, value.shape[-1] - self.classes], dim=-1)
        squares = (z.unsqueeze(-2) - self.location).square() * torch.exp(-self.log_variance)
        of_class = -0.5 * (squares + self.log_variance + math.log(2 * math.pi)).sum(-1)
        return (y * (self.class_log_probs + of_class)).sum(-1)
