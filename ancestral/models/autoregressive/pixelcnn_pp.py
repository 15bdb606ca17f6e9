"""PixelCNN++ (Salimans, Karpathy, Chen & Kingma 2017, "PixelCNN++: Improving the PixelCNN with Discretized Logistic
Mixture Likelihood and Other Modifications", arXiv:1701.05517).

p(x) is the product over pixels in raster order of p(pixel | the pixels before it), which is a mixture over the whole
pixel: one set of weights, and in each component a discretized logistic for each colour (equations 1 and 2) whose mean
is linear in the earlier colours (equation 3). The conditionals of single colours follow from it
(`ancestral.layers.pixel_mixture`), so that sampling, completion and temperatures are those of every autoregressive
model; training and the density take the mixture as it is.

The network has a stream for the rows above and one for them and the pixels to the left (`ancestral.layers.shifted`):
gated residual layers with concatenated ELUs and normalised weights, strided convolutions to lower resolutions and
transposed ones back, short-cuts from each layer on the way down to its counterpart on the way back (sections 2.3 and
2.4, figure 2), and dropout in each layer (section 2.5). A context is a vector that enters each gated layer by a linear
map of its own, added before the gate, as a class does in the authors' code. Sampling is exact and computes each feature
once (`ancestral.layers.shifted_sampler`).

Left to us: sides of any length (`ancestral.layers.shifted`). From the authors' code: coefficients of equation 3 in
(-1, 1), log-scales from -7 on, a channel of ones. The scales of normalised weights start from constants, not from a
first batch: inputs of unit size then give outputs of unit size, as there, and a resumed run needs no state for it. The
authors shift the first layer's outputs, this its inputs, which differ in biases at the upper and the left border.
Binary images, of which the paper has none, have mixtures of Bernoullis; of one colour that is a single Bernoulli.

The paper's network for CIFAR-10 has 160 channels, 5 blocks, 3 scales, 10 components and a dropout of 0.5.
"""

from collections.abc import Iterable

from torch import Tensor

from ancestral.interface import (
    Binary,
    Event,
    InputError,
    Levels,
    Model,
    QuickSettings,
)
from ancestral.layers.conditioning import FlatContext
from ancestral.layers.shifted import ShiftedScale
from ancestral.layers.shifted_model import ShiftedModel
from ancestral.registry import register


@register("pixelcnn_pp")
class PixelCNNPlusPlus(ShiftedModel):
    """PixelCNN++: mixtures of discretized logistics over whole pixels, from two streams at several resolutions.

    Args:
        channels: feature maps of each stream.
        blocks: gated residual layers at each resolution on the way down; on the way back there is one more.
        scales: resolutions, each half of the one before.
        components: of the mixture of a pixel.
        dropout: probability of dropping an activation within each gated layer.
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        channels: int = 32,
        blocks: int = 2,
        scales: int = 3,
        components: int = 10,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(event, context_event=context_event)
        if min(channels, blocks, scales, components) < 1:
            raise InputError(
                "channels, blocks, scales and components must be at least 1,"
                f" got {channels}, {blocks}, {scales} and {components}"
            )
        self.context = FlatContext(context_event)
        self._begin(event, channels, components, dropout)
        self.network = ShiftedScale(channels, blocks, scales, dropout=dropout, context_size=self.context.size)
        self._end(channels)

    def _given(self, n: int, context: Tensor | None) -> Tensor | None:
        return None if context is None else self.context.vector(n, context, like=self._reference)

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        scales = 2 if max(event.shape[1:]) <= 16 else 3
        return QuickSettings({"channels": 16, "blocks": 1, "scales": scales, "components": 5}, {"lr": 3e-3})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        # An image of one row or one column leaves weights of the first layer without anything to see.
        yield cls(Event((1, 3, 3), Binary()), channels=4, blocks=1, scales=2)
        yield cls(Event((3, 3, 2), Levels(5)), channels=4, blocks=1, scales=2, components=2, dropout=0.2)
        yield cls(Event((3, 2, 2), Levels(2)), channels=4, blocks=1, scales=1, components=2)
        yield cls(Event((1, 2, 3), Levels(4)), context_event=Event((), Levels(3)), channels=4, blocks=1, components=3)
