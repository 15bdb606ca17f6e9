"""The network of NADE (Larochelle & Murray 2011; Uria et al. 2016, arXiv:1605.02226): one hidden layer for each
conditional, all of the same weights.

Step d of an order o predicts dimension o_d from those before it. With a row of W, or several, for each dimension,

    a_1 = c,    a_(d+1) = a_d + x_(o_d) W_(o_d),    h_d = sigmoid(a_d),    outputs of o_d: V_(o_d) h_d + b_(o_d)

(equations 2 and 3; Algorithm 1), which is O(DH) for D dimensions and H units. Automatic differentiation of that loop
would keep D activations of H units for every observation. Here a few steps, a block, are computed at once in the
processor's cache, and the backward pass goes the way back, x W taken off a again: both keep one block alone.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ancestral.layers.autoregressive import Stepwise
from ancestral.layers.flat import FlatOutputs

#: Activations of a block, so that they and their gradients stay in a core's own cache.
_MOST_ACTIVATIONS = 2**18


class WeightSharingNetwork(nn.Module):
    """(batch, sum of widths) -> (batch, size, dimensions): `sizes` numbers for each dimension from those before it.

    A dimension enters as `widths` numbers side by side: one, or as many as a one-hot has. With `presence` the network
    is told which dimensions it has seen, by an input that is 1 for those (Uria et al. 2014, section 4): where one set
    of weights serves several orders, a zero could be a value or not yet known. A context vector enters the hidden
    layers and the outputs through linear maps.
    """

    dimensions: Tensor

    def __init__(
        self, widths: Sequence[int], sizes: Sequence[int], units: int, *, presence: bool = False, context: int = 0
    ) -> None:
        super().__init__()
        self.widths, self.units, self.outputs = list(widths), units, FlatOutputs(sizes)
        each = torch.arange(len(widths))
        belongs = each.repeat_interleave(torch.tensor(self.widths))
        #: The dimension that each input belongs to.
        self.register_buffer("dimensions", torch.cat([belongs, each]) if presence else belongs, persistent=False)
        self.weight = nn.Parameter(torch.empty(len(belongs), units))
        self.presence = nn.Parameter(torch.zeros(len(widths), units)) if presence else None
        self.bias = nn.Parameter(torch.zeros(units))
        self.output = nn.Linear(units, len(self.outputs))
        self.context_hidden = nn.Linear(context, units, bias=False) if context else None
        self.context_output = nn.Linear(context, len(self.outputs), bias=False) if context else None
        nn.init.normal_(self.weight, std=len(widths) ** -0.5)
        nn.init.zeros_(self.output.bias)

    def forward(
        self,
        x: Float[Tensor, "batch inputs"],
        order: Int64[Tensor, " dimensions"],
        context: Float[Tensor, "batch _"] | None = None,
    ) -> Float[Tensor, "batch size dimensions"]:
        weight: Tensor = self.weight
        if self.presence is not None:
            x, weight = torch.cat([x, x.new_ones(len(x), len(order))], 1), torch.cat([weight, self.presence])
        positions = order.argsort()
        steps, columns = positions[self.dimensions].sort(stable=True)
        widths = torch.bincount(steps, minlength=len(order)).tolist()
        # Sums over hundreds of dimensions lose digits in bf16.
        with torch.autocast(x.device.type, enabled=False):
            found = _Conditionals.apply(
                self.start(len(x), context).to(weight),
                x.T.index_select(0, columns),
                weight.index_select(0, columns),
                self.output_weights().index_select(0, order),
                widths,
            )
        return found.permute(2, 1, 0).index_select(2, positions) + self.output_biases(context)

    def start(self, n: int, context: Tensor | None) -> Float[Tensor, "n units"]:
        """What the activations are before any dimension is seen: c, and what the context adds."""
        if self.context_hidden is None or context is None:
            return self.bias.expand(n, -1)
        return self.bias + self.context_hidden(context)

    def output_weights(self) -> Float[Tensor, "dimensions size units"]:
        """V of each dimension; rows beyond its own `sizes` hold anything."""
        return self.outputs(self.output.weight.T).permute(2, 1, 0)

    def output_biases(self, context: Tensor | None) -> Float[Tensor, "rows size dimensions"]:
        """b of each dimension, and what the context adds, one row for each of its rows."""
        bias = self.output.bias[None]
        if self.context_output is not None and context is not None:
            bias = bias + self.context_output(context)
        padded: Tensor = self.outputs(bias)
        return padded


class StepwiseWeightSharingNetwork(Stepwise):
    """The network in one order, one dimension at a time for n rows: a value adds its rows of W, which is O(H).

    `encode` lays the values of a dimension, (n,), out as the network's inputs of it, (n, width).
    """

    def __init__(
        self,
        network: WeightSharingNetwork,
        order: Int64[Tensor, " dimensions"],
        n: int,
        context: Tensor | None = None,
        *,
        encode: Callable[[int, Tensor], Tensor],
    ) -> None:
        self.encode, self.path = encode, order.tolist()
        self.activations = network.start(n, context).clone()
        self.hidden = torch.empty_like(self.activations)
        self.weights = network.weight.split(network.widths)
        self.presence = network.presence
        self.output_weights = network.output_weights().mT.unbind(0)
        biases = network.output_biases(context)
        self.output_biases = biases.expand(n, -1, -1).permute(2, 0, 1).contiguous().unbind(0)
        self.work = n * network.units * max(biases.shape[1], *network.widths)

    def parameters(self, step: int) -> Float[Tensor, "n size"]:
        dimension = self.path[step]
        hidden = torch.sigmoid(self.activations, out=self.hidden)
        return torch.addmm(self.output_biases[dimension], hidden, self.output_weights[dimension])

    def write(self, step: int, values: Tensor) -> None:
        dimension = self.path[step]
        self.activations.addmm_(self.encode(dimension, values), self.weights[dimension])
        if self.presence is not None:
            self.activations.add_(self.presence[dimension])


class _Conditionals(torch.autograd.Function):
    """V_d h_d for every step d: (batch, units), (inputs, batch), (inputs, units), (dimensions, size, units), and how
    many inputs the dimension of each step has -> (dimensions, size, batch)."""

    @staticmethod
    def forward(ctx: Any, start: Tensor, x: Tensor, weight: Tensor, output: Tensor, widths: list[int]) -> Tensor:
        dimensions, size, _ = output.shape
        inputs, rows = x.split(widths), weight.split(widths)
        found = start.new_empty(dimensions, size, len(start))
        room, length = _room(start, dimensions)
        a = room.unbind(0)
        a[0].copy_(start)
        for first in range(0, dimensions, length):
            steps = range(first, min(first + length, dimensions))
            for i, step in enumerate(steps):
                _add(a[i], inputs[step], rows[step], 1, out=a[i + 1])
            hidden = room[: len(steps)].sigmoid_()
            torch.bmm(output[first : steps.stop], hidden.mT, out=found[first : steps.stop])
            a[0].copy_(a[len(steps)])
        ctx.save_for_backward(a[0].clone(), x, weight, output)
        ctx.widths = widths
        return found

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        last, x, weight, output = ctx.saved_tensors
        inputs, rows, dimensions = x.split(ctx.widths), weight.split(ctx.widths), len(output)
        of_weight, of_output = torch.empty_like(weight), torch.empty_like(output)
        of_x = torch.empty_like(x) if ctx.needs_input_grad[1] else None
        of_inputs = None if of_x is None else of_x.split(ctx.widths)
        of_rows = of_weight.split(ctx.widths)
        # A block stands at the end of the room, before what comes after it: a of the step that follows, and the
        # gradient of a that all later steps add up to.
        room, length = _room(last, dimensions)
        a, of_room = room.unbind(0), torch.empty_like(room)
        of_a = of_room.unbind(0)
        a[length].copy_(last)
        of_a[length].zero_()
        for first in reversed(range(0, dimensions, length)):
            steps = range(first, min(first + length, dimensions))
            begin = length - len(steps)
            for i, step in zip(reversed(range(begin, length)), reversed(steps)):
                _add(a[i + 1], inputs[step], rows[step], -1, out=a[i])
            a[length].copy_(a[begin])
            hidden, slopes, own = room[begin:length].sigmoid_(), of_room[begin:length], slice(first, steps.stop)
            torch.bmm(gradient[own], hidden, out=of_output[own])
            torch.bmm(gradient[own].mT, output[own], out=slopes)
            torch.ops.aten.sigmoid_backward.grad_input(slopes, hidden, grad_input=slopes)
            for i, step in zip(reversed(range(begin, length)), reversed(steps)):
                torch.mm(inputs[step], of_a[i + 1], out=of_rows[step])
                if of_inputs is not None:
                    torch.mm(rows[step], of_a[i + 1].T, out=of_inputs[step])
                of_a[i].add_(of_a[i + 1])
            of_a[length].copy_(of_a[begin])
        return of_a[length], of_x, of_weight, of_output, None


def _room(activations: Tensor, dimensions: int) -> tuple[Tensor, int]:
    """Room for the activations of a block and of the step after it, and the number of steps in a block."""
    length = max(1, min(_MOST_ACTIVATIONS // max(1, activations.numel()), dimensions))
    return activations.new_empty(length + 1, *activations.shape), length


def _add(a: Tensor, x: Tensor, rows: Tensor, sign: int, *, out: Tensor) -> None:
    """a + sign x^T rows into `out`, of activations (batch, units), inputs (width, batch) and (width, units)."""
    if len(rows) == 1:
        torch.addcmul(a, x.T, rows, value=sign, out=out)
    else:
        torch.addmm(a, x.T, rows, alpha=sign, out=out)
