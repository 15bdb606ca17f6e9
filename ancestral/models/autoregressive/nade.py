"""NADE: neural autoregressive distribution estimation (Larochelle & Murray 2011; Uria, Côté, Gregor, Murray and
Larochelle 2016, arXiv:1605.02226).

Each conditional p(x_(o_d) | x_(o_<d)) of an order o is a network of one hidden layer, and all share the weights from
their inputs: h_d = sigmoid(c + W x_(o_<d)), p(x_(o_d) = 1) = sigmoid(V_(o_d) h_d + b_(o_d)), equations 2 and 3. Their
density, its gradient (Algorithm 1) and a sample take O(DH) (`ancestral.layers.weight_sharing`).

Averaged orders: one fixed order is the model of 2011. An ensemble could be of models trained apart, each with weights
of its own; we take that of the later papers (Uria, Murray & Larochelle 2014, arXiv:1310.1757; 2016, section 4), one set
of weights for all orders, whose *probabilities* are averaged, and which is told what it has seen by an input of 1 for
each known dimension. A list of few orders, taken in turn, is trained on the very terms of the average. A list longer
than the training, with a smaller ensemble, is their order-agnostic training: a new order for each step. Their estimate
of its loss draws the place of one conditional; here all places of the order are summed, which has the same mean and
less variance, and with one hidden layer costs no more than one order does.

Faithful: one layer of sigmoid units, untied V and W. Levels and categories enter one-hot, so that a value adds its row
of W, and leave as a softmax over all values (more than 256 levels enter as a number, and leave as a mixture of
discretized logistics). Real numbers leave as a mixture of Gaussians, as in RNADE (Uria, Murray & Larochelle 2013),
whose rescaling of the activations and rectified units are left out; of a table each column as its support says. A
context enters c and b through linear maps. Deep NADE is left out: its layers share nothing between steps.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Int64
from torch import Tensor

from ancestral.interface import Binary, Categories, Columns, Event, InputError, Levels, Model, QuickSettings, Real
from ancestral.layers.flat_autoregressive import FlatAutoregressive
from ancestral.layers.weight_sharing import StepwiseWeightSharingNetwork, WeightSharingNetwork
from ancestral.registry import register

#: Levels up to which each has a row of W of its own, as each has a logit.
_MOST_ONE_HOT = 256


@register("nade")
class NADE(FlatAutoregressive):
    """NADE: conditionals of one hidden layer each, which share their weights; in one order, or averaged over several.

    Args:
        units: of the hidden layer.
        orders: the length of the list of orders, which training takes in turn.
        order: of the conditionals: "natural" (the flattened event's) or "random".
        ensemble: how many orders the density is the mean over: the first of the list, or more than it has, which are
            drawn likewise; None for the list itself.
        components: of the mixture of a real dimension, or of one of more than 256 levels.
        seed: the random orders are drawn from it.
    """

    ensemble_orders: Tensor

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        units: int = 500,
        orders: int = 1,
        order: str = "natural",
        ensemble: int | None = None,
        components: int = 10,
        seed: int = 0,
    ) -> None:
        if order not in ("natural", "random"):
            raise InputError(f'order must be "natural" or "random", got {order!r}')
        if units < 1 or orders < 1:
            raise InputError(f"units and orders must be at least 1, got {units} and {orders}")
        several = max(orders, ensemble or 1) > 1
        if order == "natural" and several:
            raise InputError(f'the natural order is one: several need order="random", got {orders=}, {ensemble=}')
        super().__init__(
            event,
            context_event=context_event,
            components=components,
            trained=orders,
            averaged=ensemble,
            one_hot=_MOST_ONE_HOT,
        )
        self.network = WeightSharingNetwork(
            self.inputs.widths,
            self.observation.sizes(event.size),
            units,
            presence=several,
            context=self.context.size,
        )
        self._seed = seed if order == "random" else None
        averaged = torch.stack([self._drawn_order(index) for index in range(self.averaged)])
        self.register_buffer("ensemble_orders", averaged, persistent=False)

    @property
    def orders(self) -> Int64[Tensor, "orders size"]:
        """Those that the density averages."""
        return self.ensemble_orders

    def _drawn_order(self, index: int) -> Int64[Tensor, " size"]:
        """One of the list, which need not be kept: it may be longer than the training."""
        if self._seed is None:
            return torch.arange(self.event.size)
        generator = torch.Generator().manual_seed((1_000_003 * self._seed + index) % 2**32)
        return torch.randperm(self.event.size, generator=generator)

    def _outputs(self, inputs: Tensor, order: int, context: Tensor | None) -> Tensor:
        drawn = self.orders[order] if order < self.averaged else self._drawn_order(order).to(inputs.device)
        return self.network(inputs, drawn, context)

    def _stepwise(self, n: int, context: Tensor | None, order: int) -> StepwiseWeightSharingNetwork:
        vector = self._vector(n, context)
        return StepwiseWeightSharingNetwork(self.network, self.orders[order], n, vector, encode=self._encode)

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        return QuickSettings({"units": 128 if event.densities else 200})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        yield cls(Event((6,), Binary()), units=8)
        yield cls(Event((1, 2, 3), Binary()), units=7, orders=3, order="random")
        yield cls(Event((4,), Levels(3)), context_event=Event((), Levels(3)), units=8, order="random")
        yield cls(Event((3,), Categories(4)), units=8, orders=2, order="random", ensemble=3)
        yield cls(Event((2,), Real()), units=8, components=2)
        table = Columns((Binary(), Real(), Levels(3), Categories(3), Binary()))
        yield cls(Event((5,), table), units=8, orders=2, order="random", components=2)
        yield cls(Event((2,), Columns((Levels(300), Binary()))), units=8, components=3)
