"""The cached features of gated two-stack layers: the conditionals of an image one value at a time.

Every feature is computed once. The vertical stack advances a row at a time, for all columns at once. The horizontal
stack advances a pixel and a colour at a time: two small matrix products and the gate for each layer.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ancestral.layers.gated import GatedLayer, gate
from ancestral.layers.masked import channel_groups
from ancestral.layers.masked_sampler import CachedPointwise, Call, RasterLayer, RowTaps, added_to_row, bias_of, push


class CachedGatedLayer(RasterLayer):
    """A `GatedLayer` of n images of that width, upon the layer `below`: on the image itself where there is none.

    The slots are those of the horizontal stack. `added` is what the context adds in each stack.
    """

    def __init__(
        self,
        layer: GatedLayer,
        n: int,
        width: int,
        below: "CachedGatedLayer | None",
        *,
        added: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        weight, features = layer.horizontal.masked_weight, layer.output.inputs
        groups = channel_groups(layer.horizontal.in_channels, int(features.max()) + 1)
        self.taps = RowTaps(weight[:, :, 0], features.repeat(2), groups, n, width, strict=layer.first)
        self.output = CachedPointwise(layer.output, n)
        self.work = max(self.taps.work, self.output.work)
        self.layer, self.below = layer, below
        order = self.taps.order
        self.added = None if added is None else (added[0], added[1][:, order])
        self.to_horizontal = layer.vertical_to_horizontal.weight[order, :, 0, 0].T.contiguous()
        self.to_horizontal_bias = bias_of(layer.vertical_to_horizontal)[order]
        self.rows = weight.new_zeros(n, layer.reach + 1, width, len(groups))
        self.vertical = weight.new_zeros(n, width, len(features))
        self.gates = [weight.new_empty(n, end - start) for start, end in self.taps.spans]

    def slot(self, column: int, colour: int) -> Tensor:
        return self.taps.slot(column, colour)

    def begin(self, row: int) -> None:
        # The image enters the vertical stack shifted down by a row: its last row, at first the padding.
        push(self.rows, self.taps.row if self.below is None else self.below.vertical)
        vertical = self.layer.vertical(self.rows.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)[:, 0]
        if self.added is not None:
            vertical = vertical + added_to_row(self.added[0], row)
        above = self.taps.above
        torch.addmm(self.to_horizontal_bias, vertical.flatten(0, 1), self.to_horizontal, out=above.flatten(0, 1))
        if self.added is not None:
            above += added_to_row(self.added[1], row)
        self.vertical.copy_(gate(vertical.transpose(1, 2)).transpose(1, 2))

    def calls(self, column: int, colour: int, out: Tensor | None) -> Iterator[Call]:
        gates = self.gates[colour]
        a, b = gates.chunk(2, dim=1)
        yield self.taps.product(column, colour, gates)
        yield gates.sigmoid_
        yield partial(torch.addcmul, b, a, b, value=-2, out=self.output.slot(column, colour))
        residual = None if self.layer.first else self.slot(column, colour)
        yield from self.output.calls(column, colour, out, residual=residual)


def cached_gated_layers(
    layers: nn.ModuleList, n: int, width: int, added: Sequence[tuple[Tensor, Tensor] | None]
) -> list[CachedGatedLayer]:
    """The layers one upon another, each with what the context adds in its stacks."""
    cached: list[CachedGatedLayer] = []
    for layer, shifts in zip(layers, added, strict=True):
        assert isinstance(layer, GatedLayer)
        cached.append(CachedGatedLayer(layer, n, width, cached[-1] if cached else None, added=shifts))
    return cached
