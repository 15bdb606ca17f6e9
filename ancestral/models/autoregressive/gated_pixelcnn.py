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

import torch
from jaxtyping import Int64
from torch import Tensor, nn
from torch.nn import functional as F

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
from ancestral.layers.gated import GatedLayer
from ancestral.layers.gated_sampler import cached_gated_layers
from ancestral.layers.masked import RasterConv2d, channel_groups
from ancestral.layers.masked_sampler import CachedPointwise, Raster
from ancestral.registry import register


@register("gated_pixelcnn")
class GatedPixelCNN(AutoregressiveModel):
    """Gated PixelCNN: two stacks of gated masked convolutions, conditional, with an exact cached sampler.

    Args:
        channels: feature maps of each gated layer, at least as many as the image has colours.
        blocks: gated layers after the first, 7x7 one.
        kernel_size: the side of their convolutions, odd.
        head: feature maps of the last hidden layer.
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
        layers = [GatedLayer(colours, channels, 7, colours, first=True)]
        layers.extend(GatedLayer(channels, channels, kernel_size, colours) for _ in range(blocks))
        self.layers = nn.ModuleList(layers)
        features, hidden = channel_groups(channels, colours), channel_groups(head, colours)
        outputs = channel_groups(colours * self.observation.size, colours)
        self.hidden = RasterConv2d(hidden, features, 1)
        self.output = RasterConv2d(outputs, hidden, 1)
        sizes = [2 * channels] * (2 * len(layers))
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
        vertical, horizontal = F.pad(image, (0, 0, 1, -1)), image
        added = self._added(context)
        for layer, shift in zip(self.layers, added):
            vertical, horizontal = layer(vertical, horizontal, shift)
        out = self.output(self.hidden(horizontal.relu()).relu())
        return out.unflatten(1, (self.event.shape[0], self.observation.size)).transpose(1, 2)

    def _added(self, context: Tensor | None) -> Sequence[tuple[Tensor, Tensor] | None]:
        """What the context adds in each layer's stacks."""
        if self.context is None or context is None:
            return [None] * len(self.layers)
        parts = self.context(context)
        return list(zip(parts[::2], parts[1::2]))

    def _stepwise(self, n: int, context: Tensor | None, order: int) -> Raster:
        layers = cached_gated_layers(self.layers, n, self.event.shape[2], self._added(context))
        head = [CachedPointwise(convolution, n, rectified=True) for convolution in (self.hidden, self.output)]
        return Raster([*layers, *head], self.event.shape, scale=2 / (self._levels - 1))

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
        return QuickSettings({"channels": channels, "blocks": 3}, {"lr": 3e-3, "clip_gradient": 100.0})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        # With fewer maps in the head, one start in a hundred has only dead ReLUs there.
        yield cls(Event((1, 3, 3), Binary()), channels=4, blocks=1, head=8)
        yield cls(Event((3, 2, 2), Levels(3)), channels=6, blocks=2, head=8)
        yield cls(Event((1, 4, 4), Levels(4)), context_event=Event((), Levels(3)), channels=4, blocks=1, head=8)
