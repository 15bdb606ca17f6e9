"""The residual multiplicative blocks of the Video Pixel Network (Kalchbrenner et al. 2017, sections 4.1 and 4.2).

A multiplicative unit is the update of an LSTM with the feature map itself in the place of the memory. With * a
convolution (its bias is left out),

    g1 = sigmoid(W1 * h),  g2 = sigmoid(W2 * h),  g3 = sigmoid(W3 * h),  u = tanh(W4 * h),
    MU(h) = g1 tanh(g2 h + g3 u).

A block is 1x1 from 2c feature maps to c, two units, 1x1 back to 2c, and the input added.
"""

from collections.abc import Iterator
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ancestral.layers.masked import RasterConv2d, channel_groups
from ancestral.layers.masked_sampler import CachedConv2d, CachedPointwise, Call, RasterLayer, colour_spans


def multiplicative_unit(
    gates: Float[Tensor, "batch channels4 height width"], h: Float[Tensor, "batch channels height width"]
) -> Float[Tensor, "batch channels height width"]:
    """g1 tanh(g2 h + g3 u), of the convolutions W1 * h to W4 * h one after another in `gates`."""
    first, second, third, update = gates.chunk(4, dim=1)
    return first.sigmoid() * (second.sigmoid() * h + third.sigmoid() * update.tanh()).tanh()


class MultiplicativeBlock(nn.Module):
    """A residual multiplicative block of 2 `channels` feature maps, whose units see all around a pixel.

    With `colours` its convolutions are raster-masked instead, each feature map being of one colour.
    """

    def __init__(self, channels: int, kernel_size: int, *, dilation: int = 1, colours: int | None = None) -> None:
        super().__init__()
        outer, inner = channel_groups(2 * channels, colours or 1), channel_groups(channels, colours or 1)
        self.reduce = RasterConv2d(inner, outer, 1)
        self.units = nn.ModuleList(
            RasterConv2d(inner.repeat(4), inner, kernel_size)
            if colours
            else nn.Conv2d(channels, 4 * channels, kernel_size, padding="same", dilation=dilation)
            for _ in range(2)
        )
        self.expand = RasterConv2d(outer, inner, 1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """`context` is what the context adds before the gates of both units, (batch, 8 channels, 1, 1)."""
        h = self.reduce(x)
        shifts = (None, None) if context is None else context.chunk(2, dim=1)
        for unit, shift in zip(self.units, shifts):
            gates = unit(h)
            h = multiplicative_unit(gates if shift is None else gates + shift, h)
        return self.expand(h) + x


class CachedMultiplicativeBlock(RasterLayer):
    """A raster-masked `MultiplicativeBlock` of n images of that width, each feature computed once."""

    def __init__(self, block: MultiplicativeBlock, n: int, width: int, added: Tensor | None = None) -> None:
        shifts = (None, None) if added is None else added.chunk(2, dim=1)
        self.reduce, self.expand = CachedPointwise(block.reduce, n), CachedPointwise(block.expand, n)
        self.units = []
        for unit, shift in zip(block.units, shifts):
            assert isinstance(unit, RasterConv2d)
            self.units.append(CachedConv2d(unit, n, width, added=shift))
        self.work = max(part.work for part in (self.reduce, *self.units, self.expand))
        spans = colour_spans(block.expand.inputs)
        self.gates = [block.expand.weight.new_empty(n, 4 * (end - start)) for start, end in spans]

    def slot(self, column: int, colour: int) -> Tensor:
        return self.reduce.slot(column, colour)

    def begin(self, row: int) -> None:
        for unit in self.units:
            unit.begin(row)

    def calls(self, column: int, colour: int, out: Tensor | None) -> Iterator[Call]:
        yield from self.reduce.calls(column, colour, self.units[0].slot(column, colour))
        for unit, after in zip(self.units, (self.units[1], self.expand)):
            yield from unit.calls(column, colour, self.gates[colour])
            yield from self._unit(unit.slot(column, colour), self.gates[colour], after.slot(column, colour))
        yield from self.expand.calls(column, colour, out, residual=self.slot(column, colour))

    def _unit(self, h: Tensor, gates: Tensor, out: Tensor) -> Iterator[Call]:
        """`multiplicative_unit` of one colour at one pixel, by way of the buffer of its gates."""
        first, second, third, update = gates.chunk(4, dim=1)
        yield gates[:, : -update.shape[1]].sigmoid_
        yield update.tanh_
        yield partial(torch.mul, second, h, out=second)
        yield partial(torch.addcmul, second, third, update, out=out)
        yield out.tanh_
        yield partial(torch.mul, out, first, out=out)
