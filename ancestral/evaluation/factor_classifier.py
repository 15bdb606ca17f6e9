"""Small convolutional networks that read labels or known factors off images: judges of what a generator has drawn, and
features to compare images by."""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.data import Split
from ancestral.interface import InputError, seeded

#: Features of a classifier of labels, maps of its first stage, and the grid that its last maps are pooled to.
FEATURES, _CHANNELS, _GRID = 64, 16, 4
#: A classifier of labels is trained on so many pixels, and at most for so many epochs.
_PIXELS, _EPOCHS = 2e8, 20


class FactorClassifier(nn.Module):
    """Reads one categorical distribution a factor, `values[name]` wide, off images (batch, *shape) in data units.

    `channels` are the maps of its first stage, of three. Where there is a `hidden` layer, of so many units, it sees
    the last maps in their places, on a grid of 4x4; otherwise they are pooled over all places.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        values: Mapping[str, int],
        mean: Tensor,
        deviation: Tensor,
        *,
        channels: int = 32,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        stride = 2 if min(shape[1:]) >= 16 else 1
        stages = [
            *(nn.Conv2d(shape[0], channels, 5, stride, padding=2), nn.BatchNorm2d(channels), nn.ReLU()),
            *(nn.Conv2d(channels, 2 * channels, 3, padding=1), nn.BatchNorm2d(2 * channels), nn.ReLU()),
            nn.MaxPool2d(2, ceil_mode=True),
            *(nn.Conv2d(2 * channels, 4 * channels, 3, padding=1), nn.BatchNorm2d(4 * channels), nn.ReLU()),
        ]
        if hidden is None:
            # Where something is in the image says nothing about its factors.
            last: list[nn.Module] = [nn.AdaptiveMaxPool2d(1), nn.Flatten()]
        else:
            inputs = 4 * channels * _GRID**2
            last = [nn.AdaptiveMaxPool2d(_GRID), nn.Flatten(), nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden)]
            last.append(nn.ReLU())
        self.trunk = nn.Sequential(*stages, *last)
        width = 4 * channels if hidden is None else hidden
        self.heads = nn.ModuleDict({name: nn.Linear(width, number) for name, number in values.items()})

    def features(self, x: Tensor) -> Float[Tensor, "batch features"]:
        """The last hidden layer."""
        return self.trunk((x.float() - self.mean) / self.deviation)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """ln p(value | x) in nats by factor, (batch, values) each."""
        features = self.features(x)
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
    values = {name: int(target.max()) + 1 for name, target in targets.items()}
    with seeded(torch.Generator().manual_seed(seed)):
        x = split.x
        network = FactorClassifier(split.event.shape, values, *_moments(x))
        return _trained(network, x, targets, epochs, batch_size)


def train_label_classifier(split: Split, classes: int, *, seed: int = 0, batch_size: int = 128) -> FactorClassifier:
    """Train on the images of `split` that have a label, by Adam at 1e-3: its one factor is called "label".

    The same rows, seed and number of threads give the same network. It learns from as many epochs as see 200 million
    pixels, 20 at most: about a minute on one core.
    """
    if len(split.event.shape) != 3:
        raise InputError(f"labels are read off images (channels, height, width), got the shape {split.event.shape}")
    y = split.y
    labelled = torch.zeros(0, dtype=torch.int64) if y is None else (y >= 0).nonzero()[:, 0]
    if y is None or len(y[labelled].unique()) < 2:
        raise InputError(f"{split.name} has no labels of two classes or more that a classifier could learn")
    pixels = len(labelled) * math.prod(split.event.shape[1:])
    epochs = min(_EPOCHS, max(1, round(_PIXELS / pixels)))
    with seeded(torch.Generator().manual_seed(seed)):
        x = split.take(labelled).x
        network = label_classifier(split, classes, *_moments(x))
        return _trained(network, x, {"label": y[labelled]}, epochs, batch_size)


def label_classifier(split: Split, classes: int, mean: Tensor, deviation: Tensor) -> FactorClassifier:
    """The network that `train_label_classifier` trains, before it is trained."""
    values = {"label": classes}
    return _in_fast_order(
        FactorClassifier(split.event.shape, values, mean, deviation, channels=_CHANNELS, hidden=FEATURES)
    )


def train_word_classifier(
    split: Split, words: Mapping[str, Tensor], *, seed: int = 0, batch_size: int = 128
) -> FactorClassifier:
    """Train on the images of `split` to tell the `words` that were said of each, (n,) whole numbers from 0 each, by
    Adam at 1e-3. Words may be of places in the image: the last maps are seen in theirs.

    The same rows, seed and number of threads give the same network; about a minute on one core for 8,000 images.
    """
    if len(split.event.shape) != 3:
        raise InputError(f"words are read off images (channels, height, width), got the shape {split.event.shape}")
    values = {name: int(target.max()) + 1 for name, target in words.items()}
    with seeded(torch.Generator().manual_seed(seed)):
        x = split.x
        network = FactorClassifier(split.event.shape, values, *_moments(x), channels=_CHANNELS, hidden=2 * FEATURES)
        return _trained(network, x, words, _EPOCHS, batch_size)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.float().mean(), x.float().std().clamp(min=1e-12)


def _in_fast_order(network: FactorClassifier) -> FactorClassifier:
    """Convolutions of few maps are twice as fast with the channels last."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _trained(
    network: FactorClassifier, x: Tensor, targets: Mapping[str, Tensor], epochs: int, batch_size: int
) -> FactorClassifier:
    _in_fast_order(network).train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        order = torch.randperm(len(x))
        # Equal parts: batch norm must not see a last batch of one row.
        for rows in order.tensor_split(max(1, round(len(x) / batch_size))):
            log_probs = network(x[rows])
            loss = torch.stack([F.nll_loss(log_probs[name], target[rows]) for name, target in targets.items()]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    return network.eval()
