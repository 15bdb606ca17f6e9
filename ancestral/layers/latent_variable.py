"""The one mechanism of latent-variable models with an amortized posterior, p(x) = integral of p(x | z) p(z) dz.

A model composes it of parts: stochastic layers of latents with their prior, a decoder into the parameters of p(x | z),
and a posterior q(z | x). The bounds, samples, codes and completions follow from them:

    ELBO  = E_q[ln p(x | z)] - KL(q(z | x) || p(z))        (Kingma & Welling 2014, equations 3 and 7)
    ln w  = ln p(x | z) + ln p(z) - ln q(z | x),  z ~ q     (Burda et al. 2016, equation 8)

with the KL in closed form where there is one. What is unknown of an observation is drawn by Metropolis-within-Gibbs
(Mattei & Frellsen 2018, arXiv:1802.04826, algorithm 1): z ~ q(z | x) accepted by its importance weight, then the
unknown dimensions anew from p(x | z), which leaves p(z, unknown | known) as it is. The first steps accept everything
(Rezende et al. 2014, appendix F).
"""

from abc import abstractmethod
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from ancestral.distributions import Posterior, observation_for
from ancestral.interface import (
    BoundedDensity,
    Categories,
    Completer,
    Encoder,
    Event,
    Features,
    JointDensity,
    MeanDecoder,
    QuickSettings,
    Sampler,
    repeated,
)
from ancestral.layers.observation_networks import (
    NetworkSettings,
    ObservationDecoder,
    ObservationEncoder,
    rows_within_memory,
)
from ancestral.layers.stochastic_layers import StochasticLayers

#: Steps of the chain that fills in what is unknown: first those that accept every proposal, then the others.
_WARM_UP, _STEPS = 10, 40


class LatentVariableModel(Sampler, BoundedDensity, Encoder, MeanDecoder, JointDensity, Features, Completer):
    """A decoder, a prior and a posterior. Write `_posterior(x, context)` and `phases`."""

    completion = "by a Markov chain through its latents"

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

    @abstractmethod
    def _posterior(self, x: Tensor, context: Tensor | None) -> Posterior:
        """q(z | x) of each row."""

    # -- p(x | z) -----------------------------------------------------------------------------------------------------

    def _observation_parameters(self, z: Tensor, context: Tensor | None) -> Float[Tensor, "rows size *event"]:
        return self.decoder(self.latents.lowest(z), context)

    def _log_likelihoods(self, x: Tensor, z: Tensor, context: Tensor | None) -> Float[Tensor, "samples batch"]:
        """ln p(x | z) for several z of each x, (samples, batch, n)."""
        samples, batch = z.shape[:2]
        parameters = self._observation_parameters(z.flatten(0, 1), repeated(context, samples))
        return self.observation.log_likelihood(parameters.unflatten(0, (samples, batch)), x)

    # -- The bounds ---------------------------------------------------------------------------------------------------

    def _bound_parts(
        self, x: Tensor, context: Tensor | None, samples: int
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch parts"]]:
        """ln p(x | z) averaged over draws of q, and the KL: of each dimension where it is in closed form, otherwise
        one estimate of the whole from the same draws."""
        posterior = self._posterior(x, context)
        z, log_posterior = posterior.rsample(samples)
        kl = posterior.kl_by_dimension()
        if kl is None:
            log_prior = self._log_prior(z.flatten(0, 1), None).view_as(log_posterior)
            kl = (log_posterior - log_prior).mean(0)[:, None]
        return self._log_likelihoods(x, z, context).mean(0), kl

    def _elbo(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        log_likelihood, kl = self._bound_parts(x, context, samples)
        return log_likelihood - kl.sum(1)

    def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        z, log_posterior = self._posterior(x, context).rsample(samples)
        return self._log_joints(x, z, context) - log_posterior

    def _log_joints(self, x: Tensor, z: Tensor, context: Tensor | None) -> Float[Tensor, "samples batch"]:
        """ln p(x, z) for several z of each x, (samples, batch, n)."""
        log_prior = self._log_prior(z.flatten(0, 1), None).view(z.shape[:2])
        return self._log_likelihoods(x, z, context) + log_prior

    def _log_likelihood(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        return self._log_likelihoods(x, z[None], context)[0]

    # -- Latents, samples, codes, completions --------------------------------------------------------------------------

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return self.latents.shapes

    def _log_prior(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.latents.log_prior(z)

    def _sample_latent(self, name: str, parents: Mapping[str, Tensor], n: int, context: Tensor | None) -> Tensor:
        return self.latents.sample(name, parents, n, self._reference)

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        latents: dict[str, Tensor] = {}
        for name in self.latent_shapes:
            latents[name] = self._sample_latent(name, latents, n, context)
        return self.observation.sample(self._observation_parameters(self.join_latents(latents), context))

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        return self._posterior(x, context).distribution

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.observation.mean(self._observation_parameters(z, context))

    def _features(self, x: Tensor) -> Tensor:
        """The posterior mean; a conditional encoder sees no context."""
        return self._posterior(x, None).mean

    def _complete(self, x: Tensor, known: Tensor, context: Tensor | None) -> Tensor:
        def log_weight(posterior: Posterior, z: Tensor) -> Tensor:
            return (self._log_joints(x, z[None], context) - posterior.log_prob(z[None]))[0]

        x, z = torch.where(known, x, self._sample(len(x), context)), None
        for step in range(_WARM_UP + _STEPS):
            posterior = self._posterior(x, context)
            proposed = posterior.rsample(1)[0][0]
            if z is None or step < _WARM_UP:
                z = proposed
            else:
                log_ratio = log_weight(posterior, proposed) - log_weight(posterior, z)
                accepted = torch.rand_like(log_ratio).log() < log_ratio
                z = torch.where(accepted[:, None], proposed, z)
            x = torch.where(known, x, self.observation.sample(self._observation_parameters(z, context)))
        return x

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
