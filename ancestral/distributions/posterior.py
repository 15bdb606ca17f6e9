"""What every approximate posterior q(z | x) has, whatever its form."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints

from ancestral.interface import seeded


class Posterior(ABC):
    """q(z | x) of each row of a batch, a reparametrized distribution of flat latents (batch, size).

    Several draws of each row have shape (samples, batch, size), and their log-densities (samples, batch) in nats.
    """

    batch: int
    size: int

    @abstractmethod
    def from_noise(
        self, noise: Float[Tensor, "samples batch size"]
    ) -> tuple[Float[Tensor, "samples batch size"], Float[Tensor, "samples batch"]]:
        """What noise of N(0, I) becomes: draws of z, and ln q(z | x) of each."""

    @abstractmethod
    def log_prob(self, z: Float[Tensor, "samples batch size"]) -> Float[Tensor, "samples batch"]:
        """ln q(z | x)."""

    @property
    @abstractmethod
    def like(self) -> Tensor:
        """A tensor of the dtype and on the device of the draws."""

    def kl_by_dimension(self) -> Float[Tensor, "batch size"] | None:
        """KL(q || N(0, I)) of each dimension in nats where that has a closed form, otherwise None."""
        return None

    def rsample(self, samples: int) -> tuple[Float[Tensor, "samples batch size"], Float[Tensor, "samples batch"]]:
        """Draws of z, and ln q(z | x) of each."""
        like = self.like
        return self.from_noise(torch.randn(samples, self.batch, self.size, dtype=like.dtype, device=like.device))

    @property
    def mean(self) -> Float[Tensor, "batch size"]:
        """E z, by default an estimate: the mean of 256 draws from a fixed seed, of the same noise for every row."""
        like = self.like
        with seeded(torch.Generator().manual_seed(0), like.device):
            noise = torch.randn(256, 1, self.size, dtype=like.dtype, device=like.device)
        return self.from_noise(noise.expand(-1, self.batch, -1))[0].mean(0)

    @property
    def distribution(self) -> Distribution:
        """As a torch distribution with batch shape (batch,) and event shape (size,)."""
        return _AsDistribution(self)


class _AsDistribution(Distribution):
    arg_constraints = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, posterior: Posterior) -> None:
        self.posterior = posterior
        super().__init__(torch.Size([posterior.batch]), torch.Size([posterior.size]), validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.posterior.mean

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        shape = torch.Size(sample_shape)
        z, _ = self.posterior.rsample(shape.numel())
        return z.view(*shape, *z.shape[1:])

    def log_prob(self, value: Tensor) -> Tensor:
        value = value.expand(torch.broadcast_shapes(value.shape, self.batch_shape + self.event_shape))
        return self.posterior.log_prob(value.reshape(-1, *value.shape[-2:])).view(value.shape[:-1])
