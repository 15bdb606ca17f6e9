"""Frozen: a VAE 784-512-16-512-784 as a bare PyTorch loop, the yardstick of `benchmarks.engine`.

Imports nothing of ours. Bernoulli pixels by their logits, a Gaussian posterior with a closed KL, fused Adam. The loop
does what it must and no more: no log, no checks, no validation.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BareVAE(nn.Module):
    def __init__(self, pixels: int = 784, hidden: int = 512, latent: int = 16) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, pixels))

    def loss(self, x: Tensor) -> Tensor:
        """The mean negative evidence lower bound of x, (batch, pixels), in nats."""
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        z = torch.addcmul(mean, torch.exp(0.5 * log_variance), torch.randn_like(mean))
        logits = self.decoder(z)
        reconstruction = F.softplus(logits).sum(1) - torch.linalg.vecdot(logits, x)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
        return (reconstruction + kl).mean()


def make_epoch(x: Tensor, batch: int) -> tuple[Callable[[], None], nn.Module]:
    """One epoch of training on the rows of x, and the network."""
    model = BareVAE(x.shape[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def epoch() -> None:
        for rows in torch.randperm(len(x)).split(batch):
            loss = model.loss(x[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch, model
