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

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from ancestral.distributions import Bernoulli, Categorical, Observation
from ancestral.interface import (
    Binary,
    Event,
    InputError,
    Levels,
    Model,
    Phase,
    QuickSettings,
    maximum_likelihood,
)
from ancestral.layers.autoregressive import AutoregressiveModel, raster_order, too_many_outputs
from ancestral.layers.conditioning import LayerContext, centred
from ancestral.layers.masked import RasterConv2d, channel_groups
from ancestral.layers.masked_residual import MaskedResidualBlock, cached_residual_blocks
from ancestral.layers.masked_sampler import CachedConv2d, CachedPointwise, Raster
from ancestral.registry import register


@register("pixelcnn")
class PixelCNN(AutoregressiveModel):
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
        super().__init__(event, context_event=context_event)
        colours = event.shape[0]
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise InputError(f"kernel_size must be odd and positive, got {kernel_size}")
        if blocks < 0 or min(channels, head) < colours:
            raise InputError(
                f"channels and head must be at least the {colours} colours of the event and blocks at least 0,"
                f" got channels={channels}, head={head}, blocks={blocks}"
            )
        self._levels = event.support.levels if isinstance(event.support, Levels) else 2
        self.observation: Observation = Bernoulli() if isinstance(event.support, Binary) else Categorical(self._levels)
        image, features, hidden, outputs = (
            channel_groups(maps, colours) for maps in (colours, 2 * channels, head, colours * self.observation.size)
        )
        self.first = RasterConv2d(features, image, 7, strict=True)
        self.blocks = nn.ModuleList(MaskedResidualBlock(channels, kernel_size, colours) for _ in range(blocks))
        self.hidden = RasterConv2d(hidden, features, 1)
        self.output = RasterConv2d(outputs, hidden, 1)
        sizes = [2 * channels, *[channels] * blocks]
        self.context = None if context_event is None else LayerContext(context_event, event, channels, sizes)

    def phases(self) -> Sequence[Phase]:
        return maximum_likelihood(self)

    @property
    def orders(self) -> Int64[Tensor, "orders size"]:
        """Rows, then columns, then colours."""
        return raster_order(self.event)

    def _conditionals(self, x: Tensor, context: Tensor | None, order: int) -> Tensor:
        # Binary data are laid on [-1, 1] too: zeros beyond the border then differ from both values.
        # Channels last is the fastest layout for convolutions on processors and tensor cores alike.
        image = centred(x, self.event.support, binary=True).contiguous(memory_format=torch.channels_last)
        first, *added = self._added(context)
        features = self.first(image)
        if first is not None:
            features = features + first
        for block, shift in zip(self.blocks, added):
            features = block(features, shift)
        out = self.output(self.hidden(features.relu()).relu_())
        return out.unflatten(1, (self.event.shape[0], self.observation.size)).transpose(1, 2)

    def _added(self, context: Tensor | None) -> Sequence[Tensor | None]:
        """What the context adds to the first convolution and in each block."""
        if self.context is None or context is None:
            return [None] * (1 + len(self.blocks))
        return self.context(context)

    def _stepwise(self, n: int, context: Tensor | None, order: int) -> Raster:
        width = self.event.shape[2]
        first, *added = self._added(context)
        layers = [
            CachedConv2d(self.first, n, width, added=first),
            *cached_residual_blocks(self.blocks, n, width, added),
            CachedPointwise(self.hidden, n, rectified=True),
            CachedPointwise(self.output, n, rectified=True),
        ]
        return Raster(layers, self.event.shape, scale=2 / (self._levels - 1))

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if len(event.shape) != 3:
            return f"it models images, (channels, height, width), got the shape {event.shape}"
        if not isinstance(event.support, Binary | Levels):
            return "its conditionals are discrete and its inputs numbers; use Binary or Levels data"
        return too_many_outputs(event.size * (event.values or 0))

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        channels = 32 if event.size <= 256 else 24
        return QuickSettings({"channels": channels, "blocks": 4}, {"lr": 3e-3, "clip_gradient": 100.0})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        # With fewer maps, one start in a hundred has only dead ReLUs somewhere.
        yield cls(Event((1, 3, 3), Binary()), channels=6, blocks=1, head=8)
        yield cls(Event((3, 2, 2), Levels(3)), channels=9, blocks=2, head=9)
        yield cls(Event((1, 4, 4), Levels(4)), context_event=Event((), Levels(3)), channels=6, blocks=1, head=8)
