"""Probabilistic image colorization (Royer, Kolesnikov & Lampert 2017, arXiv:1705.04258).

p(x | g) of a colour image x given its grey view g is a product over pixels in raster order, as in PixelCNN++, each
given the pixels before it and the whole of g. Two networks are trained as one by maximum likelihood:

* an embedding of g by gated residual convolutions that see all around a pixel (`ancestral.layers.image_embedding`);
* a short PixelCNN++ at one resolution (`ancestral.layers.shifted`), into each layer of which the embedding enters by a
  1x1 convolution, in the place of the short-cuts from earlier layers there; at its end a mixture of discretized
  logistics over each pixel (`ancestral.layers.pixel_mixture`).

As a grey view allows many colourings, p(x | g) has many modes, and draws of one g differ. `load_data(...,
context="grey")` gives an image its view; any image of the same height and width will do. Without a context the same
layers are a PixelCNN++ that sees no g: what g is worth is the difference in bits.

Departures: the paper models two channels of chrominance at a lower resolution than the image's and lays them over the
grey one, which is no density of the image. Here x is the image in its own colours and resolution, so that bits count
against those of any other model; that the colours of a pixel agree with its grey value is learned. Colours being at
full resolution, dilations stand for the authors' strided convolutions (a layer at half the resolution is one of twice
the dilation), and feature maps are as many in all layers. Left out: a second likelihood in the authors' code, of the
colours by the embedding alone, which is no part of that of x. Binary images have mixtures of Bernoullis.

The paper's network for CIFAR-10 has 160 channels, 2 blocks, 10 components and 9 blocks in the embedding.
"""

from collections.abc import Iterable, Sequence
from functools import partial

from torch import Tensor

from ancestral.interface import (
    Binary,
    Event,
    InputError,
    Levels,
    Model,
    QuickSettings,
    Real,
)
from ancestral.layers.image_embedding import ImageEmbedding
from ancestral.layers.shifted import ShiftedStack
from ancestral.layers.shifted_model import ShiftedModel
from ancestral.registry import register


@register("colorizer")
class Colorizer(ShiftedModel):
    """Colours of an image given its grey view (Royer et al. 2017): a deep embedding of it, and a PixelCNN++.

    Args:
        channels: feature maps of the embedding and of each stream.
        blocks: gated layers of the PixelCNN++.
        dilations: of the embedding's gated blocks, one each.
        components: of the mixture of a pixel.
        dropout: probability of dropping an activation within each gated layer.
    """

    made_for = {"context": "grey"}

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        channels: int = 32,
        blocks: int = 2,
        dilations: Sequence[int] = (1, 1, 2, 2, 2, 2, 4, 4, 4),
        components: int = 10,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(event, context_event=context_event)
        if min(channels, blocks, components, *dilations) < 1:
            raise InputError(
                "channels, blocks, components and each of the dilations must be at least 1,"
                f" got {channels}, {blocks}, {components} and {list(dilations)}"
            )
        self.embedding = None
        if context_event is not None:
            self.embedding = ImageEmbedding(context_event, channels, dilations, dropout)
        self._begin(event, channels, components, dropout)
        self.network = ShiftedStack(channels, blocks, given=context_event is not None, dropout=dropout)
        self._end(channels)

    def _given(self, n: int, context: Tensor | None) -> Tensor | None:
        return None if self.embedding is None or context is None else self.embedding(context)

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if reason := ShiftedModel.supports(event):
            return reason
        if event.shape[0] < 2:
            return "it colours images of several channels, and these have one"
        if context_event is None:
            return None
        if len(context_event.shape) != 3 or context_event.shape[1:] != event.shape[1:]:
            return (
                f"it is given an image of the same height and width, as load_data(..., context='grey') makes it, not"
                f" {context_event}"
            )
        if not isinstance(context_event.support, Binary | Levels | Real):
            return f"what it is given are grey values, which have an order, not {context_event.support}"
        return None

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        return QuickSettings({"channels": 16, "dilations": [1, 2, 4], "components": 5}, {"lr": 3e-3})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(cls, channels=4, components=2)
        yield tiny(Event((2, 2, 2), Levels(2)), context_event=Event((1, 2, 2), Levels(5)), blocks=1, dilations=[1])
        maps = Event((2, 4, 3), Real())
        yield tiny(Event((3, 4, 3), Levels(4)), context_event=maps, blocks=2, dilations=[1, 2], dropout=0.2)
        yield tiny(Event((2, 2, 3), Binary()), blocks=1)
