"""The posterior of several stochastic layers: Burda et al. 2016, equation 2; Rezende et al. 2014, equation 9."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from ancestral.distributions.diagonal_gaussian import DiagonalGaussian
from ancestral.distributions.posterior import Posterior

#: The mean and the log-variance of a layer given the one below it, (rows, n) -> (rows, 2 * n above).
Network: TypeAlias = Callable[[Tensor], Tensor]


class LayeredGaussian(Posterior):
    """q(z_1 | x) q(z_2 | z_1) ..., a diagonal Gaussian each, drawn from the bottom up.

    `sizes` are those of z_1, z_2, ...; a flat z has them in the other order, parents of the model first.
    """

    def __init__(self, first: DiagonalGaussian, networks: Sequence[Network], sizes: Sequence[int]) -> None:
        self.first, self.networks, self.sizes = first, networks, list(sizes)
        self.batch, self.size = first.batch, sum(sizes)

    @property
    def like(self) -> Tensor:
        return self.first.like

    def from_noise(
        self, noise: Float[Tensor, "samples batch size"]
    ) -> tuple[Float[Tensor, "samples batch size"], Float[Tensor, "samples batch"]]:
        lowest, *others = self._split(noise)
        z, log_density = self.first.from_noise(lowest)
        drawn = [z]
        for network, part in zip(self.networks, others, strict=True):
            above, more = self._above(network, drawn[-1]).from_noise(part.flatten(0, 1)[None])
            drawn.append(above.view_as(part))
            log_density = log_density + more.view_as(log_density)
        return torch.cat(drawn[::-1], dim=2), log_density

    def log_prob(self, z: Float[Tensor, "samples batch size"]) -> Float[Tensor, "samples batch"]:
        layers = self._split(z)
        log_density = self.first.log_prob(layers[0])
        for network, below, above in zip(self.networks, layers, layers[1:]):
            more = self._above(network, below).log_prob(above.flatten(0, 1)[None])
            log_density = log_density + more.view_as(log_density)
        return log_density

    def frozen(self) -> "LayeredGaussian":
        """The same with constant parameters: a gradient flows through the z of `log_prob` alone."""
        return LayeredGaussian(self.first.frozen(), [_frozen(network) for network in self.networks], self.sizes)

    def _split(self, z: Tensor) -> list[Tensor]:
        """The layers of a flat z, the lowest first."""
        return list(z.split(self.sizes[::-1], dim=2))[::-1]

    @staticmethod
    def _above(network: Network, below: Tensor) -> DiagonalGaussian:
        rows = below.flatten(0, 1)
        return DiagonalGaussian(network(rows), like=rows)


def _frozen(network: Network) -> Network:
    if not isinstance(network, nn.Module):
        return network
    constants = {name: parameter.detach() for name, parameter in network.named_parameters()}
    return partial(functional_call, network, constants)
