"""What NADE and MADE share: a network of the flattened event, whose one set of weights may serve several orders."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ancestral.distributions import conditional_for
from ancestral.interface import Adam, Batch, Event, InputError, Losses, Phase
from ancestral.layers.autoregressive import AutoregressiveModel, too_many_outputs
from ancestral.layers.conditioning import FlatContext
from ancestral.layers.flat import FlatInputs


class FlatAutoregressive(AutoregressiveModel):
    """An autoregressive model of vectors. Write `_outputs`, `orders` and `_stepwise`.

    Training takes `trained` orders in turn, a step each; the density averages the probabilities of the `averaged` first
    ones, by default of all that are trained (Uria, Murray & Larochelle 2014, section 5; Germain et al. 2015, sections
    4.2 and 4.3). Levels of at most `one_hot` values enter the network one-hot.
    """

    updates: Tensor

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None,
        components: int,
        trained: int,
        averaged: int | None,
        one_hot: int = 0,
    ) -> None:
        super().__init__(event, context_event=context_event)
        if components < 1:
            raise InputError(f"components must be at least 1, got {components}")
        self.trained, self.averaged = trained, trained if averaged is None else averaged
        if self.averaged < 1:
            raise InputError(f"ensemble must be at least 1, or None for all that are trained, got {averaged}")
        if self.averaged != trained:
            self.loss_differs = f"training takes {trained} in turn where the density averages {self.averaged}"
        self.observation = conditional_for(event.support, components)
        self.inputs = FlatInputs(event, one_hot)
        self.context = FlatContext(context_event)
        # How many training steps were made: the place in the list of orders.
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64), persistent=False)

    @abstractmethod
    def _outputs(self, inputs: Tensor, order: int, context: Tensor | None) -> Tensor:
        """The parameters of all conditionals, (batch, size, dimensions), in one of the orders, be it trained alone."""

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self._loss, optimizer=Adam(1e-3))]

    def training_state(self) -> Mapping[str, Tensor]:
        return {"updates": self.updates}

    def _loss(self, batch: Batch) -> Losses:
        order = int(self.updates) % self.trained
        if self.training:
            self.updates += 1
        parameters = self._conditionals(batch.x, batch.context, order)
        nats = -self.observation.log_prob(parameters, batch.x).flatten(1).sum(1).mean()
        return Losses(nats, {"nats": nats})

    def _conditionals(self, x: Tensor, context: Tensor | None, order: int) -> Tensor:
        # The density averages the probabilities of x over the orders; these parameters are never averaged.
        out = self._outputs(self.inputs(x.flatten(1), self._reference), order, self._vector(len(x), context))
        return out.view(len(x), self.observation.size, *self.event.shape)

    def _encode(self, dimension: int, values: Tensor) -> Tensor:
        """The network's inputs of one dimension, (n,) -> (n, width)."""
        return self.inputs.of_dimension(dimension, values, self._reference)

    def _vector(self, n: int, context: Tensor | None) -> Tensor | None:
        return None if context is None else self.context.vector(n, context, like=self._reference)

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        return too_many_outputs(sum(conditional_for(event.support).sizes(event.size)))
