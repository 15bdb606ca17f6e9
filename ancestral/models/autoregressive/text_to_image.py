"""Text to image by a Gated PixelCNN given a caption (Reed, van den Oord, Kalchbrenner, Bapst, Botvinick & de Freitas
2016, "Generating interpretable images with controllable structure").

p(x | c) of an image x given the token ids c of a caption is that of a Gated PixelCNN (van den Oord et al. 2016,
arXiv:1606.05328) given feature maps s of the caption:

* a recurrent network reads the embedded words one after another, once from either end, so that their order matters;
  the mean of its states over the words is the caption's embedding h;
* an up-sampling network lays h out, s = m(h), of the height and width of the image: what is said of a place in the
  image can act there (section 2.3 of van den Oord et al., who map a vector to a spatial representation likewise);
* s enters before the gates of every layer (there equation 5, and `ancestral.layers.conditioning`).

All is trained as one by maximum likelihood. Sampling is exact and computes each feature once.

Departures: words, where the paper reads characters by convolutions before its recurrent network; gated recurrent units
that read from both ends; feature maps laid out by m, where the paper repeats h at every pixel. Left out: key points and
segmentations, its other conditions. A caption that is shorter than others ends in the token 0, which is read like a
word.
"""

from collections.abc import Iterable, Sequence
from functools import partial

from jaxtyping import Float, Int64
from torch import Tensor, nn

from ancestral.interface import (
    Binary,
    Categories,
    Event,
    InputError,
    Levels,
    Model,
    Phase,
    QuickSettings,
    Real,
    maximum_likelihood,
)
from ancestral.layers.autoregressive import AutoregressiveModel, Stepwise
from ancestral.layers.image_networks import ImageDecoder
from ancestral.models.autoregressive.gated_pixelcnn import GatedPixelCNN
from ancestral.registry import register


class CaptionMaps(nn.Module):
    """Feature maps (batch, *maps.shape) of captions, token ids (batch, tokens)."""

    def __init__(self, words: int, embedding: int, hidden: int, maps: Event) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, embedding)
        self.recurrent = nn.GRU(embedding, hidden, batch_first=True, bidirectional=True)
        self.layout = ImageDecoder(maps, 2 * hidden, maps.shape[0], "nearest", nn.Identity(), "layer")

    def forward(self, tokens: Int64[Tensor, "batch tokens"]) -> Float[Tensor, "batch maps height width"]:
        states, _ = self.recurrent(self.embedding(tokens))
        return self.layout(states.mean(1))


@register("text_to_image")
class TextToImage(AutoregressiveModel):
    """Images of captions (Reed et al. 2016): a Gated PixelCNN given what a recurrent network reads.

    Without a context, which the caption is, it is the Gated PixelCNN alone.

    Args:
        embedding: numbers of the embedding of a word.
        hidden: units of the recurrent network in each direction.
        maps: feature maps that the caption is laid out in.
        channels: feature maps of each gated layer, at least as many as the image has colours.
        blocks: gated layers after the first, 7x7 one.
        head: feature maps of the last hidden layer.
    """

    made_for = {"context": "captions"}

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        embedding: int = 32,
        hidden: int = 64,
        maps: int = 16,
        channels: int = 32,
        blocks: int = 5,
        head: int = 64,
    ) -> None:
        super().__init__(event, context_event=context_event)
        if min(embedding, hidden, maps) < 1:
            raise InputError(f"embedding, hidden and maps must be at least 1, got {embedding}, {hidden} and {maps}")
        self.caption: CaptionMaps | None = None
        laid_out: Event | None = None
        if context_event is not None:
            laid_out = Event((maps, *event.shape[1:]), Real())
            self.caption = CaptionMaps(context_event.values or 0, embedding, hidden, laid_out)
        self.pixels = GatedPixelCNN(event, context_event=laid_out, channels=channels, blocks=blocks, head=head)
        self.observation = self.pixels.observation

    def phases(self) -> Sequence[Phase]:
        return maximum_likelihood(self)

    @property
    def orders(self) -> Int64[Tensor, "orders size"]:
        """Rows, then columns, then colours."""
        return self.pixels.orders

    def _conditionals(self, x: Tensor, context: Tensor | None, order: int) -> Tensor:
        return self.pixels._conditionals(x, self._maps(context), order)

    def _stepwise(self, n: int, context: Tensor | None, order: int) -> Stepwise:
        return self.pixels._stepwise(n, self._maps(context), order)

    def _maps(self, context: Tensor | None) -> Tensor | None:
        return None if self.caption is None or context is None else self.caption(context)

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if reason := GatedPixelCNN.supports(event):
            return reason
        if context_event is None:
            return None
        if len(context_event.shape) != 1 or not isinstance(context_event.support, Categories):
            return (
                f"its context is a caption, token ids as load_data(..., context='captions') makes them, not"
                f" {context_event}; gated_pixelcnn takes any other"
            )
        return None

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        pixels = GatedPixelCNN.quick_settings(event)
        return QuickSettings({"hidden": 32, **pixels.model}, pixels.training)

    @classmethod
    def examples(cls) -> Iterable[Model]:
        words = Event((3,), Categories(4))
        tiny = partial(cls, embedding=3, hidden=4, maps=3, blocks=1, head=8)
        yield tiny(Event((1, 2, 3), Binary()), context_event=words, channels=4)
        yield tiny(Event((3, 4, 3), Levels(3)), context_event=words, channels=6)
        yield tiny(Event((1, 3, 3), Binary()), channels=4)
