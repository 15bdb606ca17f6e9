"""What the models of discrete images in raster order have in common: observation, order, image in, head out."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Int64
from torch import Tensor

from ancestral.distributions import Bernoulli, Categorical, Observation
from ancestral.interface import Binary, Event, InputError, Levels, Phase, maximum_likelihood
from ancestral.layers.autoregressive import AutoregressiveModel, no_discrete_image, raster_order, too_many_outputs
from ancestral.layers.conditioning import centred
from ancestral.layers.masked import RasterConv2d, channel_groups
from ancestral.layers.masked_sampler import CachedPointwise, Raster, RasterLayer


class RasterModel(AutoregressiveModel):
    """Images (colours, height, width), binary or of levels, in raster order, by a network of feature maps.

    Write `_features` and `_cached_layers`. The head is that of PixelCNN (van den Oord et al. 2016, table 1): twice a
    rectifier and a masked 1x1 convolution, then a Bernoulli or a softmax over all levels.

    Args:
        channels: feature maps of a layer of the network, and `blocks` how many such layers it has.
        kernel_size: the side of their convolutions, odd.
        head: feature maps of the last hidden layer.
        features: feature maps that the network gives to the head.
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None,
        channels: int,
        blocks: int,
        kernel_size: int,
        head: int,
        features: int,
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
        levels = event.support.levels if isinstance(event.support, Levels) else 2
        self.observation: Observation = Bernoulli() if isinstance(event.support, Binary) else Categorical(levels)
        #: What one level more adds to the network's input, from -1 to 1.
        self._scale = 2 / (levels - 1)
        hidden = channel_groups(head, colours)
        self.hidden = RasterConv2d(hidden, channel_groups(features, colours), 1)
        self.output = RasterConv2d(channel_groups(colours * self.observation.size, colours), hidden, 1)

    @abstractmethod
    def _features(self, image: Tensor, context: Tensor | None) -> Tensor:
        """The features (batch, features, height, width) of images on [-1, 1], those of a colour and pixel from what
        comes earlier alone."""

    @abstractmethod
    def _cached_layers(self, n: int, context: Tensor | None) -> Sequence[RasterLayer]:
        """The layers of the same network for n images."""

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
        out = self._head(self._features(image, context))
        return out.unflatten(1, (self.event.shape[0], self.observation.size)).transpose(1, 2)

    def _head(self, features: Tensor) -> Tensor:
        # The gradient of a convolution does not need its output: the second rectifier may overwrite it.
        return self.output(self.hidden(features.relu()).relu_())

    def _stepwise(self, n: int, context: Tensor | None, order: int) -> Raster:
        head = [CachedPointwise(convolution, n, rectified=True) for convolution in (self.hidden, self.output)]
        return Raster([*self._cached_layers(n, context), *head], self.event.shape, scale=self._scale)

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        return no_discrete_image(event) or too_many_outputs(event.size * (event.values or 0))
