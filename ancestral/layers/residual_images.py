"""Residual convolutions between images and small maps of many channels, without a norm: rows stand alone.

An image is halved (rounded up) down to at most 7 pixels a side, as in `layers.image_networks`. At each side there are
residual blocks (He et al. 2016), and channels double with every halving but the first, up to four times as many. Images
of any size will do: one of at most 7 pixels a side is not halved at all.
"""

import math
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.interface import Event, InputError
from ancestral.layers.conditioning import FlatContext
from ancestral.layers.resampling import Downsample, Upsample, half
from ancestral.layers.residual import ResidualBlock


class Pyramid:
    """The sides and the channels of the maps below an image, the largest first, with `blocks` at each side."""

    def __init__(self, event: Event, channels: int, blocks: int) -> None:
        if channels < 1 or blocks < 0:
            raise InputError(f"channels must be at least 1 and blocks at least 0, got {channels} and {blocks}")
        self.image, self.blocks = (event.shape[1], event.shape[2]), blocks
        sides = [self.image]
        while max(sides[-1]) > 7:
            sides.append(half(sides[-1]))
        self.halved = len(sides) > 1
        self.sides = sides[1:] or sides
        self.channels = [channels * min(2**stage, 4) for stage in range(len(self.sides))]
        #: The shape of the smallest map, and its numbers.
        self.smallest = (self.channels[-1], *self.sides[-1])
        self.size = math.prod(self.smallest)

    def residual(self, channels: int) -> list[nn.Module]:
        """The blocks at one side, and a rectifier."""
        return [*(ResidualBlock(channels) for _ in range(self.blocks)), nn.ReLU()]


class ResidualEncoder(nn.Module):
    """Images (batch, colours, h, w) -> the smallest map; a context enters as one more channel, a learned map of it."""

    def __init__(self, event: Event, context_event: Event | None, pyramid: Pyramid) -> None:
        super().__init__()
        self.context = FlatContext(context_event)
        size = self.context.size
        self.context_map = nn.Linear(size, math.prod(event.shape[1:])) if size else None
        inputs, first = event.shape[0] + (1 if size else 0), pyramid.channels[0]
        layers: list[nn.Module] = [
            Downsample(inputs, first) if pyramid.halved else nn.Conv2d(inputs, first, 3, padding=1),
            *pyramid.residual(first),
        ]
        for above, below in pairwise(pyramid.channels):
            layers += [Downsample(above, below), *pyramid.residual(below)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor, context: Tensor | None) -> Float[Tensor, "batch channels height width"]:
        if self.context_map is not None:
            vector = self.context.vector(len(x), context, like=x)
            x = torch.cat([x, self.context_map(vector).view(len(x), 1, *x.shape[2:])], dim=1)
        # Channels last is the fastest layout for convolutions on processors and tensor cores alike.
        return self.layers(x.contiguous(memory_format=torch.channels_last))


class ResidualDecoder(nn.Module):
    """The smallest map -> feature maps of an image's sides, as many as the largest of the pyramid has.

    The last step is the nearest-neighbour enlargement alone: whoever takes the maps begins with a convolution.
    """

    def __init__(self, pyramid: Pyramid) -> None:
        super().__init__()
        layers = pyramid.residual(pyramid.channels[-1])
        stages = list(zip(pyramid.channels, pyramid.sides, strict=True))
        for (above, sides), (below, _) in reversed(list(pairwise(stages))):
            layers += [Upsample(below, above, sides, "nearest"), *pyramid.residual(above)]
        self.layers = nn.Sequential(*layers)
        self.image = pyramid.image if pyramid.halved else None

    def forward(self, maps: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch outputs h w"]:
        maps = self.layers(maps.contiguous(memory_format=torch.channels_last))
        if self.image is None:
            return maps
        height, width = self.image
        return F.interpolate(maps, scale_factor=2.0, mode="nearest")[:, :, :height, :width]
