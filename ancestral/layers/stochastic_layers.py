"""One or several layers of Gaussian latents (Burda et al. 2016, section 2 and appendix C; Rezende et al. 2014).

The prior runs from the top down, p(z_L) = N(0, I) and p(z_l | z_l+1) a diagonal Gaussian whose mean and log-variance a
perceptron outputs; the recognition model from the bottom up, q(z_1 | x) q(z_2 | z_1) ....
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ancestral.distributions import DiagonalGaussian, LayeredGaussian
from ancestral.interface import InputError, log_standard_normal
from ancestral.layers.mlp import mlp


class StochasticLayers(nn.Module):
    """`layers` of latents, the top one of `latent_dim`, each lower one of twice as many as the one above it.

    The perceptrons between two layers are half as wide as those below them: with `hidden` (200, 200) next to x and 2
    layers of (50, 100) latents, those of the paper.
    """

    def __init__(self, latent_dim: int, layers: int, hidden: Sequence[int], activation: str) -> None:
        super().__init__()
        if latent_dim < 1 or layers < 1:
            raise InputError(f"latent_dim and layers must be at least 1, got {latent_dim} and {layers}")
        #: Of z_1, next to x, up to the top.
        self.sizes = [latent_dim * 2 ** (layers - 1 - layer) for layer in range(layers)]
        self.up, self.down = nn.ModuleList(), nn.ModuleList()
        for layer, (below, above) in enumerate(zip(self.sizes, self.sizes[1:]), 1):
            widths = [max(1, width // 2**layer) for width in hidden]
            self.up.append(mlp(below, widths, 2 * above, activation))
            self.down.append(mlp(above, widths[::-1], 2 * below, activation))

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The latents by name, the top first."""
        if len(self.sizes) == 1:
            return {"z": (self.sizes[0],)}
        return {f"z{layer}": (self.sizes[layer - 1],) for layer in range(len(self.sizes), 0, -1)}

    def lowest(self, z: Tensor) -> Tensor:
        """z_1, which alone the observation depends on, of a flat z (..., n)."""
        return z[..., -self.sizes[0] :]

    def posterior(self, first: DiagonalGaussian) -> DiagonalGaussian | LayeredGaussian:
        """q(z | x) of all layers by that of the lowest."""
        return first if len(self.sizes) == 1 else LayeredGaussian(first, list(self.up), self.sizes)

    def prior_of(self, layer: int, above: Tensor) -> DiagonalGaussian:
        """p(z_layer | z_layer+1), rows of z_layer+1 given."""
        return DiagonalGaussian(self.down[layer - 1](above), like=above)

    def log_prior(self, z: Tensor) -> Tensor:
        """ln p(z) in nats of flat z, (rows, n) -> (rows,)."""
        parts = list(z.split(self.sizes[::-1], dim=1))[::-1]
        total = log_standard_normal(parts[-1])
        for layer in range(1, len(parts)):
            total = total + self.prior_of(layer, parts[layer]).log_prob(parts[layer - 1][None])[0]
        return total

    def sample(self, name: str, parents: Mapping[str, Tensor], n: int, like: Tensor) -> Tensor:
        """`n` draws of a latent given those above it, (n, size)."""
        if not parents:
            return torch.randn(n, self.sizes[-1], dtype=like.dtype, device=like.device)
        *_, above = parents.values()
        return self.prior_of(int(name[1:]), above).rsample(1)[0][0]
