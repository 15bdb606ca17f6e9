"""The cached features of gated two-stack layers: the conditionals of an image one value at a time.

Every feature is computed once. The vertical stack advances a row at a time, for all columns at once. The horizontal
stack advances a pixel and a colour at a time: two small matrix products and the gate for each layer, written into
buffers whose views are made beforehand, since at this size the calls themselves are most of the cost.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ancestral.layers.autoregressive import Stepwise, threads
from ancestral.layers.gated import GatedLayer, gate
from ancestral.layers.masked import MaskedConv2d, channel_groups


class _Step(NamedTuple):
    """One layer's horizontal stack at one pixel and colour: tensors to read, and views to write."""

    above: Tensor  # what the vertical stack and the context add before the gate, (n, 2 c)
    taps: Tensor  # features of the pixels to the left, and of this one up to the colour
    weight: Tensor
    gates: Tensor  # (n, 2 c), and its halves a, b
    a: Tensor
    b: Tensor
    gated: Tensor  # (n, c)
    upto: Tensor  # a one for the bias, and the gated features up to the colour
    output_weight: Tensor
    residual: Tensor | None
    out: Tensor


class _Layer:
    """One gated layer's weights, cut by colours, and its cached features."""

    def __init__(
        self, layer: GatedLayer, n: int, width: int, colours: int, added: tuple[Tensor, Tensor] | None
    ) -> None:
        weight = layer.horizontal.masked_weight
        gates, inputs = weight.shape[:2]
        self.layer, self.n, self.added = layer, n, added
        self.ends = _ends(gates // 2, colours)
        starts = [0, *self.ends]
        # Both halves of each colour's gates side by side.
        order = torch.cat([torch.arange(s, e) + half for s, e in zip(starts, self.ends) for half in (0, gates // 2)])
        order = order.to(weight.device)
        self.to_horizontal = layer.vertical_to_horizontal.weight[order, :, 0, 0].T.contiguous()
        self.to_horizontal_bias = _bias(layer.vertical_to_horizontal)[order]
        if added is not None:
            self.added = added[0], added[1][:, order]
        # The centre tap's inputs of the colour's own group are seen except in the first layer (mask A).
        input_ends = _ends(inputs, colours)
        seen = [0, *input_ends[:-1]] if layer.first else input_ends
        rows = weight[order, :, 0].permute(2, 1, 0).flatten(0, 1)
        self.spans = [(2 * s, 2 * e) for s, e in zip(starts, self.ends)]
        self.taps = [layer.reach * inputs + visible for visible in seen]
        self.weights = [rows[:taps, s:e].contiguous() for taps, (s, e) in zip(self.taps, self.spans)]
        output = torch.cat((_bias(layer.output)[None], layer.output.masked_weight[:, :, 0, 0].T))
        self.output_weights = [output[: 1 + e, s:e].contiguous() for s, e in zip(starts, self.ends)]
        self.rows = weight.new_zeros(n, layer.reach + 1, width, inputs)
        self.left = weight.new_zeros(n, (layer.reach + width) * inputs)
        self.above = weight.new_zeros(n, width, gates)
        self.gates = [weight.new_empty(n, e - s) for s, e in self.spans]
        self.gated = weight.new_ones(n, 1 + gates // 2)
        self.inputs = inputs

    def slot(self, column: int, start: int, end: int) -> Tensor:
        """Where the horizontal input's features start .. end - 1 at a column are kept."""
        at = (self.layer.reach + column) * self.inputs
        return self.left[:, at + start : at + end]

    def advance(self, incoming: Tensor, row: int) -> Tensor:
        """The next row of the vertical stack, (n, width, inputs) -> (n, width, channels)."""
        for above in range(self.layer.reach):
            self.rows[:, above] = self.rows[:, above + 1]
        self.rows[:, -1] = incoming
        vertical = self.layer.vertical(self.rows.permute(0, 3, 1, 2))
        if self.added is not None:
            vertical = vertical + _row(self.added[0], row)
        flat = vertical.permute(0, 2, 3, 1).flatten(0, 2)
        torch.addmm(self.to_horizontal_bias, flat, self.to_horizontal, out=self.above.flatten(0, 1))
        if self.added is not None:
            self.above += _row(self.added[1], row).permute(0, 2, 3, 1)[:, 0]
        return gate(vertical).permute(0, 2, 3, 1)[:, 0]

    def step(self, column: int, colour: int, out: Callable[[int, int, int], Tensor]) -> _Step:
        """`out` is where the layer's output is kept: the next layer's `slot`."""
        end = self.ends[colour]
        start = self.ends[colour - 1] if colour else 0
        low, high = self.spans[colour]
        at = column * self.inputs
        return _Step(
            above=self.above[:, column, low:high],
            taps=self.left[:, at : at + self.taps[colour]],
            weight=self.weights[colour],
            gates=self.gates[colour],
            a=self.gates[colour][:, : end - start],
            b=self.gates[colour][:, end - start :],
            gated=self.gated[:, 1 + start : 1 + end],
            upto=self.gated[:, : 1 + end],
            output_weight=self.output_weights[colour],
            residual=None if self.layer.first else self.slot(column, start, end),
            out=out(column, start, end),
        )


class GatedRaster(Stepwise):
    """Gated layers and a head of two masked 1x1 convolutions with rectifiers before each, on n images in raster order.

    The network sees a value v as v * `scale` - 1; `added` is what the context adds in each layer.
    """

    def __init__(
        self,
        layers: nn.ModuleList,
        hidden: MaskedConv2d,
        output: MaskedConv2d,
        shape: tuple[int, ...],
        n: int,
        *,
        scale: float,
        added: Sequence[tuple[Tensor, Tensor] | None],
    ) -> None:
        colours, _, width = shape
        self.scale, self.colours, self.threads = scale, colours, torch.get_num_threads()
        self.layers = [
            _Layer(layer, n, width, colours, shift)
            for layer, shift in zip(layers, added)
            if isinstance(layer, GatedLayer)
        ]
        weight = hidden.masked_weight
        channels, head = weight.shape[1], len(weight)
        self.work = n * 4 * channels**2
        top = weight.new_empty(n, width, channels)
        slots = [layer.slot for layer in self.layers[1:]] + [lambda column, start, end: top[:, column, start:end]]
        places = [(column, colour) for column in range(width) for colour in range(colours)]
        self.steps = [[layer.step(*place, out) for layer, out in zip(self.layers, slots)] for place in places]
        # The first layer's input is the image itself: its row serves the vertical stack of the next row too.
        self.image = self.layers[0].left.unflatten(1, (-1, colours))[:, self.layers[0].layer.reach :]
        self.pixels = [self.image[:, column, colour] for column, colour in places]
        self.offset = weight.new_full((n,), -1.0)
        self.head = _Head(hidden, output, weight.new_empty(n, channels), weight.new_empty(n, head), colours)

    def parameters(self, step: int) -> Tensor:
        row, place = divmod(step, len(self.steps))
        if place == 0:
            # The products of a whole row are worth all threads, those of a pixel may be not.
            with threads(self.threads):
                self._begin(row)
        for part in self.steps[place]:
            torch.addmm(part.above, part.taps, part.weight, out=part.gates)
            part.gates.sigmoid_()
            torch.addcmul(part.b, part.a, part.b, value=-2, out=part.gated)
            if part.residual is None:
                torch.mm(part.upto, part.output_weight, out=part.out)
            else:
                torch.addmm(part.residual, part.upto, part.output_weight, out=part.out)
        return self.head(part.out, place % self.colours)

    def _begin(self, row: int) -> None:
        # At first the image above is the zero padding.
        vertical = self.image
        for layer in self.layers:
            vertical = layer.advance(vertical, row)

    def write(self, step: int, values: Tensor) -> None:
        torch.add(self.offset, values, alpha=self.scale, out=self.pixels[step % len(self.pixels)])


class _Head:
    """relu, 1x1, relu, 1x1 at one pixel, a colour at a time."""

    def __init__(
        self, hidden: MaskedConv2d, output: MaskedConv2d, features: Tensor, rectified: Tensor, colours: int
    ) -> None:
        feature_ends, hidden_ends = _ends(features.shape[1], colours), _ends(rectified.shape[1], colours)
        output_ends = _ends(output.out_channels, colours)
        weight, out_weight = hidden.masked_weight[:, :, 0, 0].T, output.masked_weight[:, :, 0, 0].T
        self.views = []
        for c, (f, h, o) in enumerate(zip(feature_ends, hidden_ends, output_ends)):
            f0, h0, o0 = (0, 0, 0) if c == 0 else (feature_ends[c - 1], hidden_ends[c - 1], output_ends[c - 1])
            self.views.append(
                (
                    features[:, f0:f],
                    (_bias(hidden)[h0:h], features[:, :f], weight[:f, h0:h].contiguous()),
                    rectified[:, h0:h],
                    (_bias(output)[o0:o], rectified[:, :h], out_weight[:h, o0:o].contiguous()),
                )
            )

    def __call__(self, incoming: Tensor, colour: int) -> Tensor:
        features, first, rectified, second = self.views[colour]
        torch.clamp_min(incoming, 0, out=features)
        torch.addmm(*first, out=rectified).clamp_min_(0)
        return torch.addmm(*second)


def _ends(channels: int, colours: int) -> list[int]:
    """Where each colour's group of feature maps ends."""
    return [int(end) for end in channel_groups(channels, colours).bincount(minlength=colours).cumsum(0)]


def _row(x: Tensor, row: int) -> Tensor:
    """One row of maps, or the value that holds for all rows."""
    return x if x.shape[2] == 1 else x[:, :, row : row + 1]


def _bias(convolution: nn.Conv2d) -> Tensor:
    return convolution.weight.new_zeros(len(convolution.weight)) if convolution.bias is None else convolution.bias
