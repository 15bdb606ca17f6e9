"""What the models of shifted convolutions have in common: image in, a mixture over each pixel out, and the sampler."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Int64
from torch import Tensor
from torch.nn import functional as F

from ancestral.interface import Binary, Event, InputError, Levels, Phase, maximum_likelihood
from ancestral.layers.autoregressive import AutoregressiveModel, no_discrete_image, raster_order
from ancestral.layers.conditioning import centred
from ancestral.layers.pixel_mixture import PixelMixture
from ancestral.layers.shifted import ELU_SIZE, PointwiseConv2d, ShiftedInput, ShiftedScale, ShiftedStack
from ancestral.layers.shifted_sampler import ShiftedRaster


class ShiftedModel(AutoregressiveModel):
    """Images (colours, height, width), binary or of levels, in raster order: two streams of shifted convolutions, and a
    mixture over each pixel (Salimans et al. 2017, arXiv:1701.05517).

    Make `network` between `_begin` and `_end`, and write `_given`, what it is given of a context.
    """

    network: ShiftedScale | ShiftedStack

    def _begin(self, event: Event, channels: int, components: int, dropout: float) -> None:
        """The observation and the first layer."""
        if not 0 <= dropout < 1:
            raise InputError(f"dropout must be in [0, 1), got {dropout}")
        colours = event.shape[0]
        single = colours == 1 and isinstance(event.support, Binary)
        self.mixture = PixelMixture(event.support, colours, 1 if single else components)
        self.observation = self.mixture.observation
        self.first = ShiftedInput(colours, channels)

    def _end(self, channels: int) -> None:
        """The last layer."""
        self.output = PointwiseConv2d(channels, self.mixture.outputs, gain=1 / ELU_SIZE)

    @abstractmethod
    def _given(self, n: int, context: Tensor | None) -> Tensor | None:
        """What a context is to the network, of n images."""

    def phases(self) -> Sequence[Phase]:
        return maximum_likelihood(self)

    @property
    def orders(self) -> Int64[Tensor, "orders size"]:
        """Rows, then columns, then colours."""
        return raster_order(self.event)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        # The mixture over pixels as it is: it equals the product of its conditionals, at half the work.
        return self.mixture.log_prob(self._outputs(x, context), x).flatten(1).sum(1)

    def _conditionals(self, x: Tensor, context: Tensor | None, order: int) -> Tensor:
        return self.mixture.conditionals(self._outputs(x, context), x)

    def _outputs(self, x: Tensor, context: Tensor | None) -> Tensor:
        """The parameters of each pixel's mixture, (batch, outputs, height, width)."""
        # Channels last is the fastest layout for convolutions on processors and tensor cores alike.
        image = centred(x, self.event.support, binary=True).contiguous(memory_format=torch.channels_last)
        streams = self.network(self.first(image), self._given(len(x), context))
        return self.output(F.elu(streams.horizontal.value))

    def _stepwise(self, n: int, context: Tensor | None, order: int) -> ShiftedRaster:
        levels = self.event.support.levels if isinstance(self.event.support, Levels) else 2
        return ShiftedRaster(
            self.first,
            self.network,
            self.output,
            self.mixture,
            self.event.shape,
            n,
            scale=2 / (levels - 1),
            context=self._given(n, context),
        )

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        return no_discrete_image(event)
