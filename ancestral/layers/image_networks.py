"""Convolutional networks between images and vectors, that generators, critics and encoders share.

The guidelines of Radford, Metz & Chintala 2016 (arXiv:1511.06434), section 3: strided convolutions in place of pooling,
ReLU towards images and leaky ReLU (0.2) away from them, weights from N(0, 0.02^2), a norm at every stage but the one
next to the image. Images of any sides from 4 pixels on are halved (rounded up) down to at most 7.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ancestral.interface import Event, InputError
from ancestral.layers.conditioning import FlatContext
from ancestral.layers.resampling import Downsample, Upsample, half

NORMS: Mapping[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    # Over all channels and pixels of one image: a critic with a gradient penalty must not mix rows (Gulrajani 2017).
    "layer": lambda channels: nn.GroupNorm(1, channels),
    "none": lambda channels: nn.Identity(),
}
#: These subtract each channel's mean: a bias before them would do nothing.
_SUBTRACT_MEANS = ("batch", "instance")


def stages(event: Event, channels: int) -> tuple[list[tuple[int, int]], list[int]]:
    """The sides and the channels at each stage, from the image (first) to the smallest map (last)."""
    sizes, widths = [(event.shape[1], event.shape[2])], [event.shape[0]]
    while max(sizes[-1]) > 7 or (len(sizes) < 3 and min(sizes[-1]) > 3):
        sizes.append(half(sizes[-1]))
        widths.append(channels * min(2 ** (len(sizes) - 2), 8))
    return sizes, widths


def unsupported_image(event: Event) -> str | None:
    """Why these networks cannot take the event, or None."""
    if len(event.shape) != 3:
        return f"it models images of shape (channels, height, width), not {event.shape}; gan takes any shape"
    if min(event.shape[1:]) < 4:
        return f"its images are at least 4 pixels high and wide, not {event.shape[1:]}; gan takes any shape"
    return None


def upsampling_stages(event: Event, channels: int, upsampling: str, norm: str = "batch") -> list[nn.Module]:
    """From the smallest map back to the image, stage by stage: norm, ReLU, and a convolution that doubles the sides."""
    sizes, widths = stages(event, channels)
    bias = check_norm(norm) not in _SUBTRACT_MEANS
    layers: list[nn.Module] = []
    for stage in range(len(widths) - 1, 0, -1):
        last = stage == 1
        layers += [NORMS[norm](widths[stage]), nn.ReLU()]
        layers += [Upsample(widths[stage], widths[stage - 1], sizes[stage - 1], upsampling, bias=last or bias)]
    return layers


class ImageDecoder(nn.Module):
    """A vector (batch, inputs) through a small map of many channels, up-sampled stage by stage to the image."""

    def __init__(
        self, event: Event, inputs: int, channels: int, upsampling: str, last_activation: nn.Module, norm: str = "batch"
    ) -> None:
        super().__init__()
        sizes, widths = stages(event, channels)
        bias = check_norm(norm) not in _SUBTRACT_MEANS
        layers: list[nn.Module] = [
            nn.Linear(inputs, widths[-1] * math.prod(sizes[-1]), bias=bias),
            nn.Unflatten(1, (widths[-1], *sizes[-1])),
            *upsampling_stages(event, channels, upsampling, norm),
        ]
        self.layers = nn.Sequential(*layers, last_activation)
        self.apply(initialise)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)


class ImageEncoder(nn.Module):
    """Strided convolutions of an image; a context enters as one more channel, a learned map of it.

    `size` is the number of entries of the last stage's maps, flattened.
    """

    def __init__(self, event: Event, context_event: Event | None, channels: int, norm: str = "batch") -> None:
        super().__init__()
        self.context = FlatContext(context_event)
        sizes, widths = stages(event, channels)
        bias = check_norm(norm) not in _SUBTRACT_MEANS
        self.context_map = nn.Linear(self.context.size, math.prod(sizes[0])) if self.context.size else None
        widths[0] += 1 if self.context.size else 0
        self.stages = nn.ModuleList()
        for stage in range(1, len(widths)):
            first = stage == 1
            self.stages.append(
                nn.Sequential(
                    Downsample(widths[stage - 1], widths[stage], bias=first or bias),
                    nn.Identity() if first else NORMS[norm](widths[stage]),
                    nn.LeakyReLU(0.2),
                )
            )
        self.size = widths[-1] * math.prod(sizes[-1])
        self.apply(initialise)

    def maps(self, x: Tensor, context: Tensor | None) -> list[Tensor]:
        """The feature maps of every stage, the last one last."""
        if self.context_map is not None:
            vector = self.context.vector(len(x), context, like=x)
            x = torch.cat([x, self.context_map(vector).view(len(x), 1, *x.shape[2:])], dim=1)
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        """The last stage's maps, (batch, size)."""
        return self.maps(x, context)[-1].flatten(1)


def check_norm(norm: str) -> str:
    """`norm`, if there is a norm of that name."""
    if norm not in NORMS:
        raise InputError(f"norm must be one of {', '.join(NORMS)}, got {norm!r}")
    return norm


def initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02^2), biases 0: pass it to `Module.apply`."""
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
