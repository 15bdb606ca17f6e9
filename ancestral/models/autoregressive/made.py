"""MADE: masked autoencoder for distribution estimation (Germain, Gregor, Murray & Larochelle 2015, arXiv:1502.03509).

One pass of a masked network (`ancestral.layers.masked_network`) gives all conditionals p(x_d | x_<d) of an order.

Training may cycle through a list of masks: with an order of its own each it is agnostic to order and connectivity
(sections 4.2 and 4.3), with the natural order for all to connectivity alone. The density is then the average of their
*probabilities*, and a sample is drawn under one mask chosen at random: exactly that mixture. Masks cost no weights, so
that the ensemble may be made for the test, smaller than the list or larger: the list goes on by the same seed, and the
weights of one ensemble load into another.

Left to us by the paper: levels enter as one number each on [-1, 1], categories as a one-hot each, and both leave as a
softmax over all values (more than 256 levels as a mixture of discretized logistics). Real numbers leave as a mixture of
Gaussians, as in RNADE (Uria, Murray & Larochelle 2013); of a table each column as its support says. A context enters
the first hidden layer and the outputs through linear maps without masks.
"""

from collections.abc import Iterable, Sequence

from jaxtyping import Int64
from torch import Tensor, nn

from ancestral.interface import Binary, Categories, Columns, Event, InputError, Levels, Model, QuickSettings, Real
from ancestral.layers.flat_autoregressive import FlatAutoregressive
from ancestral.layers.masked_network import MaskedNetwork, StepwiseMaskedNetwork
from ancestral.registry import register


@register("made")
class MADE(FlatAutoregressive):
    """MADE: an autoencoder whose masks make it a product of conditionals, or an average of several such products.

    Args:
        hidden: widths of the hidden layers.
        masks: the length of the list of masks, which training takes in turn.
        order: of the conditionals: "natural" (the flattened event's) or "random" (one for each mask).
        ensemble: how many masks the density is the mean over: the first of the list, or more than it has, which are
            drawn likewise; None for the list itself.
        direct: connect inputs and outputs without a hidden layer between as well.
        components: of the mixture of a real dimension, or of one of more than 256 levels.
        seed: the masks and the random orders are drawn from it.
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        hidden: Sequence[int] = (500,),
        masks: int = 1,
        order: str = "natural",
        ensemble: int | None = None,
        direct: bool = False,
        components: int = 10,
        seed: int = 0,
    ) -> None:
        if order not in ("natural", "random"):
            raise InputError(f'order must be "natural" or "random", got {order!r}')
        if not hidden or min(hidden) < 1:
            raise InputError(f"hidden needs widths of at least 1, got {list(hidden)}")
        if masks < 1:
            raise InputError(f"masks must be at least 1, got {masks}")
        super().__init__(event, context_event=context_event, components=components, trained=masks, averaged=ensemble)
        self.network = MaskedNetwork(
            self.inputs.widths,
            self.observation.sizes(event.size),
            hidden,
            masks=max(masks, self.averaged),
            random_order=order == "random",
            direct=direct,
            context=self.context.size,
            seed=seed,
        )
        self.register_load_state_dict_pre_hook(_without_updates)

    @property
    def orders(self) -> Int64[Tensor, "orders size"]:
        """The order of the flattened event under each mask of the ensemble."""
        return self.network.orders[: self.averaged]

    def _outputs(self, inputs: Tensor, order: int, context: Tensor | None) -> Tensor:
        return self.network(inputs, order, context)

    def _stepwise(self, n: int, context: Tensor | None, order: int) -> StepwiseMaskedNetwork:
        return StepwiseMaskedNetwork(self.network, n, order, self._vector(n, context), encode=self._encode)

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
