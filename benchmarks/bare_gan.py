"""Frozen: a GAN, generator 64-256-784 and discriminator 784-256-1, as a bare PyTorch loop, the yardstick of
`benchmarks.engine`. Imports nothing of ours.

One step of the discriminator, one of the generator (non-saturating), each with fused Adam. The generator's step takes
no gradient for the discriminator's weights: they are frozen meanwhile, as a careful loop would have it.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BareGAN(nn.Module):
    def __init__(self, pixels: int = 784, hidden: int = 256, latent: int = 64) -> None:
        super().__init__()
        self.latent = latent
        self.generator = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, pixels))
        self.discriminator = nn.Sequential(nn.Linear(pixels, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1))

    def discriminator_loss(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            fake = self.generator(torch.randn(len(x), self.latent))
        return F.softplus(-self.discriminator(x)).mean() + F.softplus(self.discriminator(fake)).mean()

    def generator_loss(self, n: int) -> Tensor:
        return F.softplus(-self.discriminator(self.generator(torch.randn(n, self.latent)))).mean()


def make_epoch(x: Tensor, batch: int) -> tuple[Callable[[], None], nn.Module]:
    """One epoch of training on the rows of x, and the networks."""
    model = BareGAN(x.shape[1])
    for_discriminator, for_generator = (
        torch.optim.Adam(player.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
        for player in (model.discriminator, model.generator)
    )

    def epoch() -> None:
        for rows in torch.randperm(len(x)).split(batch):
            loss = model.discriminator_loss(x[rows])
            for_discriminator.zero_grad()
            loss.backward()
            for_discriminator.step()
            model.discriminator.requires_grad_(False)
            loss = model.generator_loss(len(rows))
            for_generator.zero_grad()
            loss.backward()
            for_generator.step()
            model.discriminator.requires_grad_(True)

    return epoch, model
