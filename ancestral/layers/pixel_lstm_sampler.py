"""The cached features of PixelRNN's layers: the conditionals of an image one value at a time, in raster order.

Every state is computed once. When a row begins, all that the row above adds to its gates follows for all columns at
once: that row is complete. What its own pixels add follows a pixel and a colour at a time. The right scan of a
`DiagonalBiLSTMLayer` runs when its row is complete, before the next one: no pixel of its own row sees it.
"""

from abc import abstractmethod
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from ancestral.layers.autoregressive import threads
from ancestral.layers.masked import channel_groups
from ancestral.layers.masked_sampler import (
    CachedPointwise,
    Call,
    RasterLayer,
    RowTaps,
    added_to_row,
    bias_of,
    colour_spans,
)
from ancestral.layers.pixel_lstm import DiagonalBiLSTMLayer, PixelLSTM, RowLSTMLayer


class _CachedLSTM(RasterLayer):
    """The scan of n images whose states a pixel sees at once; its slots are the layer's input."""

    def __init__(self, layer: PixelLSTM, n: int, width: int, added: Tensor | None) -> None:
        channels, groups = layer.channels, layer.groups
        states = channel_groups(channels, groups)
        # Of several directions this is the first.
        weight = layer.input_to_state.masked_weight[: 4 * channels, :, 0]
        self.taps = RowTaps(weight, states.repeat(4), channel_groups(2 * channels, groups), n, width, strict=False)
        self.output = CachedPointwise(layer.output, n)
        self.work = max(self.taps.work, self.output.work)
        self.recurrent = layer.state_to_state.weight[self.taps.order]
        self.bias = bias_of(layer.input_to_state)[self.taps.order]
        self.added = None if added is None else added[:, self.taps.order]
        self.spans = colour_spans(states)
        self.gates = [weight.new_empty(n, end - start) for start, end in self.taps.spans]
        self.hidden = weight.new_zeros(n, width, channels)

    def slot(self, column: int, colour: int) -> Tensor:
        return self.taps.slot(column, colour)

    def begin(self, row: int) -> None:
        self.taps.above.copy_(self._above() + self.bias)
        if self.added is not None:
            self.taps.above += added_to_row(self.added, row)

    @abstractmethod
    def _above(self) -> Tensor:
        """What the states of the row above add to the gates, (n, width, gates)."""


class CachedRowLSTM(_CachedLSTM):
    """A `RowLSTMLayer` of n images of that width; `added` is what a context adds to its gates."""

    def __init__(self, layer: RowLSTMLayer, n: int, width: int, *, added: Tensor | None = None) -> None:
        super().__init__(layer, n, width, added)
        self.reach = layer.reach
        self.cells = torch.zeros_like(self.hidden)

    def _above(self) -> Tensor:
        states = self.hidden.transpose(1, 2)[:, :, None]
        return F.conv2d(states, self.recurrent, padding=(0, self.reach))[:, :, 0].transpose(1, 2)

    def calls(self, column: int, colour: int, out: Tensor | None) -> Iterator[Call]:
        gates, (start, end) = self.gates[colour], self.spans[colour]
        hidden = self.hidden[:, column, start:end]
        yield self.taps.product(column, colour, gates)
        yield from _state(gates, self.cells[:, column, start:end], hidden)
        yield partial(self.output.slot(column, colour).copy_, hidden)
        yield from self.output.calls(column, colour, out, residual=self.slot(column, colour))


class CachedDiagonalBiLSTM(_CachedLSTM):
    """A `DiagonalBiLSTMLayer` of n images of that width; `added` is what a context adds to its gates."""

    def __init__(self, layer: DiagonalBiLSTMLayer, n: int, width: int, *, added: Tensor | None = None) -> None:
        super().__init__(layer, n, width, added)
        channels = layer.channels
        above, beside = self.recurrent[..., 0].unbind(2)
        self.from_above = above.T.contiguous()
        self.from_left = [beside[start:end].T.contiguous() for start, end in self.taps.spans]
        self.cell = self.hidden.new_zeros(n, channels)
        self.border = torch.zeros_like(self.cell)
        self.right = _RightScan(layer, n, width, None if added is None else added[:, 4 * channels :])

    def begin(self, row: int) -> None:
        if row:
            self.right.scan(self.taps.row, row - 1)
        super().begin(row)
        self.cell.zero_()

    def _above(self) -> Tensor:
        return self.hidden @ self.from_above

    def calls(self, column: int, colour: int, out: Tensor | None) -> Iterator[Call]:
        gates, (start, end) = self.gates[colour], self.spans[colour]
        hidden = self.hidden[:, column, start:end]
        left = self.hidden[:, column - 1] if column else self.border
        yield self.taps.product(column, colour, gates)
        yield partial(gates.addmm_, left, self.from_left[colour])
        yield from _state(gates, self.cell[:, start:end], hidden)
        yield partial(torch.add, hidden, self.right.hidden[:, column, start:end], out=self.output.slot(column, colour))
        yield from self.output.calls(column, colour, out, residual=self.slot(column, colour))


class _RightScan:
    """The second direction of a `DiagonalBiLSTMLayer`, a whole row at a time."""

    def __init__(self, layer: DiagonalBiLSTMLayer, n: int, width: int, added: Tensor | None) -> None:
        gates = slice(4 * layer.channels, None)
        taps = layer.state_to_state.weight[gates, :, :, 0].unbind(2)
        self.from_above, beside = (tap.T.contiguous() for tap in taps)
        self.from_input = layer.input_to_state.masked_weight[gates, :, 0, 0].T.contiguous()
        self.bias, self.added = bias_of(layer.input_to_state)[gates], added
        self.gates = beside.new_zeros(n, width, 4 * layer.channels)
        #: The states of the row that was scanned last, (n, width, channels).
        self.hidden = beside.new_zeros(n, width, layer.channels)
        self.cell = beside.new_zeros(n, layer.channels)
        self.calls = list(self._calls(beside))

    def _calls(self, beside: Tensor) -> Iterator[Call]:
        yield self.cell.zero_
        last = self.gates.shape[1] - 1
        for column in range(last, -1, -1):
            gates = self.gates[:, column]
            if column < last:
                yield partial(gates.addmm_, self.hidden[:, column + 1], beside)
            yield from _state(gates, self.cell, self.hidden[:, column])

    def scan(self, incoming: Tensor, row: int) -> None:
        """The states of the row of that number from its input, (n, width, inputs), and those of the row above."""
        torch.add(incoming @ self.from_input + self.bias, self.hidden @ self.from_above, out=self.gates)
        if self.added is not None:
            self.gates += added_to_row(self.added, row)
        with threads(1):  # small products, one after another
            for call in self.calls:
                call()


def _state(gates: Tensor, cell: Tensor, hidden: Tensor) -> Iterator[Call]:
    """Equation 3 at one place: gates (n, 4 m) to the next cell and state, (n, m), both in place."""
    o, f, i, g = gates.chunk(4, dim=1)
    yield gates[:, : 3 * o.shape[1]].sigmoid_
    yield g.tanh_
    yield partial(cell.mul_, f)
    yield partial(cell.addcmul_, i, g)
    yield partial(torch.tanh, cell, out=g)
    yield partial(torch.mul, o, g, out=hidden)
