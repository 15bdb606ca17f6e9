"""MADE: masked autoencoder for distribution estimation (Germain, Gregor, Murray & Larochelle 2015, arXiv:1502.03509).

Each unit k of layer l has a degree m^l(k), the number of dimensions it may see, drawn uniformly from min m^(l-1) to
D - 1 (section 4.2); an input's degree is its place in the order, 1 to D. Masks keep the weights from degrees at or
below a unit's own (equations 8 and 13), and strictly below for the outputs (equation 9), so that one pass gives all
conditionals p(x_d | x_<d).

Training may cycle through a list of masks, with an order of its own each (order- and connectivity-agnostic training,
sections 4.2 and 4.3). The density is then the average of their *probabilities*, and a sample is drawn under one mask
chosen at random: exactly that mixture.

Levels enter as one number each on [-1, 1] and leave as a softmax over all values. The context is not in the paper: it
enters the first hidden layer and the outputs through linear maps without masks.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from ancestral.distributions import Bernoulli, Categorical, Observation
from ancestral.interface import (
    Adam,
    Autoregressive,
    Batch,
    Binary,
    Event,
    InputError,
    Levels,
    Losses,
    Model,
    Phase,
    Real,
    Sampler,
)
from ancestral.layers.conditioning import FlatContext, centred
from ancestral.layers.masked import MaskedLinear
from ancestral.registry import register


@register("made")
class MADE(Sampler, Autoregressive):
    """MADE: an autoencoder whose masks make it a product of conditionals, or an average of several such products.

    `hidden` are the widths of the hidden layers; `masks` the length of the list of masks, each drawn from `seed`;
    `order` is "natural" (the flattened event's) or "random" (one for each mask); `direct` connects inputs and outputs.
    """

    updates: Tensor
    positions: Tensor

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        hidden: Sequence[int] = (500,),
        masks: int = 1,
        order: str = "natural",
        direct: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(event, context_event=context_event)
        if order not in ("natural", "random"):
            raise InputError(f'order must be "natural" or "random", got {order!r}')
        if not hidden or min(hidden) < 1 or masks < 1:
            raise InputError(f"hidden needs widths of at least 1 and masks at least 1, got {list(hidden)} and {masks}")
        self.observation: Observation = (
            Categorical(event.support.levels) if isinstance(event.support, Levels) else Bernoulli()
        )
        degrees = _degrees(event.size, hidden, masks, order == "random", seed)
        outputs = degrees[0].repeat(1, self.observation.size)
        self.layers = nn.ModuleList(MaskedLinear(below, above) for below, above in pairwise(degrees))
        self.output = MaskedLinear(degrees[-1], outputs, strict=True)
        self.direct = MaskedLinear(degrees[0], outputs, strict=True, bias=False) if direct else None
        self.context = FlatContext(context_event)
        self.context_hidden = self.context_output = None
        if context_event is not None:
            self.context_hidden = nn.Linear(self.context.size, hidden[0], bias=False)
            self.context_output = nn.Linear(self.context.size, outputs.shape[1], bias=False)
        self.masks = masks
        self.register_buffer("positions", degrees[0] - 1, persistent=False)
        # How many training steps were made: the place in the list of masks, kept across an interruption.
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self._loss, optimizer=Adam(1e-3))]

    def _loss(self, batch: Batch) -> Losses:
        mask = int(self.updates) % self.masks
        if self.training:
            self.updates += 1
        parameters = self._conditionals(batch.x, batch.context, mask)
        nats = -self.observation.log_prob(parameters, batch.x).flatten(1).sum(1).mean()
        return Losses(nats, {"nats": nats})

    @property
    def orders(self) -> Int64[Tensor, "orders size"]:
        """The order of the flattened event under each mask."""
        return self.positions.argsort(dim=1)

    def _conditional_log_probs(self, x: Tensor, context: Tensor | None) -> Tensor:
        # An average over masks is one of probabilities, which `Autoregressive` takes; never of these parameters.
        return torch.stack(
            [self.observation.log_prob(self._conditionals(x, context, mask), x) for mask in range(self.masks)]
        )

    def _conditionals(self, x: Tensor, context: Tensor | None, mask: int) -> Tensor:
        """The parameters of every conditional under one mask, (batch, size, *event)."""
        inputs = centred(x, self.event.support).flatten(1)
        to_hidden, to_output = self._from_context(len(x), context)
        h = inputs
        for i, layer in enumerate(self.layers):
            h = layer(h, mask)
            h = (h + to_hidden if i == 0 and to_hidden is not None else h).relu()
        out = self.output(h, mask)
        if self.direct is not None:
            out = out + self.direct(inputs, mask)
        if to_output is not None:
            out = out + to_output
        return out.view(len(x), self.observation.size, *self.event.shape)

    def _from_context(self, n: int, context: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        if self.context_hidden is None or self.context_output is None:
            return None, None
        vector = self.context.vector(n, context).to(self.context_hidden.weight)
        return self.context_hidden(vector), self.context_output(vector)

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        chosen = torch.randint(self.masks, (n,), device=self.device)
        u = torch.rand(n, self.event.size, dtype=self.dtype, device=self.device)
        x = torch.empty_like(u)
        for mask in chosen.unique().tolist():
            rows = (chosen == mask).nonzero()[:, 0]
            x[rows] = self._draw(u[rows], None if context is None else context[rows], mask)
        return x.view(n, *self.event.shape)

    def _draw(self, u: Tensor, context: Tensor | None, mask: int) -> Tensor:
        """Samples under one mask, by the inverse distribution functions at `u`, (n, dimensions).

        With the units of each layer sorted by degree, what a degree may see is a prefix: every unit is computed once,
        as soon as the dimensions it sees are drawn, and all samples cost the operations of about one evaluation.
        """
        n, order = len(u), self.orders[mask]
        to_hidden, to_output = self._from_context(n, context)
        sorting = [order, *(layer.outputs[mask].argsort(stable=True) for layer in self.layers)]
        # ends[l][t]: how many units of layer l have a degree of at most t.
        steps = torch.arange(len(order), device=u.device)
        ends = [
            torch.searchsorted(degrees.sort().values.long(), steps, right=True).tolist()
            for degrees in [self.positions[mask] + 1, *(layer.outputs[mask] for layer in self.layers)]
        ]
        weights = [
            layer.masked_weight(mask)[above][:, below].T.contiguous()
            for layer, (below, above) in zip(self.layers, pairwise(sorting))
        ]
        biases = [layer.bias[above].expand(n, -1) for layer, above in zip(self.layers, sorting[1:])]
        if to_hidden is not None:
            biases[0] = biases[0] + to_hidden[:, sorting[1]]
        values = [u.new_zeros(n, len(units)) for units in sorting]
        size = self.observation.size

        def outputs_first(x: Tensor) -> Tensor:
            """(..., size * dimensions) -> (dimensions, ..., size) in the order of drawing."""
            return x.unflatten(-1, (size, -1))[..., order].movedim(-1, 0)

        out_weights = outputs_first(self.output.masked_weight(mask).T[sorting[-1]])
        out_biases = outputs_first(self.output.bias.expand(n, -1) if to_output is None else self.output.bias + to_output)
        direct = None if self.direct is None else outputs_first(self.direct.masked_weight(mask).T[order])
        x = torch.empty_like(u)
        for step, dimension in enumerate(order.tolist()):
            for layer, weight in enumerate(weights):
                start, end = ends[layer + 1][step - 1] if step else 0, ends[layer + 1][step]
                if end > start:
                    seen = ends[layer][step]
                    new = torch.addmm(biases[layer][:, start:end], values[layer][:, :seen], weight[:seen, start:end])
                    values[layer + 1][:, start:end] = new.relu_()
            seen = ends[-1][step]
            parameters = torch.addmm(out_biases[step], values[-1][:, :seen], out_weights[step, :seen])
            if direct is not None:
                parameters = torch.addmm(parameters, values[0][:, :step], direct[step, :step])
            drawn = self.observation.from_uniform(parameters, u[:, dimension])
            x[:, dimension] = drawn
            values[0][:, step] = centred(drawn, self.event.support)
        return x

    @classmethod
    def supports(cls, event: Event) -> str | None:
        if isinstance(event.support, Real):
            return "its conditionals are discrete; use Binary or Levels data"
        return None

    @classmethod
    def examples(cls) -> Iterable[Model]:
        yield cls(Event((6,), Binary()), hidden=[16])
        yield cls(Event((1, 2, 3), Binary()), hidden=[12, 12], masks=3, order="random", direct=True)
        yield cls(Event((4,), Levels(3)), context_event=Event((), Levels(3)), hidden=[16], order="random")


def _degrees(size: int, hidden: Sequence[int], masks: int, random_order: bool, seed: int) -> list[Tensor]:
    """The degrees of the inputs (1 to D, by their place in the order) and of each hidden layer, (masks, units) each."""
    generator = torch.Generator().manual_seed(seed)
    rows: list[list[Tensor]] = []
    for _ in range(masks):
        inputs = torch.randperm(size, generator=generator) if random_order else torch.arange(size)
        row = [inputs + 1]
        for width in hidden:
            lowest = int(row[-1].min())
            row.append(torch.randint(lowest, max(size, lowest + 1), (width,), generator=generator))
        rows.append(row)
    return [torch.stack(layer) for layer in zip(*rows)]
