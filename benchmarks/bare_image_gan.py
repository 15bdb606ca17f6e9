"""Frozen: a DCGAN and a WGAN-GP on 28x28 images as bare PyTorch loops, the yardstick of `benchmarks.adversarial`.

Imports nothing of ours. Two stages, 28 - 14 - 7 pixels, by strided and transposed 4x4 convolutions; batch norm in the
generator and in the DCGAN's discriminator, one norm over each image's own features in the critic. Fused Adam; each
player's step takes no gradient for the other's weights, as a careful loop would have it.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Epoch = Callable[[], None]


def make_generator(channels: int, latent: int) -> nn.Module:
    c = channels
    return nn.Sequential(
        nn.Linear(latent, 2 * c * 49, bias=False),
        nn.Unflatten(1, (2 * c, 7, 7)),
        nn.BatchNorm2d(2 * c),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * c, c, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(c),
        nn.ReLU(),
        nn.ConvTranspose2d(c, 1, 4, stride=2, padding=1),
        nn.Tanh(),
    )


def make_critic(channels: int, *, of_logits: bool) -> nn.Module:
    """A discriminator with batch norm, or a critic with layer norm and without a bias at its end."""
    c = channels
    return nn.Sequential(
        nn.Conv2d(1, c, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(c, 2 * c, 4, stride=2, padding=1, bias=not of_logits),
        nn.BatchNorm2d(2 * c) if of_logits else nn.GroupNorm(1, 2 * c),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(2 * c * 49, 1, bias=of_logits),
        nn.Flatten(0),
    )


class Players(nn.Module):
    """Both networks, of which one moves at a time."""

    def __init__(self, channels: int, latent: int, *, of_logits: bool) -> None:
        super().__init__()
        self.latent = latent
        self.generator = make_generator(channels, latent)
        self.critic = make_critic(channels, of_logits=of_logits)

    def generated(self, n: int) -> Tensor:
        return self.generator(torch.randn(n, self.latent))

    def optimizers(self, lr: float, betas: tuple[float, float]) -> Iterator[torch.optim.Optimizer]:
        for player in (self.critic, self.generator):
            yield torch.optim.Adam(player.parameters(), lr=lr, betas=betas, fused=True)

    def move_generator(self, loss: Callable[[Tensor], Tensor], optimizer: torch.optim.Optimizer, n: int) -> None:
        self.critic.requires_grad_(False)
        value = loss(self.critic(self.generated(n)))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        self.critic.requires_grad_(True)


def make_dcgan_epoch(x: Tensor, batch: int, channels: int, latent: int) -> tuple[Epoch, nn.Module]:
    """One epoch of the discriminator's and the generator's steps on the rows of x in [0, 255], and the networks."""
    model = Players(channels, latent, of_logits=True).train()
    for_critic, for_generator = model.optimizers(2e-4, (0.5, 0.999))

    def epoch() -> None:
        for rows in torch.randperm(len(x)).split(batch):
            with torch.no_grad():
                fake = model.generated(len(rows))
            real = x[rows].float() * (2 / 255) - 1
            loss = F.softplus(-model.critic(real)).mean() + F.softplus(model.critic(fake)).mean()
            for_critic.zero_grad()
            loss.backward()
            for_critic.step()
            model.move_generator(lambda logits: F.softplus(-logits).mean(), for_generator, len(rows))

    return epoch, model


def make_wgan_gp_epoch(
    x: Tensor, batch: int, channels: int, latent: int, critic_steps: int = 5, weight: float = 10.0
) -> tuple[Epoch, nn.Module]:
    """One epoch of the critic's steps with its penalty, and of each fifth batch one of the generator's."""
    model = Players(channels, latent, of_logits=False).train()
    for_critic, for_generator = model.optimizers(1e-4, (0.0, 0.9))

    def epoch() -> None:
        for step, rows in enumerate(torch.randperm(len(x)).split(batch), start=1):
            with torch.no_grad():
                fake = model.generated(len(rows))
            real = x[rows].float() * (2 / 255) - 1
            share = torch.rand(len(rows), 1, 1, 1)
            between = torch.lerp(fake, real, share).requires_grad_()
            (slopes,) = torch.autograd.grad(model.critic(between).sum(), between, create_graph=True)
            penalty = (slopes.flatten(1).norm(dim=1) - 1).square().mean()
            loss = model.critic(fake).mean() - model.critic(real).mean() + weight * penalty
            for_critic.zero_grad()
            loss.backward()
            for_critic.step()
            if step % critic_steps == 0:
                model.move_generator(lambda values: -values.mean(), for_generator, len(rows))

    return epoch, model
