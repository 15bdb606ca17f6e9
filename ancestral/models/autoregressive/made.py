"""MADE: masked autoencoder for distribution estimation (Germain, Gregor, Murray & Larochelle 2015, arXiv:1502.03509).

One pass of a masked network (`ancestral.layers.masked_network`) gives all conditionals p(x_d | x_<d) of an order.

Training may cycle through a list of masks, with an order of its own each (order- and connectivity-agnostic training,
sections 4.2 and 4.3). The density is then the average of their *probabilities*, and a sample is drawn under one mask
chosen at random: exactly that mixture.

Left to us by the paper: levels enter as one number each on [-1, 1], categories as a one-hot each, and both leave as a
softmax over all values (more than 256 levels as a mixture of discretized logistics). Real numbers leave as a mixture of
Gaussians, as in RNADE (Uria, Murray & Larochelle 2013); of a table each column as its support says. A context enters
the first hidden layer and the outputs through linear maps without masks.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from ancestral.distributions import conditional_for
from ancestral.interface import (
    Adam,
    Batch,
    Binary,
    Categories,
    Columns,
    Event,
    InputError,
    Levels,
    Losses,
    Model,
    Phase,
    QuickSettings,
    Real,
)
from ancestral.layers.autoregressive import AutoregressiveModel, too_many_outputs
from ancestral.layers.conditioning import FlatContext
from ancestral.layers.flat import FlatInputs
from ancestral.layers.masked_network import MaskedNetwork, StepwiseMaskedNetwork
from ancestral.registry import register


@register("made")
class MADE(AutoregressiveModel):
    """MADE: an autoencoder whose masks make it a product of conditionals, or an average of several such products.

    Args:
        hidden: widths of the hidden layers.
        masks: the length of the list of masks, which training takes in turn; the density is the mean over them.
        order: of the conditionals: "natural" (the flattened event's) or "random" (one for each mask).
        direct: connect inputs and outputs without a hidden layer between as well.
        components: of the mixture of a real dimension, or of one of more than 256 levels.
        seed: the masks and the random orders are drawn from it.
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
        components: int = 10,
        seed: int = 0,
    ) -> None:
        super().__init__(event, context_event=context_event)
        if order not in ("natural", "random"):
            raise InputError(f'order must be "natural" or "random", got {order!r}')
        if not hidden or min(hidden) < 1:
            raise InputError(f"hidden needs widths of at least 1, got {list(hidden)}")
        if masks < 1 or components < 1:
            raise InputError(f"masks and components must be at least 1, got {masks} and {components}")
        self.observation = conditional_for(event.support, components)
        self.inputs = FlatInputs(event)
        self.context = FlatContext(context_event)
        self.network = MaskedNetwork(
            self.inputs.widths,
            self.observation.sizes(event.size),
            hidden,
            masks=masks,
            random_order=order == "random",
            direct=direct,
            context=self.context.size,
            seed=seed,
        )
        # How many training steps were made: the place in the list of masks.
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64), persistent=False)
        self.register_load_state_dict_pre_hook(_without_updates)

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self._loss, optimizer=Adam(1e-3))]

    def training_state(self) -> Mapping[str, Tensor]:
        return {"updates": self.updates}

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

    def _conditionals(self, x: Tensor, context: Tensor | None, order: int) -> Tensor:
        # The density averages the probabilities of x over the masks; these parameters are never averaged.
        inputs = self.inputs(x.flatten(1), self._reference)
        out = self.network(inputs, order, self._vector(len(x), context))
        return out.view(len(x), self.observation.size, *self.event.shape)

    def _stepwise(self, n: int, context: Tensor | None, order: int) -> StepwiseMaskedNetwork:
        def encode(dimension: int, values: Tensor) -> Tensor:
            return self.inputs.of_dimension(dimension, values, self._reference)

        return StepwiseMaskedNetwork(self.network, n, order, self._vector(n, context), encode=encode)

    def _vector(self, n: int, context: Tensor | None) -> Tensor | None:
        return None if context is None else self.context.vector(n, context, like=self._reference)

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        return too_many_outputs(sum(conditional_for(event.support).sizes(event.size)))

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        if event.densities:
            return QuickSettings({"hidden": [128, 128]})
        return QuickSettings({"hidden": [256]} if event.size <= 256 and len(event.shape) == 3 else {})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        yield cls(Event((6,), Binary()), hidden=[16])
        yield cls(Event((1, 2, 3), Binary()), hidden=[12, 12], masks=3, order="random", direct=True)
        yield cls(Event((4,), Levels(3)), context_event=Event((), Levels(3)), hidden=[16], masks=2, order="random")
        yield cls(Event((3,), Categories(4)), hidden=[24], masks=2, order="random", direct=True)
        yield cls(Event((2,), Real()), hidden=[16], components=2)
        table = Columns((Binary(), Real(), Levels(3), Categories(3), Binary()))
        yield cls(Event((5,), table), hidden=[24], masks=2, order="random", direct=True, components=2)
        yield cls(Event((2,), Columns((Levels(300), Binary()))), hidden=[12], components=3)


def _without_updates(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Folders of the first versions hold the place in the list of masks among the weights."""
    state.pop(f"{prefix}updates", None)
