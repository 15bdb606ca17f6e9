"""PixelCNN (van den Oord, Kalchbrenner & Kavukcuoglu 2016, "Pixel Recurrent Neural Networks", arXiv:1601.06759).

p(x) is the product over pixels in raster order (equation 1), and at each pixel over its colours in turn (equation 2),

    p(x) = prod_i p(x_i | x_<i),    p(x_i | x_<i) = p(x_R | x_<i) p(x_G | x_R, x_<i) p(x_B | x_R, x_G, x_<i).

Masked convolutions compute all conditionals at once (sections 3.4 and 3.5, table 1): 7x7 with mask A, residual blocks
with mask B (figure 5 left), a rectifier and a 1x1 convolution twice, and a softmax over all levels (section 2.3).

What a pixel sees. With b blocks of kernels that reach r pixels on (1 for 3x3), a conditional sees 3 + r b pixels to the
left and as many rows up; in these rows as many columns to the left too, but dy rows up only 3 + r min(b, dy - 1) to the
right. The earlier pixels beyond are the blind spot that `gated_pixelcnn` has not.

Faithful: all of the above, with the colours of an image in the order of its channels, by groups of feature maps. Left
out: the multi-scale network (section 3.6). A context enters as that section has it, by linear maps that add to each
layer: to the outputs of its masked convolution. Sampling is exact and computes each feature once
(`ancestral.layers.masked_sampler`).
"""

from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from ancestral.interface import Binary, Event, Levels, Model, QuickSettings
from ancestral.layers.conditioning import LayerContext
from ancestral.layers.masked import RasterConv2d, channel_groups
from ancestral.layers.masked_residual import MaskedResidualBlock, cached_residual_blocks
from ancestral.layers.masked_sampler import CachedConv2d, RasterLayer
from ancestral.layers.raster_model import RasterModel
from ancestral.registry import register


@register("pixelcnn")
class PixelCNN(RasterModel):
    """PixelCNN: masked convolutions in residual blocks, conditional, with an exact cached sampler.

    Args:
        channels: h, feature maps of the masked convolution in each block, at least as many as the image has colours;
            between the blocks there are 2h.
        blocks: residual blocks after the first, 7x7 convolution.
        kernel_size: the side of their masked convolutions, odd.
        head: feature maps of the last hidden layer.
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        channels: int = 32,
        blocks: int = 7,
        kernel_size: int = 3,
        head: int = 64,
    ) -> None:
        super().__init__(
            event,
            context_event=context_event,
            channels=channels,
            blocks=blocks,
            kernel_size=kernel_size,
            head=head,
            features=2 * channels,
        )
        colours = event.shape[0]
        outer, image = channel_groups(2 * channels, colours), channel_groups(colours, colours)
        self.first = RasterConv2d(outer, image, 7, strict=True)
        self.blocks = nn.ModuleList(MaskedResidualBlock(channels, kernel_size, colours) for _ in range(blocks))
        sizes = [2 * channels, *[channels] * blocks]
        self.context = None if context_event is None else LayerContext(context_event, event, channels, sizes)

    def _features(self, image: Tensor, context: Tensor | None) -> Tensor:
        first, *added = self._added(context)
        features = self.first(image)
        if first is not None:
            features = features + first
        for block, shift in zip(self.blocks, added):
            features = block(features, shift)
        return features

    def _cached_layers(self, n: int, context: Tensor | None) -> Sequence[RasterLayer]:
        first, *added = self._added(context)
        width = self.event.shape[2]
        blocks = cached_residual_blocks(self.blocks, n, width, added)
        return [CachedConv2d(self.first, n, width, added=first), *blocks]

    def _added(self, context: Tensor | None) -> Sequence[Tensor | None]:
        """What the context adds to the first convolution and in each block."""
        if self.context is None or context is None:
            return [None] * (1 + len(self.blocks))
        return self.context(context)

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        channels = 32 if event.size <= 256 else 24
        return QuickSettings({"channels": channels, "blocks": 4}, {"lr": 3e-3, "clip_gradient": 100.0})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        # With fewer maps, one start in a hundred has only dead ReLUs somewhere.
        yield cls(Event((1, 3, 3), Binary()), channels=6, blocks=1, head=8)
        yield cls(Event((3, 2, 2), Levels(3)), channels=9, blocks=2, head=9)
        yield cls(Event((1, 4, 4), Levels(4)), context_event=Event((), Levels(3)), channels=6, blocks=2, head=8)
