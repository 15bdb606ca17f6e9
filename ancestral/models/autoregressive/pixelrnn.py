"""PixelRNN: Row LSTM and Diagonal BiLSTM (van den Oord, Kalchbrenner & Kavukcuoglu 2016, "Pixel Recurrent Neural
Networks", arXiv:1601.06759).

p(x) is the product over pixels in raster order (equation 1), and at each pixel over its colours in turn (equation 2).
After a 7x7 convolution with mask A come residual LSTM layers (figure 5 right), a rectifier and a 1x1 convolution with
mask B twice, and a softmax over all levels or a Bernoulli (table 1). A layer computes, from its input x, a hidden state
h and a cell c at each pixel (equation 3),

    [o, f, i, g] = sigma(K_ss * h_before + K_is * x),    c = f c_before + i g,    h = o tanh(c),

with sigma the logistic function for o, f and i, and tanh for g. `ancestral.layers.pixel_lstm` has both layers.

What a pixel sees of the row dy above its own, with b > 0 layers. Row LSTM of kernel size 2r + 1: from 3 + r (b + dy)
columns to its left, in its own row to the pixel before it, in others to 3 + r (dy - 1) to its right (for r up to 4): a
triangle. Diagonal BiLSTM: all earlier values from the first layer on, save one. Mask A hides a value from the features
at its own place, so no state of a row's right scan knows the row's last value: of the row below, the last four columns
alone see it, through the 7x7 convolution.

Faithful: all of the above, mask B in the input-to-state convolutions and none between states, colours in the order of
the channels by groups of feature maps. Left to us: the 1x1 convolution that leads back to the residual has no bias
(those that read it have one), forget gates start at a bias of 1, and a context is a bias of the gates through linear
maps, as in Gated PixelCNN. Left out: the multi-scale network (section 3.6). Sampling is exact and computes each state
once (`ancestral.layers.pixel_lstm_sampler`).
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence

from torch import Tensor, nn

from ancestral.interface import Binary, Event, Levels, Model, QuickSettings
from ancestral.layers.conditioning import LayerContext
from ancestral.layers.masked import RasterConv2d, channel_groups
from ancestral.layers.masked_sampler import CachedConv2d, RasterLayer
from ancestral.layers.pixel_lstm import (
    DiagonalBiLSTMLayer,
    PixelLSTM,
    RowLSTMLayer,
    pointwise,
    raster_convolution,
    to_images,
    to_maps,
)
from ancestral.layers.pixel_lstm_sampler import CachedDiagonalBiLSTM, CachedRowLSTM
from ancestral.layers.raster_model import RasterModel
from ancestral.registry import register


class _PixelRNN(RasterModel):
    """What both have in common: all but the kind of their layers, which `layer` makes and `_cached` samples from."""

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None,
        channels: int,
        blocks: int,
        kernel_size: int,
        head: int,
        layer: Callable[[], PixelLSTM],
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
        layers = [layer() for _ in range(blocks)]
        self.blocks = nn.ModuleList(layers)
        sizes = [4 * channels * block.directions for block in layers]
        self.context = None if context_event is None else LayerContext(context_event, event, channels, sizes)

    @abstractmethod
    def _cached(self, block: nn.Module, n: int, added: Tensor | None) -> RasterLayer:
        """A layer of the network for n images."""

    def _features(self, image: Tensor, context: Tensor | None) -> Tensor:
        maps = raster_convolution(self.first, image)
        for block, added in zip(self.blocks, self._added(context)):
            maps = block(maps, None if added is None else to_maps(added))
        return to_images(maps, image.shape[3])

    def _head(self, features: Tensor) -> Tensor:
        # The same convolutions, in the layout that the features have.
        hidden = pointwise(self.hidden, to_maps(features).relu()).relu_()
        return to_images(pointwise(self.output, hidden), features.shape[3])

    def _cached_layers(self, n: int, context: Tensor | None) -> Sequence[RasterLayer]:
        blocks = [self._cached(block, n, added) for block, added in zip(self.blocks, self._added(context))]
        return [CachedConv2d(self.first, n, self.event.shape[2]), *blocks]

    def _added(self, context: Tensor | None) -> Sequence[Tensor | None]:
        """What the context adds to the gates of each layer."""
        if self.context is None or context is None:
            return [None] * len(self.blocks)
        return self.context(context)


@register("row_lstm")
class RowLSTM(_PixelRNN):
    """Row LSTM: rows from top to bottom, each from the states of the row above; a triangle of context.

    Args:
        channels: h, feature maps of a state, at least as many as the image has colours; between layers there are 2h.
        blocks: residual LSTM layers after the 7x7 convolution.
        kernel_size: k, of their convolutions along a row, odd.
        head: feature maps of the last hidden layer.
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        channels: int = 16,
        blocks: int = 2,
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
            layer=lambda: RowLSTMLayer(channels, kernel_size, event.shape),
        )

    def _cached(self, block: nn.Module, n: int, added: Tensor | None) -> CachedRowLSTM:
        assert isinstance(block, RowLSTMLayer)
        return CachedRowLSTM(block, n, self.event.shape[2], added=added)

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        return QuickSettings({"channels": 16, "blocks": 2}, {"lr": 3e-3})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        yield cls(Event((1, 3, 3), Binary()), channels=4, blocks=1, head=8)
        yield cls(Event((3, 2, 2), Levels(3)), channels=6, blocks=2, head=9)
        yield cls(Event((1, 4, 4), Levels(4)), context_event=Event((), Levels(3)), channels=4, blocks=2, head=8)


@register("diagonal_bilstm")
class DiagonalBiLSTM(_PixelRNN):
    """Diagonal BiLSTM: diagonals from both upper corners; every conditional has all rows above in view.

    Args:
        channels: h, feature maps of a state, at least as many as the image has colours; between layers there are 2h.
        blocks: residual LSTM layers after the 7x7 convolution.
        head: feature maps of the last hidden layer.
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        channels: int = 16,
        blocks: int = 1,
        head: int = 64,
    ) -> None:
        super().__init__(
            event,
            context_event=context_event,
            channels=channels,
            blocks=blocks,
            kernel_size=1,
            head=head,
            layer=lambda: DiagonalBiLSTMLayer(channels, event.shape),
        )

    def _cached(self, block: nn.Module, n: int, added: Tensor | None) -> CachedDiagonalBiLSTM:
        assert isinstance(block, DiagonalBiLSTMLayer)
        return CachedDiagonalBiLSTM(block, n, self.event.shape[2], added=added)

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        return QuickSettings({"channels": 16, "blocks": 1}, {"lr": 3e-3})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        yield cls(Event((1, 3, 3), Binary()), channels=4, blocks=1, head=8)
        yield cls(Event((3, 2, 2), Levels(3)), channels=6, blocks=2, head=9)
        yield cls(Event((1, 4, 4), Levels(4)), context_event=Event((), Levels(3)), channels=4, blocks=2, head=8)
