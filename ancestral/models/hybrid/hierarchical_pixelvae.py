"""Hierarchical PixelVAE (Gulrajani et al. 2017, "PixelVAE: A latent variable model for natural images").

arXiv:1611.05013. Latents at two resolutions, a vector z_2 and a map z_1 of the smallest feature map's sides, each
encoded from x:

    p(x, z_1, z_2) = p(z_2) p(z_1 | z_2) p(x | z_1),    q(z_1, z_2 | x) = q(z_1 | x) q(z_2 | x).

Both conditionals are autoregressive: p(x | z_1) is PixelVAE's, and p(z_1 | z_2) a gated PixelCNN over the map, with
Gaussian conditionals (`_latent_grid`), as the prior is simpler to fit to the posterior than the posterior to a simple
prior. Training climbs the extended bound

    L(x) = E_q[ln p(x | z_1)] - E_q(z_2|x)[KL(q(z_1 | x) || p(z_1 | z_2))] - KL(q(z_2 | x) || p(z_2)),

in which each latent of z_1 has, given a draw of those before it, a KL in closed form.

`sample_latents(given={"z2": ...})` keeps what is global and draws the map anew, `decode` the pixels alone.

Faithful: all of the above, with diagonal Gaussians for q and p(z_2) = N(0, I). Ours: the latents of one place depend on
each other, where the paper's are independent given those before them. A context enters the encoder, and p(x | z_1).
"""

from collections.abc import Iterable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from ancestral.distributions import DiagonalGaussian, Gaussian, Posterior
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
from ancestral.layers.conditioning import FlatContext, centred
from ancestral.layers.residual_images import Pyramid, ResidualDecoder, ResidualEncoder
from ancestral.models.autoregressive.gated_pixelcnn import GatedPixelCNN
from ancestral.models.hybrid._autoregressive_decoder import AutoregressiveDecoderModel
from ancestral.models.hybrid._latent_grid import LatentGrid
from ancestral.models.hybrid._networks import begin_narrow, normalised
from ancestral.registry import register


@register("hierarchical_pixelvae")
class HierarchicalPixelVAE(AutoregressiveDecoderModel):
    """PixelVAE of two layers of latents, a vector above a map with an autoregressive prior.

    Args:
        latent_dim: dimensions of z_2.
        map_latents: latents at each place of z_1.
        blocks: gated PixelCNN layers after the first, 7x7 one; few leave more to the latents.
        channels: feature maps of a PixelCNN layer.
        kernel_size: the side of the PixelCNN layers' convolutions, odd.
        head: feature maps of the last hidden layer.
        prior_channels: feature maps of the prior's layers over z_1.
        prior_blocks: gated layers of the prior after the first one.
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
        latent_dim: int = 16,
        map_latents: int = 4,
        blocks: int = 2,
        channels: int = 32,
        kernel_size: int = 3,
        head: int = 64,
        prior_channels: int = 32,
        prior_blocks: int = 2,
        stage_channels: int = 32,
        stage_blocks: int = 1,
        warm_up: int = 0,
        free_nats: float = 0.0,
        spread: float = 0.1,
    ) -> None:
        super().__init__(event, context_event=context_event, warm_up=warm_up, free_nats=free_nats)
        if latent_dim < 1 or map_latents < 1:
            raise InputError(f"latent_dim and map_latents must be at least 1, got {latent_dim} and {map_latents}")
        pyramid = Pyramid(event, stage_channels, stage_blocks)
        widest = pyramid.channels[-1]
        self.latent_dim, self.map_shape = latent_dim, (map_latents, *pyramid.sides[-1])
        self.encoder = ResidualEncoder(event, context_event, pyramid)
        self.posterior_of_vector = nn.Linear(pyramid.size, 2 * latent_dim)
        self.posterior_of_map = nn.Conv2d(widest, 2 * map_latents, 1)
        for layer in (self.posterior_of_vector, self.posterior_of_map):
            begin_narrow(layer, spread)
        self.above = nn.Sequential(nn.Linear(latent_dim, pyramid.size), nn.Unflatten(1, pyramid.smallest), nn.ReLU())
        self.prior_of_map = LatentGrid(self.map_shape, widest, channels=prior_channels, blocks=prior_blocks)
        self.condition = FlatContext(context_event)
        self.decoder = nn.Sequential(nn.Conv2d(map_latents + self.condition.size, widest, 1), ResidualDecoder(pyramid))
        self.pixels = GatedPixelCNN(
            event,
            context_event=Event((stage_channels, *event.shape[1:]), Real()),
            channels=channels,
            blocks=blocks,
            kernel_size=kernel_size,
            head=head,
        )
        self._bound_memory(max(head, 4 * channels * (blocks + 1)))

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"z2": (self.latent_dim,), "z1": self.map_shape}

    def _split(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z_2 and z_1 of flat rows, (rows, latent_dim) and (rows, *map_shape)."""
        return z[:, : self.latent_dim], z[:, self.latent_dim :].unflatten(1, self.map_shape)

    # -- The prior and the posterior -----------------------------------------------------------------------------------

    def _log_prior(self, z: Tensor, context: Tensor | None) -> Tensor:
        vector, grid = self._split(z)
        return log_standard_normal(vector) + self.prior_of_map._log_prob(grid, self.above(vector))

    def _sample_latent(self, name: str, parents: Mapping[str, Tensor], n: int, context: Tensor | None) -> Tensor:
        if name == "z2":
            return torch.randn(n, self.latent_dim, dtype=self.dtype, device=self.device)
        return self.prior_of_map._draw(n, self.above(parents["z2"]))

    def _posterior(self, x: Tensor, context: Tensor | None) -> Posterior:
        maps = self.encoder(centred(x, self.event.support, binary=True), context)
        vector = self.posterior_of_vector(normalised(maps, self.posterior_of_vector.in_features).flatten(1))
        grid = self.posterior_of_map(normalised(maps, self.posterior_of_map.in_channels))
        halves = zip(vector.chunk(2, dim=1), grid.chunk(2, dim=1), strict=True)
        outputs = [part.flatten(1) for half in halves for part in half]
        return DiagonalGaussian(torch.cat(outputs, dim=1), like=self._reference)

    def _kl_parts(self, posterior: Posterior, z: Tensor, log_posterior: Tensor) -> Tensor:
        assert isinstance(posterior, DiagonalGaussian)
        vector, grid = self._split(z.flatten(0, 1))
        parameters = self.prior_of_map._conditionals(grid, self.above(vector), 0)
        mean, log_variance = (part.flatten(1).view(*z.shape[:2], -1) for part in Gaussian.moments(parameters))
        of_map = posterior.dimensions(self.latent_dim, posterior.size).kl_to(mean, log_variance).mean(0)
        return torch.cat([posterior.dimensions(0, self.latent_dim).kl_by_dimension(), of_map], dim=1)

    # -- What the pixels are given -------------------------------------------------------------------------------------

    def _given(self, z: Tensor, context: Tensor | None) -> Tensor:
        grid = self._split(z)[1]
        if self.condition.size:
            vector = self.condition.vector(len(z), context, like=z)
            grid = torch.cat([grid, vector[:, :, None, None].expand(-1, -1, *self.map_shape[1:])], dim=1)
        return self.decoder(grid)

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        settings = {
            "map_latents": 2,
            "channels": 24,
            "blocks": 1,
            "prior_channels": 24,
            "stage_channels": 24,
            "warm_up": 100,
        }
        return QuickSettings(settings, {"lr": 2e-3, "clip_gradient": 500.0})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        # With fewer maps, one start in a hundred has only dead ReLUs somewhere.
        tiny = partial(
            cls,
            latent_dim=2,
            spread=1.0,
            blocks=1,
            channels=6,
            head=8,
            prior_channels=4,
            prior_blocks=1,
            stage_channels=6,
        )
        yield tiny(Event((1, 2, 2), Binary()), map_latents=2)
        yield tiny(Event((1, 2, 2), Levels(3)), map_latents=1, context_event=Event((), Categories(3)))
