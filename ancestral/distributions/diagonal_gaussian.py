"""The posterior of most encoders, N(mean, diag(exp(log_variance))): Kingma & Welling 2014, equation 9."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from ancestral.distributions.posterior import Posterior


class DiagonalGaussian(Posterior):
    """q(z | x) = N(mean, diag(exp(log_variance))) of each row, by what an encoder's last layer outputs.

    All it computes is in the dtype of `like`, whatever the network ran in: a KL loses digits in bf16.
    """

    def __init__(self, outputs: Float[Tensor, "batch outputs"], like: Tensor) -> None:
        self.location, self.log_variance = outputs.to(like.dtype).chunk(2, dim=1)
        self.batch, self.size = self.location.shape

    @property
    def like(self) -> Tensor:
        return self.location

    @property
    def mean(self) -> Float[Tensor, "batch size"]:
        """E z, exact."""
        return self.location

    def from_noise(
        self, noise: Float[Tensor, "samples batch size"]
    ) -> tuple[Float[Tensor, "samples batch size"], Float[Tensor, "samples batch"]]:
        """z = mean + sigma * noise, and ln q(z | x)."""
        z = torch.addcmul(self.location, torch.exp(0.5 * self.log_variance), noise)
        return z, self._log_density(noise.square())

    def log_prob(self, z: Float[Tensor, "samples batch size"]) -> Float[Tensor, "samples batch"]:
        return self._log_density((z - self.location).square() * torch.exp(-self.log_variance))

    def _log_density(self, squares: Tensor) -> Tensor:
        return -0.5 * ((squares + self.log_variance).sum(-1) + self.size * math.log(2 * math.pi))

    def frozen(self) -> "DiagonalGaussian":
        """The same with constant parameters: a gradient flows through the z of `log_prob` alone."""
        outputs = torch.cat([self.location, self.log_variance], dim=1).detach()
        return DiagonalGaussian(outputs, like=outputs)

    def kl_by_dimension(self) -> Float[Tensor, "batch size"]:
        """KL(q || N(0, 1)) of each dimension in nats, 1/2 (mu^2 + sigma^2 - 1 - ln sigma^2): the same, appendix B."""
        return 0.5 * (self.location.square() + self.log_variance.exp() - 1 - self.log_variance)

    def kl_to(
        self, mean: Float[Tensor, "*samples batch size"], log_variance: Float[Tensor, "*samples batch size"]
    ) -> Float[Tensor, "*samples batch size"]:
        """KL(q || N(mean, exp(log_variance))) of each dimension in nats."""
        log_ratio = self.log_variance - log_variance
        distance = (self.location - mean).square() * torch.exp(-log_variance)
        return 0.5 * (distance + log_ratio.exp() - 1 - log_ratio)

    def dimensions(self, start: int, end: int) -> "DiagonalGaussian":
        """The marginal of the dimensions from `start` to before `end`."""
        parts = self.location[:, start:end], self.log_variance[:, start:end]
        return DiagonalGaussian(torch.cat(parts, dim=1), like=self.location)

    @property
    def distribution(self) -> Distribution:
        return Independent(Normal(self.location, torch.exp(0.5 * self.log_variance)), 1)
