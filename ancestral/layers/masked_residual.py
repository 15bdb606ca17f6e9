"""The residual block of PixelCNN (van den Oord et al. 2016, "Pixel Recurrent Neural Networks", figure 5 left)."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ancestral.layers.masked import RasterConv2d, channel_groups
from ancestral.layers.masked_sampler import CachedConv2d, CachedPointwise, Call, RasterLayer, colour_spans


class MaskedResidualBlock(nn.Module):
    """2h feature maps in and out: relu, 1x1 to h, relu, a masked convolution, relu, 1x1 to 2h, and the input added."""

    def __init__(self, channels: int, kernel_size: int, colours: int) -> None:
        super().__init__()
        outer, inner = channel_groups(2 * channels, colours), channel_groups(channels, colours)
        self.reduce = RasterConv2d(inner, outer, 1)
        self.convolution = RasterConv2d(inner, inner, kernel_size)
        self.expand = RasterConv2d(outer, inner, 1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """`context` is what the context adds to the h maps of the masked convolution, broadcastable."""
        # The gradient of a convolution does not need its output: what follows one may overwrite it.
        h = self.convolution(self.reduce(x.relu()).relu_())
        if context is not None:
            h = h + context
        return self.expand(h.relu_()).add_(x)


class CachedResidualBlock(RasterLayer):
    """A `MaskedResidualBlock` of n images of that width, each feature computed once."""

    def __init__(self, block: MaskedResidualBlock, n: int, width: int, *, added: Tensor | None = None) -> None:
        self.reduce = CachedPointwise(block.reduce, n)
        self.convolution = CachedConv2d(block.convolution, n, width, rectified=True, added=added)
        self.expand = CachedPointwise(block.expand, n, rectified=True)
        self.work = max(part.work for part in (self.reduce, self.convolution, self.expand))
        self.spans = colour_spans(block.reduce.inputs)
        self.inputs = block.reduce.weight.new_empty(n, block.reduce.in_channels)

    def slot(self, column: int, colour: int) -> Tensor:
        start, end = self.spans[colour]
        return self.inputs[:, start:end]

    def begin(self, row: int) -> None:
        self.convolution.begin(row)

    def calls(self, column: int, colour: int, out: Tensor | None) -> Iterator[Call]:
        x = self.slot(column, colour)
        yield partial(torch.clamp_min, x, 0, out=self.reduce.slot(column, colour))
        yield from self.reduce.calls(column, colour, self.convolution.slot(column, colour))
        yield from self.convolution.calls(column, colour, self.expand.slot(column, colour))
        yield from self.expand.calls(column, colour, out, residual=x)


def cached_residual_blocks(
    blocks: nn.ModuleList, n: int, width: int, added: Sequence[Tensor | None]
) -> list[CachedResidualBlock]:
    """The blocks, each with what the context adds to its masked convolution."""
    cached = []
    for block, shift in zip(blocks, added, strict=True):
        assert isinstance(block, MaskedResidualBlock)
        cached.append(CachedResidualBlock(block, n, width, added=shift))
    return cached
