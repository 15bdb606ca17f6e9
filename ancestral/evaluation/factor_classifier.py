"""A small convolutional network that reads known factors off images: the judge of what a generator has drawn."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.data import Split
from ancestral.interface import InputError, seeded


class FactorClassifier(nn.Module):
    """Reads one categorical distribution a factor, `values[name]` wide, off images (batch, *shape) in data units."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: tuple[int, ...], values: Mapping[str, int], mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        # Where something is in the image says nothing about its factors: the last maps are pooled over all places.
        stages = [
            *(nn.Conv2d(shape[0], 32, 5, stride=2, padding=2), nn.BatchNorm2d(32), nn.ReLU()),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(64, 128, 3, padding=1), nn.BatchNorm2d(128), nn.ReLU(), nn.AdaptiveMaxPool2d(1)),
        ]
        self.trunk = nn.Sequential(*stages, nn.Flatten())
        self.heads = nn.ModuleDict({name: nn.Linear(128, number) for name, number in values.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """ln p(value | x) in nats by factor, (batch, values) each."""
        features = self.trunk((x.float() - self.mean) / self.deviation)
        return {name: head(features).log_softmax(1) for name, head in self.heads.items()}

    @torch.no_grad()
    def read(self, x: Tensor, batch_size: int = 512) -> dict[str, Float[Tensor, "batch values"]]:
        """The same without gradients, in batches."""
        parts = [self(rows) for rows in x.split(batch_size)]
        return {name: torch.cat([part[name] for part in parts]) for name in self.heads}


def train_factor_classifier(
    split: Split, factors: tuple[str, ...], *, seed: int = 0, epochs: int = 10, batch_size: int = 128
) -> FactorClassifier:
    """Train on the images of `split` and their categorical `factors` (whole numbers from 0), by Adam at 1e-3."""
    for name in factors:
        if name not in split.factors or split.factors[name].is_floating_point():
            known = [key for key, value in split.factors.items() if not value.is_floating_point()]
            raise InputError(
                f"{split.name} has no categorical factor {name!r}; it has {', '.join(known) or 'none'}"
                " (the built-in data set shapes has shape and colour)"
            )
    if len(split.event.shape) != 3:
        raise InputError(f"factors are read off images (channels, height, width), got the shape {split.event.shape}")
    targets = {name: split.factors[name] for name in factors}
    x = split.x
    with seeded(torch.Generator().manual_seed(seed)):
        values = {name: int(target.max()) + 1 for name, target in targets.items()}
        mean, deviation = x.float().mean(), x.float().std()
        network = FactorClassifier(split.event.shape, values, mean, deviation).train()
        optimizer = torch.optim.Adam(network.parameters(), 1e-3, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
        for _ in range(epochs):
            for rows in torch.randperm(len(x)).split(batch_size):
                log_probs = network(x[rows])
                loss = torch.stack([F.nll_loss(log_probs[name], targets[name][rows]) for name in factors]).sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            schedule.step()
    return network.eval()
