"""What the hybrids share: latents behind an autoregressive model of the pixels.

    p(x, z) = p(z) prod_d p(x_d | x_<d, z)

The second factor is a model of the autoregressive family, whole, which is given what a decoder makes of z as its
context: feature maps that condition it pixel by pixel, or a vector that does so through linear maps. Its density, its
cached sampler and its completions are those of that family.

What is unknown of an image given z is not drawn in one go where something later in raster order is known. A step of the
chain takes a random place, draws the unknown pixels from there on with the known ones in their places, and accepts by
Metropolis & Hastings, with the ratio of how likely the known pixels from there on are after it and before.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ancestral.interface import Adam, Batch, Event, InputError, Losses, Phase, repeated
from ancestral.layers.amortized import AmortizedModel
from ancestral.layers.autoregressive import AutoregressiveModel
from ancestral.layers.observation_networks import rows_within_memory
from ancestral.models.autoregressive.gated_pixelcnn import GatedPixelCNN


class AutoregressiveDecoderModel(AmortizedModel):
    """An amortized model whose p(x | z) is the autoregressive model `pixels`. Write `latent_shapes`, `_posterior` and
    `_given`, the context of `pixels`.

    `warm_up`: training steps over which the weight of the KL in the loss rises to 1, evenly; `free_nats`: the KL,
    averaged over a batch, costs at least so many nats in training (free bits: Kingma et al. 2016, appendix C.8).
    """

    #: Fewer than where p(x | z) factorises: each draws an image pixel by pixel.
    chain = (5, 15)

    pixels: AutoregressiveModel
    updates: Tensor

    def __init__(self, event: Event, *, context_event: Event | None, warm_up: int, free_nats: float) -> None:
        super().__init__(event, context_event=context_event)
        if warm_up < 0:
            raise InputError(f"warm_up must be a number of training steps, or 0 for none, got {warm_up}")
        if free_nats < 0:
            raise InputError(f"free_nats must not be negative, got {free_nats}")
        self.warm_up, self.free_nats = warm_up, free_nats
        if warm_up or free_nats:
            self.loss_differs = "warm_up and free_nats weigh the KL in training alone"
        # How many training steps were made.
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64), persistent=False)

    @abstractmethod
    def _given(self, z: Float[Tensor, "rows n"], context: Tensor | None) -> Tensor:
        """What `pixels` are given of each z: their context."""

    # -- p(x | z) -----------------------------------------------------------------------------------------------------

    def _log_likelihoods(self, x: Tensor, z: Tensor, context: Tensor | None) -> Float[Tensor, "samples batch"]:
        samples, batch = z.shape[:2]
        given = self._given(z.flatten(0, 1), repeated(context, samples))
        return self.pixels._log_prob(repeated(x, samples), given).view(samples, batch)

    def _observed(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.pixels._draw(len(z), self._given(z, context))

    def _decode(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self._observed(z, context)

    def _redrawn(
        self, x: Tensor, known: Bool[Tensor, "rows *event"], z: Tensor, context: Tensor | None, *, settled: bool
    ) -> Tensor:
        given, places = self._given(z, context), self.pixels.orders[0].argsort().view(self.event.shape).to(x.device)
        starts = torch.randint(self.event.size if settled else 1, (len(x), *[1] * (x.dim() - 1)), device=x.device)
        later = places >= starts
        drawn = self.pixels._draw(len(x), given, given=x, known=known | ~later)
        if not settled:
            return drawn
        before, after = (self.pixels._conditional_log_probs(values, given)[0] for values in (x, drawn))
        log_ratio = ((after - before) * (known & later)).flatten(1).sum(1)
        accepted = torch.rand_like(log_ratio).log() < log_ratio
        return torch.where(accepted.view(starts.shape), drawn, x)

    # -- Training ------------------------------------------------------------------------------------------------------

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self._loss, optimizer=Adam(1e-3))]

    def training_state(self) -> Mapping[str, Tensor]:
        return {"updates": self.updates}

    def _loss(self, batch: Batch) -> Losses:
        weight = min(1.0, (int(self.updates) + 1) / (self.warm_up + 1))
        if self.training:
            self.updates += 1
        log_likelihood, kl_parts = self._bound_parts(batch.x, batch.context, 1)
        reconstruction, kl = -log_likelihood.mean(), kl_parts.sum(1).mean()
        cost = kl.clamp(min=self.free_nats) if self.free_nats else kl
        return Losses(reconstruction + weight * cost, {"reconstruction": reconstruction, "kl": kl})

    # -- What it can be built for --------------------------------------------------------------------------------------

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        return GatedPixelCNN.supports(event)

    def _bound_memory(self, channels: int) -> None:
        """Let as many rows through the networks at once as their widest layer, of so many feature maps, allows."""
        self.rows_at_once = rows_within_memory(channels * self.event.size // self.event.shape[0])
