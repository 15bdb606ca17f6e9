"""The network of MADE (Germain et al. 2015), which gives all conditionals of its inputs in one pass, or one at a time.

Each unit k of layer l has a degree m^l(k), the number of dimensions it may see, drawn uniformly from min m^(l-1) to
D - 1 (section 4.2); an input's degree is its place in the order, 1 to D. Masks keep the weights from degrees at or
below a unit's own (equations 8 and 13), and strictly below for the outputs (equation 9).
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ancestral.layers.autoregressive import Stepwise
from ancestral.layers.flat import FlatOutputs
from ancestral.layers.masked import MaskedLinear


class MaskedNetwork(nn.Module):
    """(batch, sum of widths) -> (batch, size, dimensions): `sizes` numbers for each dimension from those before it.

    A dimension enters as `widths` numbers side by side, all of its degree: one, or as many as a one-hot has. There is a
    list of `masks` sets of degrees, with an order of its own each if `random_order`; with `reverse` all orders run
    backwards. A context vector enters the first hidden layer and the outputs through linear maps without masks.
    """

    positions: Tensor

    def __init__(
        self,
        widths: Sequence[int],
        sizes: Sequence[int],
        hidden: Sequence[int],
        *,
        masks: int = 1,
        random_order: bool = False,
        reverse: bool = False,
        direct: bool = False,
        context: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.widths, self.masks, self.outputs = list(widths), masks, FlatOutputs(sizes)
        dimension, *units = _degrees(len(widths), hidden, masks, random_order, reverse, seed)
        inputs = dimension.repeat_interleave(torch.tensor(self.widths), dim=1)
        outputs = dimension[:, self.outputs.dimensions]
        self.hidden = nn.ModuleList(MaskedLinear(below, above) for below, above in pairwise([inputs, *units]))
        self.output = MaskedLinear(units[-1], outputs, strict=True)
        self.direct = MaskedLinear(inputs, outputs, strict=True, bias=False) if direct else None
        self.context_hidden = nn.Linear(context, hidden[0], bias=False) if context else None
        self.context_output = nn.Linear(context, len(self.outputs), bias=False) if context else None
        self.register_buffer("positions", dimension - 1, persistent=False)

    @property
    def orders(self) -> Int64[Tensor, "masks dimensions"]:
        """The dimensions in the order in which each set of masks generates them."""
        return self.positions.argsort(dim=1)

    @property
    def layers(self) -> list[MaskedLinear]:
        """The hidden layers."""
        return [layer for layer in self.hidden if isinstance(layer, MaskedLinear)]

    def forward(
        self, x: Float[Tensor, "batch inputs"], mask: int = 0, context: Float[Tensor, "batch _"] | None = None
    ) -> Float[Tensor, "batch size dimensions"]:
        h = x
        for i, layer in enumerate(self.layers):
            h = layer(h, mask)
            if i == 0 and self.context_hidden is not None and context is not None:
                h = h + self.context_hidden(context)
            h = h.relu_()  # a linear layer's gradient does not need its output
        out = self.output(h, mask)
        if self.direct is not None:
            out = out + self.direct(x, mask)
        if self.context_output is not None and context is not None:
            out = out + self.context_output(context)
        padded: Tensor = self.outputs(out)
        return padded


class StepwiseMaskedNetwork(Stepwise):
    """The network under one mask, one dimension at a time for n rows, each unit computed once.

    With the units of each layer sorted by degree, what a degree may see is a prefix of the layer below: a unit is
    computed as soon as the dimensions that it sees are written, and all steps together cost about one forward pass.
    `encode` lays the values of a dimension, (n,), out as the network's inputs of it, (n, width).
    """

    def __init__(
        self,
        network: MaskedNetwork,
        n: int,
        mask: int = 0,
        context: Tensor | None = None,
        *,
        encode: Callable[[int, Tensor], Tensor],
    ) -> None:
        order, layers = network.orders[mask], network.layers
        self.encode, self.path = encode, order.tolist()
        starts = torch.tensor([0, *network.widths]).cumsum(0).tolist()
        pieces = [range(starts[dimension], starts[dimension + 1]) for dimension in self.path]
        columns = torch.tensor([column for piece in pieces for column in piece], device=order.device)
        #: The place of each step's inputs among the sorted ones.
        self.places = torch.tensor([0, *map(len, pieces)]).cumsum(0).tolist()
        sorting = [columns, *(layer.outputs[mask].argsort(stable=True) for layer in layers)]
        steps = torch.arange(len(order), device=order.device)
        degrees = [layers[0].inputs[mask].long(), *(layer.outputs[mask].long() for layer in layers)]
        # ends[l][t]: the number of units of layer l whose degree is at most t.
        self.ends = [torch.searchsorted(d.sort().values, steps, right=True).tolist() for d in degrees]
        self.weights = [
            layer.masked_weight(mask)[above][:, below].T.contiguous()
            for layer, (below, above) in zip(layers, pairwise(sorting))
        ]
        self.biases = [layer.bias[above].expand(n, -1) for layer, above in zip(layers, sorting[1:])]
        bias = network.output.bias.expand(n, -1)
        if network.context_hidden is not None and network.context_output is not None and context is not None:
            self.biases[0] = self.biases[0] + network.context_hidden(context)[:, sorting[1]]
            bias = bias + network.context_output(context)

        belongs = network.outputs.dimensions
        numbers = [(belongs == dimension).nonzero()[:, 0] for dimension in self.path]

        def by_step(x: Tensor) -> list[Tensor]:
            """(..., outputs) -> for each step (..., size)."""
            return [x[..., own].contiguous() for own in numbers]

        self.output_weights = by_step(network.output.masked_weight(mask).T[sorting[-1]])
        self.output_biases = by_step(bias)
        self.direct = None if network.direct is None else by_step(network.direct.masked_weight(mask).T[columns])
        self.values = [bias.new_zeros(n, len(units)) for units in sorting]
        most = [*(max(b - a for a, b in pairwise([0, *ends])) for ends in self.ends[1:]), max(map(len, numbers))]
        self.work = n * max(len(units) * outputs for units, outputs in zip(sorting, most))

    def parameters(self, step: int) -> Float[Tensor, "n size"]:
        for layer, weight in enumerate(self.weights):
            seen, end = self.ends[layer][step], self.ends[layer + 1][step]
            start = self.ends[layer + 1][step - 1] if step else 0
            if end > start:
                inputs, bias = self.values[layer][:, :seen], self.biases[layer][:, start:end]
                self.values[layer + 1][:, start:end] = torch.addmm(bias, inputs, weight[:seen, start:end]).relu_()
        seen = self.ends[-1][step]
        out = torch.addmm(self.output_biases[step], self.values[-1][:, :seen], self.output_weights[step][:seen])
        if self.direct is not None:
            seen = self.ends[0][step]
            out = torch.addmm(out, self.values[0][:, :seen], self.direct[step][:seen])
        return out

    def write(self, step: int, values: Tensor) -> None:
        start, end = self.places[step], self.places[step + 1]
        self.values[0][:, start:end] = self.encode(self.path[step], values)


def _degrees(
    dimensions: int, hidden: Sequence[int], masks: int, random_order: bool, reverse: bool, seed: int
) -> list[Tensor]:
    """The degrees of the inputs and of each hidden layer, (masks, units) each."""
    generator = torch.Generator().manual_seed(seed)
    rows: list[list[Tensor]] = []
    for _ in range(masks):
        places = torch.randperm(dimensions, generator=generator) if random_order else torch.arange(dimensions)
        row = [(places.flip(0) if reverse else places) + 1]
        for width in hidden:
            lowest = int(row[-1].min())
            row.append(torch.randint(lowest, max(dimensions, lowest + 1), (width,), generator=generator))
        rows.append(row)
    return [torch.stack(layer) for layer in zip(*rows)]
