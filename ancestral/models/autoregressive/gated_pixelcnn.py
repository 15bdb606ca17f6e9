"""Gated PixelCNN (van den Oord et al. 2016, "Conditional Image Generation with PixelCNN Decoders", arXiv:1606.05328).

p(x) is the product over pixels in raster order, and at each pixel over its colours in turn, of p(x_d | x_<d). Two
stacks of gated convolutions (equation 2, figure 2) compute all conditionals at once, without the blind spot of the
first PixelCNN. A context h is added before every gate: a vector through linear maps (equation 4), or an image of the
same height and width through 1x1 convolutions of its features (equation 5).

Faithful: the stacks, the 7x7 first layer, the residual connection of the horizontal stack alone, colours in the order
of their channels by groups of feature maps, the softmax over all levels. The weights of the tanh half of each gate are
the paper's times -2 (see `ancestral.layers.gated`). Sampling is exact and computes each feature once
(`ancestral.layers.gated_sampler`).
"""

from collections.abc import Iterable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.interface import Binary, Event, InputError, Levels, Model, QuickSettings
from ancestral.layers.conditioning import LayerContext
from ancestral.layers.gated import GatedLayer
from ancestral.layers.gated_sampler import cached_gated_layers
from ancestral.layers.masked_sampler import RasterLayer
from ancestral.layers.raster_model import RasterModel
from ancestral.registry import register


@register("gated_pixelcnn")
class GatedPixelCNN(RasterModel):
    """Gated PixelCNN: two stacks of gated masked convolutions, conditional, with an exact cached sampler.

    Args:
        channels: feature maps of each gated layer, at least as many as the image has colours.
        blocks: gated layers after the first one.
        kernel_size: the side of their convolutions, odd.
        head: feature maps of the last hidden layer.
        first_kernel_size: the side of the first layer's convolution, odd.
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        channels: int = 32,
        blocks: int = 5,
        kernel_size: int = 3,
        head: int = 64,
        first_kernel_size: int = 7,
    ) -> None:
        super().__init__(
            event,
            context_event=context_event,
            channels=channels,
            blocks=blocks,
            kernel_size=kernel_size,
            head=head,
            features=channels,
        )
        if first_kernel_size < 1 or first_kernel_size % 2 == 0:
            raise InputError(f"first_kernel_size must be odd and positive, got {first_kernel_size}")
        colours = event.shape[0]
        layers = [GatedLayer(colours, channels, first_kernel_size, colours, first=True)]
        layers.extend(GatedLayer(channels, channels, kernel_size, colours) for _ in range(blocks))
        self.layers = nn.ModuleList(layers)
        sizes = [2 * channels] * (2 * len(layers))
        self.context = None if context_event is None else LayerContext(context_event, event, channels, sizes)

    def _features(self, image: Tensor, context: Tensor | None) -> Tensor:
        vertical, horizontal = F.pad(image, (0, 0, 1, -1)), image
        for layer, added in zip(self.layers, self._added(context)):
            vertical, horizontal = layer(vertical, horizontal, added)
        return horizontal

    def _cached_layers(self, n: int, context: Tensor | None) -> Sequence[RasterLayer]:
        return cached_gated_layers(self.layers, n, self.event.shape[2], self._added(context))

    def _added(self, context: Tensor | None) -> Sequence[tuple[Tensor, Tensor] | None]:
        """What the context adds in each layer's stacks."""
        if self.context is None or context is None:
            return [None] * len(self.layers)
        parts = self.context(context)
        return list(zip(parts[::2], parts[1::2]))

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        channels = 32 if event.size <= 256 else 24
        return QuickSettings({"channels": channels, "blocks": 3}, {"lr": 3e-3, "clip_gradient": 100.0})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        # With fewer maps in the head, one start in a hundred has only dead ReLUs there.
        yield cls(Event((1, 3, 3), Binary()), channels=4, blocks=1, head=8)
        yield cls(Event((3, 2, 2), Levels(3)), channels=6, blocks=2, head=8, first_kernel_size=3)
        yield cls(Event((1, 4, 4), Levels(4)), context_event=Event((), Levels(3)), channels=4, blocks=1, head=8)
