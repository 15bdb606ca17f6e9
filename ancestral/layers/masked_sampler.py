"""The cached features of masked convolutions: the conditionals of an image one value at a time, in raster order.

Every feature is computed once, so that an image costs the operations of about one forward pass. When a row begins, one
convolution gives what the rows above it, which are complete, add to all its pixels. What the pixels to the left and the
earlier colours add follows a pixel and a colour at a time, by one small matrix product for each convolution.

At this size the calls themselves are most of the cost. All calls of a row are therefore prepared once, with the views
that they read and write: they find the numbers of every row in the same buffers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeAlias

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.layers.autoregressive import Stepwise, threads
from ancestral.layers.masked import RasterConv2d

#: A prepared operation, which reads and writes buffers that it holds: `partial(torch.mm, a, b, out=c)`.
Call: TypeAlias = Callable[[], Tensor]


class RasterLayer(ABC):
    """One layer of a network on n images, a row, then a pixel, then a colour at a time.

    A layer owns the buffer of its inputs, of which the layer below writes one `slot` after another. As each row begins,
    `begin` is called once for every layer, from the first to the last, before any value of the row is known: the inputs
    are still those of the row above, which is complete. Then `calls` run place by place. Those of one place turn what
    the slots hold up to there into the layer's output of that colour, and write it where they were told to.

    A convolution is `CachedConv2d`, or `CachedPointwise` where its kernel is 1x1. A layer of several, with gates or
    residual connections between them, chains their calls with its own: the slots of one are the outputs of another.

        def calls(self, column, colour, out):
            yield from self.convolution.calls(column, colour, self.features[colour])
            yield self.features[colour].sigmoid_
            yield from self.pointwise.calls(column, colour, out, residual=self.slot(column, colour))
    """

    #: Multiply-adds of the largest matrix product of one place.
    work: int

    @abstractmethod
    def slot(self, column: int, colour: int) -> Float[Tensor, "n maps"]:
        """Where the input's feature maps of one colour at one column of the current row are to be written."""

    def begin(self, row: int) -> None:
        """What the rows above mean for the row of that number, for all columns at once; by default nothing."""
        return

    @abstractmethod
    def calls(self, column: int, colour: int, out: Tensor | None) -> Iterator[Call]:
        """The operations at one place, in order, asked for once and run in every row.

        `out` is where the output's maps of that colour go, (n, maps); where it is None, the last call returns them.
        """


class Raster(Stepwise):
    """A chain of layers on n images (colours, height, width) of `shape`, one value at a time in raster order.

    The last layer's outputs are the parameters of the conditionals. The first sees a value v as v * `scale` + `offset`.
    """

    def __init__(
        self, layers: Sequence[RasterLayer], shape: Sequence[int], *, scale: float, offset: float = -1.0
    ) -> None:
        colours, _, width = shape
        self.layers, self.scale, self.threads = layers, scale, torch.get_num_threads()
        self.work = max(layer.work for layer in layers)
        places = [(column, colour) for column in range(width) for colour in range(colours)]
        self.calls = [self._prepared(*place) for place in places]
        self.pixels = [layers[0].slot(*place)[:, 0] for place in places]
        self.offset = torch.full_like(self.pixels[0], offset)

    def _prepared(self, column: int, colour: int) -> tuple[list[Call], Call]:
        """All calls at one place; the last one by itself, for it returns the parameters."""
        outs = [*(layer.slot(column, colour) for layer in self.layers[1:]), None]
        calls = [call for layer, out in zip(self.layers, outs) for call in layer.calls(column, colour, out)]
        return calls[:-1], calls[-1]

    def parameters(self, step: int) -> Tensor:
        row, place = divmod(step, len(self.calls))
        if place == 0:
            # The products of a whole row are worth all threads, those of a pixel may be not.
            with threads(self.threads):
                for layer in self.layers:
                    layer.begin(row)
        calls, last = self.calls[place]
        for call in calls:
            call()
        return last()

    def write(self, step: int, values: Tensor) -> None:
        torch.add(self.offset, values, alpha=self.scale, out=self.pixels[step % len(self.pixels)])


class RowTaps:
    """The taps of a convolution in the row of the pixel itself: those to its left, and the centre's earlier colours.

    `above`, (n, width, outputs), is what they are added to: the owner writes it when a row begins. There the outputs
    are in the `order` of their colours, (outputs,), as the matrix products of single colours need them.
    """

    def __init__(
        self,
        weight: Float[Tensor, "outputs inputs taps"],
        outputs: Int64[Tensor, " outputs"],
        inputs: Int64[Tensor, " inputs"],
        n: int,
        width: int,
        *,
        strict: bool,
    ) -> None:
        self.maps, self.reach = len(inputs), weight.shape[2] - 1
        self.order = outputs.argsort(stable=True).to(weight.device)
        self.spans, self.input_spans = colour_spans(outputs), colour_spans(inputs)
        seen = [start if strict else end for start, end in self.input_spans]
        self.taps = [self.reach * self.maps + visible for visible in seen]
        rows = weight[self.order].permute(2, 1, 0).flatten(0, 1)
        self.weights = [rows[:taps, start:end].contiguous() for taps, (start, end) in zip(self.taps, self.spans)]
        self.work = n * max(part.numel() for part in self.weights)
        self.left = weight.new_zeros(n, (self.reach + width) * self.maps)
        self.above = weight.new_zeros(n, width, len(outputs))

    @property
    def row(self) -> Float[Tensor, "n width inputs"]:
        """The inputs of the current row."""
        return self.left.unflatten(1, (-1, self.maps))[:, self.reach :]

    def slot(self, column: int, colour: int) -> Float[Tensor, "n maps"]:
        start, end = self.input_spans[colour]
        return self.row[:, column, start:end]

    def product(self, column: int, colour: int, out: Tensor | None) -> Call:
        start, end = self.spans[colour]
        taps = self.left[:, column * self.maps :][:, : self.taps[colour]]
        return partial(torch.addmm, self.above[:, column, start:end], taps, self.weights[colour], out=out)


class CachedConv2d(RasterLayer):
    """A raster-masked convolution of n images of that width.

    `rectified`: its inputs pass a rectifier first, which overwrites them in their slots. `added` is what a context adds
    to the outputs, (n or 1, outputs, height or 1, width or 1).
    """

    def __init__(
        self, convolution: RasterConv2d, n: int, width: int, *, rectified: bool = False, added: Tensor | None = None
    ) -> None:
        weight, reach = convolution.masked_weight, convolution.reach
        self.taps = RowTaps(
            weight[:, :, -1, : reach + 1],
            convolution.outputs,
            convolution.inputs,
            n,
            width,
            strict=convolution.strict,
        )
        self.rectified, self.work = rectified, self.taps.work
        self.upper = weight[self.taps.order, :, :-1]
        self.bias = bias_of(convolution)[self.taps.order]
        self.added = None if added is None else added[:, self.taps.order]
        self.rows = weight.new_zeros(n, reach, width, self.taps.maps)

    def slot(self, column: int, colour: int) -> Tensor:
        return self.taps.slot(column, colour)

    def begin(self, row: int) -> None:
        push(self.rows, self.taps.row)
        self.taps.above.copy_(self._above())
        if self.added is not None:
            self.taps.above += added_to_row(self.added, row)

    def _above(self) -> Tensor:
        """What the rows above add, and the bias, (n, width, outputs)."""
        reach = self.taps.reach
        if not reach:
            return self.bias.expand_as(self.taps.above)
        rows = F.conv2d(self.rows.permute(0, 3, 1, 2), self.upper, self.bias, padding=(0, reach))
        return rows.permute(0, 2, 3, 1)[:, 0]

    def calls(self, column: int, colour: int, out: Tensor | None) -> Iterator[Call]:
        if self.rectified:
            yield partial(self.slot(column, colour).clamp_min_, 0)
        yield self.taps.product(column, colour, out)


class CachedPointwise(RasterLayer):
    """A raster-masked 1x1 convolution of n images, which needs the features of a single pixel.

    `rectified`: its inputs pass a rectifier first, which overwrites them in their slots.
    """

    def __init__(self, convolution: RasterConv2d, n: int, *, rectified: bool = False) -> None:
        if convolution.reach:
            raise ValueError(f"a pointwise convolution has a kernel of 1x1, got one of reach {convolution.reach}")
        order = convolution.outputs.argsort(stable=True).to(convolution.weight.device)
        self.rectified = rectified
        self.spans = colour_spans(convolution.inputs)
        self.seen = [1 + (start if convolution.strict else end) for start, end in self.spans]
        # The bias is the weight of a one: a residual connection can then be what the product is added to.
        weight = torch.cat((bias_of(convolution)[None], convolution.masked_weight[:, :, 0, 0].T))[:, order]
        outputs = colour_spans(convolution.outputs)
        self.weights = [weight[:seen, start:end].contiguous() for seen, (start, end) in zip(self.seen, outputs)]
        self.work = n * max(part.numel() for part in self.weights)
        self.inputs = weight.new_ones(n, len(weight))

    def slot(self, column: int, colour: int) -> Tensor:
        start, end = self.spans[colour]
        return self.inputs[:, 1 + start : 1 + end]

    def calls(self, column: int, colour: int, out: Tensor | None, *, residual: Tensor | None = None) -> Iterator[Call]:
        """`residual` is added to the output, (n, maps)."""
        if self.rectified:
            yield partial(self.slot(column, colour).clamp_min_, 0)
        operands = self.inputs[:, : self.seen[colour]], self.weights[colour]
        if residual is None:
            yield partial(torch.mm, *operands, out=out)
        else:
            yield partial(torch.addmm, residual, *operands, out=out)


# -- Small things that layers share ------------------------------------------------------------------------------------


def colour_spans(groups: Int64[Tensor, " maps"]) -> list[tuple[int, int]]:
    """Where each colour's feature maps begin and end, once they are in the order of their colours."""
    counts = groups.bincount()
    ends = counts.cumsum(0)
    return list(zip((ends - counts).tolist(), ends.tolist()))


def push(rows: Float[Tensor, "n rows width inputs"], row: Float[Tensor, "n width inputs"]) -> None:
    """Move all rows on by one, and put a new one at the end."""
    for above in range(rows.shape[1] - 1):
        rows[:, above] = rows[:, above + 1]
    if rows.shape[1]:
        rows[:, -1] = row


def added_to_row(added: Tensor, row: int) -> Tensor:
    """What a context adds, (n or 1, maps, height or 1, width or 1), in one row: (n or 1, width or 1, maps)."""
    at = row if added.shape[2] > 1 else 0
    return added[:, :, at].transpose(1, 2)


def bias_of(convolution: nn.Conv2d) -> Float[Tensor, " outputs"]:
    """The bias, or zeros where there is none."""
    return convolution.weight.new_zeros(len(convolution.weight)) if convolution.bias is None else convolution.bias
