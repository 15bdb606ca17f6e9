"""PixelVAE (Gulrajani et al. 2017, "PixelVAE: A latent variable model for natural images", arXiv:1611.05013).

A variational autoencoder whose decoder is autoregressive: p(x | z) = prod_i p(x_i | x_<i, z). A convolutional encoder
outputs q(z | x), a diagonal Gaussian. An up-sampling decoder turns z ~ N(0, I) into feature maps of the image's sides,
and these condition a few PixelCNN layers pixel by pixel. What is global goes through z, and the pixels see so little of
each other that it pays to use it: KL(q(z | x) || p(z)) stays well above zero. Training climbs

    L(x) = E_q[ln p(x | z)] - KL(q(z | x) || p(z)).

The pixels' model is a `gated_pixelcnn`, or with `gated=False` a `pixelcnn`, of the autoregressive family, which samples
from its caches (`_autoregressive_decoder`). Without up-sampling z reaches all its layers through linear maps, the same
at every pixel.

Faithful: all of the above; the rise of the KL's weight over the first steps is that of the authors' code. Ours: the
feature maps enter every PixelCNN layer, before its gates; encoder and decoder are residual; `free_nats`, without which
a few hundred steps let the pixels forget z.
"""

from collections.abc import Iterable, Mapping
from functools import partial

from torch import Tensor

from ancestral.distributions import DiagonalGaussian, Posterior
from ancestral.interface import Binary, Categories, Event, InputError, Levels, Model, QuickSettings, Real
from ancestral.layers.conditioning import FlatContext
from ancestral.layers.residual_images import Pyramid
from ancestral.models.autoregressive.gated_pixelcnn import GatedPixelCNN
from ancestral.models.autoregressive.pixelcnn import PixelCNN
from ancestral.models.hybrid._autoregressive_decoder import AutoregressiveDecoderModel
from ancestral.models.hybrid._networks import MapsDecoder, VectorEncoder
from ancestral.registry import register


@register("pixelvae")
class PixelVAE(AutoregressiveDecoderModel):
    """PixelVAE: a Gaussian latent, an up-sampling decoder and PixelCNN layers upon its feature maps.

    Args:
        latent_dim: dimensions of z.
        gated: gated PixelCNN layers of two stacks, or the masked residual ones, which have a blind spot.
        upsampling: feature maps of the decoder condition the pixels; otherwise z itself, through linear maps.
        blocks: PixelCNN layers after the first, 7x7 one; few leave more to z.
        channels: feature maps of a PixelCNN layer.
        kernel_size: the side of the PixelCNN layers' convolutions, odd.
        head: feature maps of the last hidden layer.
        stage_channels: of encoder and decoder at the side next to the image's; twice, then four times as many further
            down.
        stage_blocks: residual blocks of encoder and decoder at each side.
        warm_up: training steps over which the weight of the KL in the loss rises to 1, evenly.
        free_nats: the KL, averaged over a batch, costs at least so many nats in training.
        spread: the standard deviation of q before training: if z is noise at first, the pixels learn to do without.
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        latent_dim: int = 32,
        gated: bool = True,
        upsampling: bool = True,
        blocks: int = 2,
        channels: int = 32,
        kernel_size: int = 3,
        head: int = 64,
        stage_channels: int = 32,
        stage_blocks: int = 1,
        warm_up: int = 0,
        free_nats: float = 0.0,
        spread: float = 0.1,
    ) -> None:
        super().__init__(event, context_event=context_event, warm_up=warm_up, free_nats=free_nats)
        if latent_dim < 1:
            raise InputError(f"latent_dim must be at least 1, got {latent_dim}")
        self.latent_dim = latent_dim
        pyramid = Pyramid(event, stage_channels, stage_blocks)
        self.encoder = VectorEncoder(event, context_event, latent_dim, pyramid, spread=spread)
        # Without up-sampling z enters the pixels' layers as it is, with the context beside it.
        self.decoder = MapsDecoder(context_event, latent_dim, pyramid) if upsampling else None
        self.condition = FlatContext(context_event)
        given = (stage_channels, *event.shape[1:]) if upsampling else (latent_dim + self.condition.size,)
        network = GatedPixelCNN if gated else PixelCNN
        self.pixels = network(
            event,
            context_event=Event(given, Real()),
            channels=channels,
            blocks=blocks,
            kernel_size=kernel_size,
            head=head,
        )
        # Each layer takes as many numbers of the feature maps as it has of its own.
        self._bound_memory(max(head, (4 if gated else 1) * channels * (blocks + 1)) if upsampling else 4 * channels)

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"z": (self.latent_dim,)}

    def _posterior(self, x: Tensor, context: Tensor | None) -> Posterior:
        return DiagonalGaussian(self.encoder(x, context), like=self._reference)

    def _given(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.condition(z, context) if self.decoder is None else self.decoder(z, context)

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        settings = {"latent_dim": 16, "channels": 24, "blocks": 1, "stage_channels": 24, "free_nats": 5.0}
        return QuickSettings(settings, {"lr": 2e-3, "clip_gradient": 500.0})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        # With fewer maps, one start in a hundred has only dead ReLUs somewhere.
        tiny = partial(cls, latent_dim=2, spread=1.0, channels=6, blocks=1, head=8, stage_channels=6)
        yield tiny(Event((1, 2, 3), Binary()))
        yield tiny(Event((3, 1, 2), Levels(3)), gated=False, context_event=Event((), Categories(3)))
        yield tiny(Event((1, 2, 2), Levels(3)), gated=False, upsampling=False, context_event=Event((2,), Real()))
        yield tiny(Event((1, 8, 3), Binary()), warm_up=10)
