"""Amortized models whose observations are independent given z: perceptrons or convolutions between both.

A model composes `layers.amortized` of parts: stochastic layers of latents with their prior, a decoder into the
parameters of p(x | z), which factorises over the dimensions of x, and a posterior q(z | x).
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ancestral.distributions import observation_for
from ancestral.interface import Categories, Event, MeanDecoder, QuickSettings, repeated
from ancestral.layers.amortized import AmortizedModel
from ancestral.layers.observation_networks import (
    NetworkSettings,
    ObservationDecoder,
    ObservationEncoder,
    rows_within_memory,
)
from ancestral.layers.stochastic_layers import StochasticLayers


class LatentVariableModel(AmortizedModel, MeanDecoder):
    """A decoder, a prior and a posterior. Write `_posterior(x, context)` and `phases`."""

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None,
        latent_dim: int,
        layers: int,
        observation: str,
        networks: NetworkSettings,
        encoder_outputs: int = 2,
    ) -> None:
        """`encoder_outputs` are the encoder's numbers for each dimension of the lowest latent: 2 for a Gaussian."""
        super().__init__(event, context_event=context_event)
        networks.check(event)
        self.observation = observation_for(event.support, observation)
        self.latents = StochasticLayers(latent_dim, layers, networks.hidden, networks.activation)
        lowest = self.latents.sizes[0]
        self.encoder = ObservationEncoder(event, context_event, encoder_outputs * lowest, networks)
        self.decoder = ObservationDecoder(event, context_event, lowest, self.observation, networks)
        self.rows_at_once = rows_within_memory(self.decoder.largest)

    # -- p(x | z) -----------------------------------------------------------------------------------------------------

    def _observation_parameters(self, z: Tensor, context: Tensor | None) -> Float[Tensor, "rows size *event"]:
        return self.decoder(self.latents.lowest(z), context)

    def _log_likelihoods(self, x: Tensor, z: Tensor, context: Tensor | None) -> Float[Tensor, "samples batch"]:
        """ln p(x | z) for several z of each x, (samples, batch, n)."""
        samples, batch = z.shape[:2]
        parameters = self._observation_parameters(z.flatten(0, 1), repeated(context, samples))
        return self.observation.log_likelihood(parameters.unflatten(0, (samples, batch)), x)

    def _observed(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.observation.sample(self._observation_parameters(z, context))

    def _redrawn(
        self, x: Tensor, known: Bool[Tensor, "rows *event"], z: Tensor, context: Tensor | None, *, settled: bool
    ) -> Tensor:
        return torch.where(known, x, self._observed(z, context))

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.observation.mean(self._observation_parameters(z, context))

    # -- The prior -----------------------------------------------------------------------------------------------------

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return self.latents.shapes

    def _log_prior(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.latents.log_prior(z)

    def _sample_latent(self, name: str, parents: Mapping[str, Tensor], n: int, context: Tensor | None) -> Tensor:
        return self.latents.sample(name, parents, n, self._reference)

    # -- What it can be built for --------------------------------------------------------------------------------------

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if isinstance(event.support, Categories):
            return "its decoder has a mean, which categories do not have; use Binary, Levels or Real data"
        return None

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        if len(event.shape) < 3:
            return QuickSettings({"latent_dim": 8, "hidden": [128, 128], "activation": "relu"})
        if event.size <= 256:
            return QuickSettings({"latent_dim": 16, "hidden": [256, 128], "activation": "relu"}, {"lr": 2e-3})
        return QuickSettings({"latent_dim": 32, "hidden": [400, 200], "activation": "relu"})
