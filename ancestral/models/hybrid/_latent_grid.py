"""An autoregressive density of a map of latents: a gated PixelCNN with Gaussian conditionals."""

from collections.abc import Sequence

from jaxtyping import Int64
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.distributions import Gaussian
from ancestral.interface import Event, InputError, Phase, Real, maximum_likelihood
from ancestral.layers.autoregressive import AutoregressiveModel, raster_order
from ancestral.layers.conditioning import LayerContext
from ancestral.layers.gated import GatedLayer
from ancestral.layers.gated_sampler import cached_gated_layers
from ancestral.layers.masked import RasterConv2d, channel_groups
from ancestral.layers.masked_sampler import CachedPointwise, Raster


class LatentGrid(AutoregressiveModel):
    """p(z | h) of maps z of `shape` (latents, height, width), given `context_maps` feature maps h of the same sides.

    Rows, then columns, then the latents of a place, each a Gaussian whose mean and variance hang on those before it.
    """

    def __init__(self, shape: tuple[int, int, int], context_maps: int, *, channels: int, blocks: int) -> None:
        event, given = Event(shape, Real()), Event((context_maps, *shape[1:]), Real())
        super().__init__(event, context_event=given)
        latents = shape[0]
        if channels < latents or blocks < 0:
            raise InputError(
                f"prior_channels must be at least the {latents} latents of a place and prior_blocks at least 0,"
                f" got {channels} and {blocks}"
            )
        self.observation = Gaussian()
        layers = [GatedLayer(latents, channels, 3, latents, first=True)]
        layers.extend(GatedLayer(channels, channels, 3, latents) for _ in range(blocks))
        self.layers = nn.ModuleList(layers)
        self.context = LayerContext(given, event, channels, [2 * channels] * (2 * len(layers)))
        self.output = RasterConv2d(channel_groups(2 * latents, latents), channel_groups(channels, latents), 1)

    def phases(self) -> Sequence[Phase]:
        return maximum_likelihood(self)

    @property
    def orders(self) -> Int64[Tensor, "orders size"]:
        return raster_order(self.event)

    def _conditionals(self, x: Tensor, context: Tensor | None, order: int) -> Tensor:
        vertical, horizontal = F.pad(x, (0, 0, 1, -1)), x
        for layer, added in zip(self.layers, self._added(context), strict=True):
            vertical, horizontal = layer(vertical, horizontal, added)
        # Its own exponent is in the dtype of z, whatever the layers ran in.
        return self.output(horizontal).to(x.dtype).unflatten(1, (self.event.shape[0], 2)).transpose(1, 2)

    def _stepwise(self, n: int, context: Tensor | None, order: int) -> Raster:
        layers = cached_gated_layers(self.layers, n, self.event.shape[2], self._added(context))
        return Raster([*layers, CachedPointwise(self.output, n)], self.event.shape, scale=1.0, offset=0.0)

    def _added(self, context: Tensor | None) -> Sequence[tuple[Tensor, Tensor]]:
        """What the context adds in each layer's stacks."""
        assert context is not None
        parts = self.context(context)
        return list(zip(parts[::2], parts[1::2]))
