"""The variational lossy autoencoder (Chen et al. 2017, arXiv:1611.02731).

A decoder that models the pixels well by themselves needs no latents: then sending nothing through z is the shortest
code (section 2). So the decoder p(x | z) = prod_i p(x_i | x_window(i), z) sees of the earlier pixels a small window
alone (section 3.1), in which texture fits and no shape: what reaches farther must go through z, which loses the rest.

The prior is an autoregressive flow (section 3.2): z = f^-1(eps) with eps ~ N(0, I) and an f that maps each z_i by a
scale and a shift which hang on z_<i, so that

    ln p(z) = ln N(f(z); 0, I) + ln |det df/dz|.

With it the bound is as if the posterior were bent by the inverse autoregressive flow, but the decoder sees the deeper
z. Training climbs E_q[ln p(x | z) + ln p(z) - ln q(z | x)] with a diagonal Gaussian q.

Faithful: all of the above. The window is the kernel of the first layer of a `gated_pixelcnn`, all further layers of
which are pointwise; feature maps of an up-sampling decoder condition them. Its free bits are
`free_nats`, of the whole KL: the prior leaves no part of it to a single dimension.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from ancestral.bijections import Chain, MaskedAutoregressive
from ancestral.distributions import DiagonalGaussian, Posterior
from ancestral.interface import (
    Binary,
    Categories,
    Event,
    InputError,
    Levels,
    Model,
    QuickSettings,
    Real,
    log_standard_normal,
)
from ancestral.layers.residual_images import Pyramid
from ancestral.models.autoregressive.gated_pixelcnn import GatedPixelCNN
from ancestral.models.hybrid._autoregressive_decoder import AutoregressiveDecoderModel
from ancestral.models.hybrid._networks import MapsDecoder, VectorEncoder
from ancestral.registry import register


@register("lossy_vae")
class LossyVAE(AutoregressiveDecoderModel):
    """Variational lossy autoencoder: an autoregressive-flow prior, and a decoder that sees a small window of pixels.

    Args:
        latent_dim: dimensions of z.
        window: how many pixels to its left a pixel's conditional sees; of as many rows above and one more, as many to
            either side.
        length: maps of the prior's flow, in alternating orders; 0 leaves the prior N(0, I).
        flow_hidden: widths of the hidden layers of each.
        blocks: pointwise gated layers after the window.
        channels: feature maps of a gated layer.
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
        window: int = 2,
        length: int = 2,
        flow_hidden: Sequence[int] = (200,),
        blocks: int = 1,
        channels: int = 32,
        head: int = 64,
        stage_channels: int = 32,
        stage_blocks: int = 1,
        warm_up: int = 0,
        free_nats: float = 0.0,
        spread: float = 0.1,
    ) -> None:
        super().__init__(event, context_event=context_event, warm_up=warm_up, free_nats=free_nats)
        if latent_dim < 1 or window < 1 or length < 0:
            raise InputError(
                f"latent_dim and window must be at least 1 and length at least 0, got {latent_dim}, {window}, {length}"
            )
        self.latent_dim = latent_dim
        maps = [MaskedAutoregressive(latent_dim, flow_hidden, reverse=i % 2 == 1, seed=i) for i in range(length)]
        self.flow = Chain(maps)
        pyramid = Pyramid(event, stage_channels, stage_blocks)
        self.encoder = VectorEncoder(event, context_event, latent_dim, pyramid, spread=spread)
        self.decoder = MapsDecoder(context_event, latent_dim, pyramid)
        self.pixels = GatedPixelCNN(
            event,
            context_event=Event((stage_channels, *event.shape[1:]), Real()),
            channels=channels,
            blocks=blocks,
            kernel_size=1,
            head=head,
            first_kernel_size=2 * window + 1,
        )
        self._bound_memory(max(head, 4 * channels * (blocks + 1)))

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"z": (self.latent_dim,)}

    # -- The prior and the posterior -----------------------------------------------------------------------------------

    def _log_prior(self, z: Tensor, context: Tensor | None) -> Tensor:
        # In the dtype of the draws, whatever the networks run in: a determinant loses digits in bf16.
        with torch.autocast(z.device.type, enabled=False):
            noise, log_det = self.flow(z)
        return log_standard_normal(noise) + log_det

    def _sample_latent(self, name: str, parents: Mapping[str, Tensor], n: int, context: Tensor | None) -> Tensor:
        return self.flow.inverse(torch.randn(n, self.latent_dim, dtype=self.dtype, device=self.device))[0]

    def _kl_parts(self, posterior: Posterior, z: Tensor, log_posterior: Tensor) -> Tensor:
        return self._estimated_kl(z, log_posterior)

    def _posterior(self, x: Tensor, context: Tensor | None) -> Posterior:
        return DiagonalGaussian(self.encoder(x, context), like=self._reference)

    def _given(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.decoder(z, context)

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        settings = {"latent_dim": 16, "channels": 24, "stage_channels": 24, "flow_hidden": [64], "free_nats": 5.0}
        return QuickSettings(settings, {"lr": 2e-3, "clip_gradient": 500.0})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        # With fewer maps, one start in a hundred has only dead ReLUs somewhere.
        tiny = partial(cls, latent_dim=2, spread=1.0, flow_hidden=[8], channels=6, head=8, stage_channels=6)
        yield tiny(Event((1, 2, 3), Binary()), window=1)
        yield tiny(Event((2, 2, 1), Levels(3)), length=1, context_event=Event((), Categories(3)))
