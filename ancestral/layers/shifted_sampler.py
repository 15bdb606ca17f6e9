"""The cached features of two shifted streams: the conditionals of an image one pixel after another.

Every feature is computed once (Ramachandran et al. 2017, "Fast Generation for Convolutional Autoregressive Models",
arXiv:1704.06001). The vertical stream advances a row at a time, for all columns at once, and so does what the
horizontal stream takes from rows above. The horizontal stream then advances a pixel at a time: two or three small
products for each layer, written into buffers whose views are made beforehand.

At half the resolution the vertical features of row h see rows before 2h of the image, and the horizontal ones at (h, w)
pixels before (2h, 2w): they are computed when row 2h begins, and at the pixel (2h, 2w). Transposed convolutions lay
them on rows 2h and 2h + 1 alone, and on columns 2w and 2w + 1. So an odd row or column finds below it what the even one
before it has left there.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.layers.autoregressive import Stepwise, threads
from ancestral.layers.pixel_mixture import PixelConditionals, PixelMixture
from ancestral.layers.shifted import (
    Features,
    GatedResidual,
    GatedStreams,
    PointwiseConv2d,
    ShiftedConv2d,
    ShiftedHalf,
    ShiftedInput,
    ShiftedScale,
    ShiftedStack,
    concat_elu,
)


class ShiftedRaster(Stepwise):
    """A `ShiftedInput`, a `ShiftedScale` or a `ShiftedStack`, and a 1x1 convolution of the horizontal stream's ELU to
    the parameters of a `PixelMixture`, on n images in raster order, whose values v are seen as v * `scale` - 1.

    `context` is the vector (n, size) of a `ShiftedScale`, and the features (n, channels, h, w) of a `ShiftedStack`.
    """

    def __init__(
        self,
        first: ShiftedInput,
        network: ShiftedScale | ShiftedStack,
        output: PointwiseConv2d,
        mixture: PixelMixture,
        shape: tuple[int, ...],
        n: int,
        *,
        scale: float,
        context: Tensor | None,
    ) -> None:
        self.colours, _, self.width = shape
        self.mixture, self.scale, self.threads = mixture, scale, torch.get_num_threads()
        channels = output.direction.shape[1]
        self.work = n * 8 * channels**2
        self.first = _Input(first, n, self.width)
        self.network: _Scale | _Stack
        if isinstance(network, ShiftedScale):
            self.network = _Scale(network, self.first.line, context)
        else:
            self.network = _Stack(network, self.first.line, context)
        self.output, self.output_bias = output.weight[:, :, 0, 0].T.contiguous(), output.bias

    def parameters(self, step: int) -> Tensor:
        pixel, colour = divmod(step, self.colours)
        row, column = divmod(pixel, self.width)
        if colour == 0:
            if column == 0:
                # The products of a whole row are worth all threads, those of a pixel may be not.
                with threads(self.threads):
                    self.network.begin(self.first.begin(), row)
            self.first.advance(column)
            features = F.elu(self.network.advance(row, column))
            self.pixel = PixelConditionals(self.mixture, torch.addmm(self.output_bias, features, self.output))
        return self.pixel.parameters

    def write(self, step: int, values: Tensor) -> None:
        pixel, colour = divmod(step, self.colours)
        torch.mul(values, self.scale, out=self.first.image[:, 2, 1 + pixel % self.width, colour]).sub_(1)
        if colour + 1 < self.colours:
            self.pixel.write(values)


class _Line:
    """A row of a horizontal feature map, (n, 1 + width, channels), behind a column of zeros, and its activations."""

    def __init__(self, like: Tensor, n: int, width: int, channels: int) -> None:
        self.width = width
        self.values = like.new_zeros(n, 1 + width, channels)
        self.active = like.new_zeros(n, 1 + width, 2 * channels)
        # A pixel's values, and where its activations are kept: those of x, those of -x, and both.
        self.pixels = [
            (self.values[:, j], self.active[:, j, :channels], self.active[:, j, channels:], self.active[:, j])
            for j in range(1, 1 + width)
        ]

    def activate(self, column: int) -> None:
        value, positive, negative, both = self.pixels[column]
        positive.copy_(value)
        torch.neg(value, out=negative)
        F.elu_(both)


def _pairs(row: Tensor, stride: int = 1) -> Tensor:
    """Each feature of a row beside the one before it, (n, 1 + width, channels) -> (n, width / stride, 2 channels)."""
    return row.flatten(1).unfold(1, 2 * row.shape[2], stride * row.shape[2])


class _Rows:
    """Two rows of a vertical feature map, with a column of zeros at either end, and a convolution of them."""

    def __init__(self, convolution: ShiftedConv2d, n: int, width: int) -> None:
        weight = convolution.weight
        self.weight, self.bias, self.stride = weight, convolution.bias, convolution.stride
        self.rows = weight.new_zeros(n, 2, width + 2, weight.shape[1])

    def push(self, row: Tensor) -> None:
        self.rows[:, 0] = self.rows[:, 1]
        self.rows[:, 1, 1:-1] = row

    def convolved(self) -> Tensor:
        """(n, width / stride, outputs)."""
        out = F.conv2d(self.rows.permute(0, 3, 1, 2), self.weight, self.bias, self.stride)
        return out.permute(0, 2, 3, 1)[:, 0]


class _Input:
    """The first layer, and three rows of the image, of which the last is being drawn, with their channel of ones."""

    def __init__(self, layer: ShiftedInput, n: int, width: int) -> None:
        weight = layer.vertical.weight
        self.image = weight.new_zeros(n, 3, width + 2, weight.shape[1])
        self.vertical, self.vertical_bias = weight, layer.vertical.bias
        self.above, self.bias = layer.above.weight, layer.above.bias + layer.left.bias
        self.left_above, left = layer.left.weight[:, :, :, 0].permute(2, 1, 0)
        self.left = left.contiguous()
        self.line = _Line(weight, n, width, len(weight))
        self.taken = weight.new_zeros(n, width, len(weight))

    def begin(self) -> Features:
        """The next row begins: the vertical features of it."""
        self.image[:, :2] = self.image[:, 1:].clone()
        self.image[:, 2, 1:-1, -1] = 1
        rows = self.image[:, :2].permute(0, 3, 1, 2)
        above = F.conv2d(rows[:, :, 1:], self.above, self.bias).permute(0, 2, 3, 1)[:, 0]
        torch.add(above, self.image[:, 1, :-2] @ self.left_above, out=self.taken)
        return Features.of(F.conv2d(rows, self.vertical, self.vertical_bias).permute(0, 2, 3, 1)[:, 0], dim=-1)

    def advance(self, column: int) -> None:
        torch.addmm(self.taken[:, column], self.image[:, 2, column], self.left, out=self.line.pixels[column][0])
        self.line.activate(column)


class _Vertical:
    """A gated layer of the vertical stream, a row at a time; features are (n, width, channels)."""

    def __init__(self, layer: GatedResidual, n: int, width: int, context: Tensor | None) -> None:
        self.first, self.second = _Rows(layer.first, n, width), _Rows(layer.second, n, width)
        self.short_cut: tuple[Tensor, Tensor] | None = None
        if layer.short_cut is not None:
            self.short_cut = layer.short_cut.weight[:, :, 0, 0], layer.short_cut.bias
        self.added = None if layer.context is None else layer.context(context)[:, None]

    def advance(self, x: Features, earlier: Features | None) -> Features:
        self.first.push(x.active)
        hidden = self.first.convolved()
        if self.short_cut is not None and earlier is not None:
            hidden = hidden + F.linear(earlier.active, *self.short_cut)
        self.second.push(concat_elu(hidden, dim=-1))
        gates = self.second.convolved()
        if self.added is not None:
            gates = gates + self.added
        return Features.of(x.value + F.glu(gates, dim=-1), dim=-1)


class _Step(NamedTuple):
    """A gated layer of the horizontal stream at one column: tensors to read, and views to write."""

    from_above: Tensor  # what the row above and the vertical stream add before the first ELU
    taps: Tensor  # the input's activations at the column before and at this one
    earlier: Tensor | None  # those of the short-cut
    hidden: Tensor  # where x, -x and both of the hidden features' ELU are kept
    negative: Tensor
    both: Tensor
    gates_from_above: Tensor
    hidden_taps: Tensor
    value: Tensor
    out: Tensor


class _Horizontal:
    """A gated layer of the horizontal stream, a pixel at a time, from one line to another."""

    def __init__(self, layer: GatedResidual, line: _Line, earlier: _Line | None, context: Tensor | None) -> None:
        n, _, channels = line.values.shape
        width = line.width
        assert layer.short_cut is not None
        self.input, self.line = line, _Line(line.values, n, width, channels)
        self.hidden = _Line(line.values, n, width, channels)
        self.first_above, self.first = _halves(layer.first)
        self.second_above, self.second = _halves(layer.second)
        short_cut = layer.short_cut.weight[:, :, 0, 0].T.contiguous()
        self.vertical, self.earlier = short_cut[: 2 * channels], short_cut[2 * channels :]
        self.first_bias, self.second_bias = layer.first.bias + layer.short_cut.bias, layer.second.bias
        self.added = None if layer.context is None else layer.context(context)[:, None]
        self.from_above = line.values.new_zeros(n, width, channels)
        self.gates_from_above = line.values.new_zeros(n, width, 2 * channels)
        self.gates = line.values.new_zeros(n, 2 * channels)
        self.a, self.b = self.gates.chunk(2, dim=1)
        self.steps = [
            _Step(
                self.from_above[:, j],
                self.input.active[:, j : j + 2].flatten(1),
                None if earlier is None else earlier.active[:, 1 + j],
                self.hidden.pixels[j][1],
                self.hidden.pixels[j][2],
                self.hidden.pixels[j][3],
                self.gates_from_above[:, j],
                self.hidden.active[:, j : j + 2].flatten(1),
                self.input.values[:, 1 + j],
                self.line.values[:, 1 + j],
            )
            for j in range(width)
        ]

    def begin(self, vertical: Features) -> None:
        """A row begins; the lines still hold the row above it."""
        above = F.linear(_pairs(self.input.active), self.first_above, self.first_bias)
        torch.add(above, vertical.active @ self.vertical, out=self.from_above)
        self.gates_from_above.copy_(F.linear(_pairs(self.hidden.active), self.second_above, self.second_bias))
        if self.added is not None:
            self.gates_from_above += self.added

    def advance(self, column: int) -> None:
        step = self.steps[column]
        torch.addmm(step.from_above, step.taps, self.first, out=step.hidden)
        if step.earlier is not None:
            step.hidden.addmm_(step.earlier, self.earlier)
        torch.neg(step.hidden, out=step.negative)
        F.elu_(step.both)
        torch.addmm(step.gates_from_above, step.hidden_taps, self.second, out=self.gates)
        torch.addcmul(step.value, self.a, self.b.sigmoid_(), out=step.out)
        self.line.activate(column)


def _halves(convolution: ShiftedConv2d) -> tuple[Tensor, Tensor]:
    """A 2x2 kernel's weights of the row above, (outputs, 2 inputs), and of its own row, (2 inputs, outputs)."""
    above, own = convolution.weight.permute(2, 0, 3, 1).flatten(2)
    return above.contiguous(), own.T.contiguous()


class _Scale:
    """The caches of one resolution and of those below it; `line` is the input of the horizontal stream."""

    def __init__(self, scale: ShiftedScale, line: _Line, context: Tensor | None) -> None:
        n = len(line.values)
        self.descent, self.ascent = [], []
        lines = [line]
        for streams in scale.descent:
            self.descent.append(_Streams(streams, lines[-1], None, n, context))
            lines.append(self.descent[-1].horizontal.line)
        self.lower = None if scale.lower is None else _Half(scale.lower, lines[-1], context)
        line = lines.pop() if self.lower is None else self.lower.line_back
        for streams in scale.ascent:
            self.ascent.append(_Streams(streams, line, lines.pop(), n, context))
            line = self.ascent[-1].horizontal.line
        self.line = line

    def begin(self, vertical: Features, row: int) -> Features:
        """A row begins: from the vertical features that come in to those that leave."""
        kept = [vertical]
        for layer in self.descent:
            kept.append(layer.begin(kept[-1], None))
        vertical = kept.pop() if self.lower is None else self.lower.begin(kept[-1], row)
        for layer in self.ascent:
            vertical = layer.begin(vertical, kept.pop())
        return vertical

    def advance(self, row: int, column: int) -> Tensor:
        """The horizontal stream's last features at a pixel, (n, channels)."""
        for layer in self.descent:
            layer.horizontal.advance(column)
        if self.lower is not None:
            self.lower.advance(row, column)
        for layer in self.ascent:
            layer.horizontal.advance(column)
        return self.line.pixels[column][0]


class _Stack:
    """The caches of a `ShiftedStack`, and what it is given, of which the horizontal stream finds the current row on a
    line of its own."""

    def __init__(self, stack: ShiftedStack, line: _Line, given: Tensor | None) -> None:
        n, _, channels = line.values.shape
        self.given: Features | None = None
        row: _Line | None = None
        if given is not None:
            self.given = Features.of(given.permute(0, 2, 3, 1), dim=-1)
            row = self.row = _Line(line.values, n, line.width, channels)
        self.layers = []
        for streams in stack.layers:
            self.layers.append(_Streams(streams, line, row, n, None))
            line = self.layers[-1].horizontal.line
        self.line = line

    def begin(self, vertical: Features, row: int) -> Features:
        given = None if self.given is None else Features(*(part[:, row] for part in self.given))
        if given is not None:
            self.row.active[:, 1:] = given.active
        for layer in self.layers:
            vertical = layer.begin(vertical, given)
        return vertical

    def advance(self, row: int, column: int) -> Tensor:
        """The horizontal stream's last features at a pixel, (n, channels)."""
        for layer in self.layers:
            layer.horizontal.advance(column)
        return self.line.pixels[column][0]


class _Streams:
    """A gated layer of both streams."""

    def __init__(self, layer: nn.Module, line: _Line, earlier: _Line | None, n: int, context: Tensor | None) -> None:
        assert isinstance(layer, GatedStreams)
        self.vertical = _Vertical(layer.vertical, n, line.width, context)
        self.horizontal = _Horizontal(layer.horizontal, line, earlier, context)

    def begin(self, vertical: Features, earlier: Features | None) -> Features:
        out = self.vertical.advance(vertical, earlier)
        self.horizontal.begin(out)
        return out


class _Half:
    """The way to half the resolution and back."""

    def __init__(self, half: ShiftedHalf, line: _Line, context: Tensor | None) -> None:
        n, _, channels = line.values.shape
        width = -(-line.width // 2)
        like = line.values
        self.rows = _Rows(half.vertical, n, line.width)
        self.line, self.line_down = line, _Line(like, n, width, channels)
        self.line_back = _Line(like, n, line.width, channels)
        self.above, self.own = _halves(half.horizontal)
        self.bias = half.horizontal.bias
        self.from_above = like.new_zeros(n, width, channels)
        self.scale = _Scale(half.scale, self.line_down, context)
        self.vertical = like.new_zeros(n, width, channels)
        self.vertical_back, self.vertical_bias = half.vertical_back.weight.transpose(0, 1), half.vertical_back.bias
        self.back = half.horizontal_back.weight.permute(2, 3, 1, 0).contiguous()
        self.back_bias = half.horizontal_back.bias

    def begin(self, vertical: Features, row: int) -> Features:
        self.rows.push(vertical.value)
        if row % 2 == 0:
            self.from_above.copy_(F.linear(_pairs(self.line.values, 2), self.above, self.bias))
            down = Features.of(self.rows.convolved(), dim=-1)
            self.vertical = self.scale.begin(down, row // 2).value
        taps = self.vertical_back[:, :, row % 2 : row % 2 + 1]
        low = self.vertical.permute(0, 2, 1)[:, :, None]
        back = F.conv_transpose2d(low, taps, self.vertical_bias, stride=(1, 2))[:, :, 0, 1 : 1 + self.line.width]
        return Features.of(back.permute(0, 2, 1), dim=-1)

    def advance(self, row: int, column: int) -> None:
        low = column // 2
        if row % 2 == 0 and column % 2 == 0:
            taps = self.line.values[:, column : column + 2].flatten(1)
            torch.addmm(self.from_above[:, low], taps, self.own, out=self.line_down.pixels[low][0])
            self.line_down.activate(low)
            self.scale.advance(row // 2, low)
        below = self.scale.line.pixels[low][0]
        torch.addmm(self.back_bias, below, self.back[row % 2, column % 2], out=self.line_back.pixels[column][0])
        self.line_back.activate(column)
