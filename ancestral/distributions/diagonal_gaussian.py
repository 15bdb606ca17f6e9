"""The posterior of most encoders, N(mean, diag(exp(log_variance))): Kingma & Welling 2014, equation 9."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal


class DiagonalGaussian:
    """q(z | x) = N(mean, diag(exp(log_variance))) of each row, by what an encoder's last layer outputs.

    All it computes is in the dtype of `like`, whatever the network ran in: a KL loses digits in bf16.
    """

    def __init__(self, outputs: Float[Tensor, "batch outputs"], like: Tensor) -> None:
        self.mean, self.log_variance = outputs.to(like.dtype).chunk(2, dim=1)

    def rsample(self, samples: int) -> tuple[Float[Tensor, "samples batch n"], Float[Tensor, "samples batch"]]:
        """Reparametrized draws z = mean + sigma * noise, and ln q(z | x) of each in nats."""
        noise = torch.randn(samples, *self.mean.shape, dtype=self.mean.dtype, device=self.mean.device)
        z = torch.addcmul(self.mean, torch.exp(0.5 * self.log_variance), noise)
        constant = self.mean.shape[1] * math.log(2 * math.pi)
        return z, -0.5 * ((noise.square() + self.log_variance).sum(-1) + constant)

    def kl_by_dimension(self) -> Float[Tensor, "batch n"]:
        """KL(q || N(0, 1)) of each dimension in nats, 1/2 (mu^2 + sigma^2 - 1 - ln sigma^2): the same, appendix B."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance)

    @property
    def distribution(self) -> Distribution:
        """As a torch distribution with batch shape (batch,) and event shape (n,)."""
        return Independent(Normal(self.mean, torch.exp(0.5 * self.log_variance)), 1)
