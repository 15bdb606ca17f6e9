"""MADE: masked autoencoder for distribution estimation (Germain, Gregor, Murray & Larochelle 2015, arXiv:1502.03509).

One pass of a masked network (`ancestral.layers.masked_network`) gives all conditionals p(x_d | x_<d) of an order.

Training may cycle through a list of masks, with an order of its own each (order- and connectivity-agnostic training,
sections 4.2 and 4.3). The density is then the average of their *probabilities*, and a sample is drawn under one mask
chosen at random: exactly that mixture.

Left to us by the paper: levels enter as one number each on [-1, 1] and leave as a softmax over all values, and a
context enters the first hidden layer and the outputs through linear maps without masks.
"""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Int64
from torch import Tensor

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
    QuickSettings,
    Real,
)
from ancestral.layers.conditioning import FlatContext, centred
from ancestral.layers.masked_network import MaskedNetwork, StepwiseMaskedNetwork
from ancestral.registry import register


@register("made")
class MADE(Autoregressive):
    """MADE: an autoencoder whose masks make it a product of conditionals, or an average of several such products.

    `hidden` are the widths of the hidden layers; `masks` the length of the list of masks, all drawn from `seed`;
    `order` is "natural" (the flattened event's) or "random" (one for each mask); `direct` connects inputs and outputs.
    """

    updates: Tensor

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
        levels = event.support.levels if isinstance(event.support, Levels) else 2
        self.observation: Observation = Bernoulli() if isinstance(event.support, Binary) else Categorical(levels)
        self.context = FlatContext(context_event)
        self.network = MaskedNetwork(
            event.size,
            self.observation.size,
            hidden,
            masks=masks,
            random_order=order == "random",
            direct=direct,
            context=self.context.size,
            seed=seed,
        )
        # How many training steps were made: the place in the list of masks, kept across an interruption.
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self._loss, optimizer=Adam(1e-3))]

    def _loss(self, batch: Batch) -> Losses:
        mask = int(self.updates) % self.network.masks
        if self.training:
            self.updates += 1
        parameters = self._conditionals(batch.x, batch.context, mask)
        nats = -self.observation.log_prob(parameters, batch.x).flatten(1).sum(1).mean()
        return Losses(nats, {"nats": nats})

    @property
    def orders(self) -> Int64[Tensor, "orders size"]:
        """The order of the flattened event under each mask."""
        return self.network.orders

    def _conditional_log_probs(self, x: Tensor, context: Tensor | None) -> Tensor:
        # `Autoregressive` averages the probabilities of x over the masks; these parameters are never averaged.
        masks = range(self.network.masks)
        return torch.stack([self.observation.log_prob(self._conditionals(x, context, mask), x) for mask in masks])

    def _conditionals(self, x: Tensor, context: Tensor | None, mask: int) -> Tensor:
        """The parameters of every conditional under one mask, (batch, size, *event)."""
        inputs = centred(x, self.event.support).flatten(1)
        out = self.network(inputs, mask, self._vector(len(x), context))
        return out.view(len(x), self.observation.size, *self.event.shape)

    def _vector(self, n: int, context: Tensor | None) -> Tensor | None:
        return None if context is None else self.context.vector(n, context, like=self._reference)

    def _draw(
        self,
        n: int,
        context: Tensor | None,
        *,
        given: Tensor | None = None,
        known: Tensor | None = None,
        temperature: float = 1.0,
        naively: bool = False,
    ) -> Tensor:
        chosen = torch.randint(self.network.masks, (n,), device=self.device)
        u = torch.rand(n, self.event.size, dtype=self.dtype, device=self.device)
        x = torch.empty_like(u)
        vector = self._vector(n, context)
        for mask in chosen.unique().tolist():
            rows = (chosen == mask).nonzero()[:, 0]
            x[rows] = self._draw_rows(u[rows], mask, None if vector is None else vector[rows])
        return x.view(n, *self.event.shape)

    def _draw_rows(self, u: Tensor, mask: int, vector: Tensor | None) -> Tensor:
        """Samples under one mask by the inverse distribution functions at `u`, (n, dimensions)."""
        network = StepwiseMaskedNetwork(self.network, len(u), mask, vector)
        x = torch.empty_like(u)
        for step, dimension in enumerate(self.orders[mask].tolist()):
            x[:, dimension] = self.observation.from_uniform(network.parameters(step), u[:, dimension])
            network.write(step, centred(x[:, dimension], self.event.support))
        return x

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if isinstance(event.support, Real):
            return "its conditionals are discrete; use Binary or Levels data"
        return None

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        return QuickSettings({"hidden": [256]} if event.size <= 256 and len(event.shape) == 3 else {})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        yield cls(Event((6,), Binary()), hidden=[16])
        yield cls(Event((1, 2, 3), Binary()), hidden=[12, 12], masks=3, order="random", direct=True)
        yield cls(Event((4,), Levels(3)), context_event=Event((), Levels(3)), hidden=[16], order="random")
