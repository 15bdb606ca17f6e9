"""Deep convolutional generative adversarial networks.

Radford, Metz & Chintala 2016, "Unsupervised representation learning with deep convolutional generative adversarial
networks" (arXiv:1511.06434). The game of `gan.py` between convolutional networks, by the guidelines of section 3:
strided convolutions in place of pooling, batch norm in both networks except at the generator's output and the
discriminator's input, ReLU in the generator and tanh at its end, leaky ReLU (0.2) in the discriminator, weights from
N(0, 0.02^2), Adam with learning rate 2e-4 and beta_1 = 0.5 (section 4).

Departures: images of any sides from 4 pixels on, by halving (rounded up) down to at most 7; kernels of 4 pixels, a
multiple of the stride; up-sampling also by interpolation; no tanh for `Real` images.
"""

from collections.abc import Iterable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.interface import Binary, Event, InputError, Levels, Model, Phase, Real
from ancestral.layers.conditioning import FlatContext
from ancestral.layers.resampling import Downsample, Upsample, half
from ancestral.models.adversarial._two_players import Discriminator, TwoPlayerModel, check_objective
from ancestral.registry import register


class ImageGenerator(nn.Module):
    """Noise of (batch, inputs) through a small map of many channels, up-sampled stage by stage to the image."""

    def __init__(self, event: Event, inputs: int, channels: int, upsampling: str, last_activation: nn.Module) -> None:
        super().__init__()
        sizes, widths = _stages(event, channels)
        layers: list[nn.Module] = [
            # Batch norm subtracts the mean: a bias before it would do nothing.
            nn.Linear(inputs, widths[-1] * sizes[-1][0] * sizes[-1][1], bias=False),
            nn.Unflatten(1, (widths[-1], *sizes[-1])),
        ]
        for stage in range(len(widths) - 1, 0, -1):
            last = stage == 1
            layers += [nn.BatchNorm2d(widths[stage]), nn.ReLU()]
            layers += [Upsample(widths[stage], widths[stage - 1], sizes[stage - 1], upsampling, bias=last)]
        self.layers = nn.Sequential(*layers, last_activation)
        self.apply(_initialise)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)


class ImageDiscriminator(Discriminator):
    """Strided convolutions, then a linear layer; a context enters as one more channel, a learned map of it."""

    def __init__(self, event: Event, context_event: Event | None, channels: int) -> None:
        super().__init__()
        self.context = FlatContext(context_event)
        sizes, widths = _stages(event, channels)
        self.context_map = nn.Linear(self.context.size, sizes[0][0] * sizes[0][1]) if self.context.size else None
        widths[0] += 1 if self.context.size else 0
        self.stages = nn.ModuleList()
        for stage in range(1, len(widths)):
            first = stage == 1
            self.stages.append(
                nn.Sequential(
                    Downsample(widths[stage - 1], widths[stage], bias=first),
                    nn.Identity() if first else nn.BatchNorm2d(widths[stage]),
                    nn.LeakyReLU(0.2),
                )
            )
        self.logit = nn.Linear(widths[-1] * sizes[-1][0] * sizes[-1][1], 1)
        self.apply(_initialise)

    def _maps(self, x: Tensor, context: Tensor | None) -> list[Tensor]:
        if self.context_map is not None:
            vector = self.context.vector(len(x), context).to(x)
            x = torch.cat([x, self.context_map(vector).view(len(x), 1, *x.shape[2:])], dim=1)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def features(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Every layer's maps max-pooled to a grid of 4x4, flattened and joined (section 5.1)."""
        pooled = [
            F.adaptive_max_pool2d(m, (min(4, m.shape[2]), min(4, m.shape[3]))).flatten(1)
            for m in self._maps(x, context)
        ]
        return torch.cat(pooled, dim=1)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self.logit(self._maps(x, context)[-1].flatten(1)).squeeze(1)


@register("dcgan")
class DCGAN(TwoPlayerModel):
    """Deep convolutional generative adversarial network for images (Radford et al. 2016).

    Args:
        latent_dim: dimensions of the noise z.
        channels: channels next to the image; twice as many at each halving of the sides, eight times at most.
        upsampling: "transposed" (learned), "nearest" or "bilinear".
        objective: the generator's, "non_saturating" or "minimax".
        real_label: what the discriminator is to answer for real data in training; 1, or slightly less to smooth it.
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        latent_dim: int = 100,
        channels: int = 64,
        upsampling: str = "transposed",
        objective: str = "non_saturating",
        real_label: float = 1.0,
    ) -> None:
        super().__init__(event, context_event, latent_dim)
        check_objective(objective, real_label)
        if channels < 1:
            raise InputError(f"channels must be at least 1, got {channels}")
        self.objective, self.real_label = objective, real_label
        inputs = latent_dim + self.condition.size
        self.generator = ImageGenerator(event, inputs, channels, upsampling, self._last_activation)
        self.discriminator = ImageDiscriminator(event, context_event, channels)

    @classmethod
    def supports(cls, event: Event) -> str | None:
        if len(event.shape) != 3:
            return f"it models images of shape (channels, height, width), not {event.shape}; gan takes any shape"
        if min(event.shape[1:]) < 4:
            return f"its images are at least 4 pixels high and wide, not {event.shape[1:]}; gan takes any shape"
        return None

    def phases(self) -> Sequence[Phase]:
        return self._goodfellow_phases(self.objective, self.real_label)

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(cls, latent_dim=2, channels=4)
        yield tiny(Event((1, 8, 8), Binary()))
        yield tiny(Event((3, 5, 6), Levels(256)), upsampling="nearest")
        yield tiny(Event((1, 4, 4), Real()), upsampling="bilinear", objective="minimax")
        yield tiny(Event((1, 4, 4), Levels(17)), context_event=Event((), Levels(3)))


def _stages(event: Event, channels: int) -> tuple[list[tuple[int, int]], list[int]]:
    """The sides and the channels at each stage, from the image (first) to the smallest map (last)."""
    sizes, widths = [(event.shape[1], event.shape[2])], [event.shape[0]]
    while max(sizes[-1]) > 7 or (len(sizes) < 3 and min(sizes[-1]) > 3):
        sizes.append(half(sizes[-1]))
        widths.append(channels * min(2 ** (len(sizes) - 2), 8))
    return sizes, widths


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
