"""The one mechanism of latent-variable models with an amortized posterior, p(x) = integral of p(x | z) p(z) dz.

A model says what p(x | z), the prior and the posterior q(z | x) are. The bounds, samples, codes and completions follow:

    ELBO  = E_q[ln p(x | z)] - KL(q(z | x) || p(z))        (Kingma & Welling 2014, equations 3 and 7)
    ln w  = ln p(x | z) + ln p(z) - ln q(z | x),  z ~ q     (Burda et al. 2016, equation 8)

with the KL in closed form where there is one. What is unknown of an observation is drawn by Metropolis-within-Gibbs
(Mattei & Frellsen 2018, arXiv:1802.04826, algorithm 1): z ~ q(z | x) accepted by its importance weight, then the
unknown dimensions anew given z, which leaves p(z, unknown | known) as it is. The first steps accept everything
(Rezende et al. 2014, appendix F).
"""

from abc import abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.distributions import Distribution

from ancestral.distributions import Posterior
from ancestral.interface import BoundedDensity, Completer, Encoder, Features, JointDensity, Sampler


class AmortizedModel(Sampler, BoundedDensity, Encoder, JointDensity, Features, Completer):
    """A prior, a posterior and p(x | z). Write `latent_shapes`, `_posterior`, `_log_likelihoods`, `_observed`,
    `_redrawn` and `phases`; for a prior other than N(0, I) also `_log_prior`, `_sample_latent` and `_kl_parts`."""

    completion = "by a Markov chain through its latents"
    #: Steps of that chain: first those that accept every proposal, then the others.
    chain: ClassVar[tuple[int, int]] = (10, 40)

    @abstractmethod
    def _posterior(self, x: Tensor, context: Tensor | None) -> Posterior:
        """q(z | x) of each row."""

    @abstractmethod
    def _log_likelihoods(self, x: Tensor, z: Tensor, context: Tensor | None) -> Float[Tensor, "samples batch"]:
        """ln p(x | z) for several z of each x, (samples, batch, n)."""

    @abstractmethod
    def _observed(self, z: Tensor, context: Tensor | None) -> Float[Tensor, "rows *event"]:
        """A draw of p(x | z) for each z."""

    @abstractmethod
    def _redrawn(
        self, x: Tensor, known: Bool[Tensor, "rows *event"], z: Tensor, context: Tensor | None, *, settled: bool
    ) -> Float[Tensor, "rows *event"]:
        """`x` with what is unknown drawn anew given z: a step of a chain that leaves p(unknown | known, z) as it is;
        until it is `settled`, anything that comes near to a draw of that."""

    # -- The bounds ---------------------------------------------------------------------------------------------------

    def _bound_parts(
        self, x: Tensor, context: Tensor | None, samples: int
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch parts"]]:
        """ln p(x | z) averaged over draws of q, and the KL in parts."""
        posterior = self._posterior(x, context)
        z, log_posterior = posterior.rsample(samples)
        return self._log_likelihoods(x, z, context).mean(0), self._kl_parts(posterior, z, log_posterior)

    def _kl_parts(self, posterior: Posterior, z: Tensor, log_posterior: Tensor) -> Float[Tensor, "batch parts"]:
        """KL(q || p(z)) of each dimension where that has a closed form, otherwise an estimate of the whole by draws z,
        (samples, batch, n), and ln q of each."""
        kl = posterior.kl_by_dimension()
        return self._estimated_kl(z, log_posterior) if kl is None else kl

    def _estimated_kl(self, z: Tensor, log_posterior: Tensor) -> Float[Tensor, "batch 1"]:
        log_prior = self._log_prior(z.flatten(0, 1), None).view_as(log_posterior)
        return (log_posterior - log_prior).mean(0)[:, None]

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

    # -- Samples, codes, completions ----------------------------------------------------------------------------------

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        latents: dict[str, Tensor] = {}
        for name in self.latent_shapes:
            latents[name] = self._sample_latent(name, latents, n, context)
        return self._observed(self.join_latents(latents), context)

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        return self._posterior(x, context).distribution

    def _features(self, x: Tensor) -> Tensor:
        """The posterior mean; a conditional encoder sees no context."""
        return self._posterior(x, None).mean

    def _complete(self, x: Tensor, known: Tensor, context: Tensor | None) -> Tensor:
        def log_weight(posterior: Posterior, z: Tensor) -> Tensor:
            return (self._log_joints(x, z[None], context) - posterior.log_prob(z[None]))[0]

        warm_up, settled = self.chain
        x, z = torch.where(known, x, self._sample(len(x), context)), None
        for step in range(warm_up + settled):
            posterior = self._posterior(x, context)
            proposed = posterior.rsample(1)[0][0]
            if z is None or step < warm_up:
                z = proposed
            else:
                log_ratio = log_weight(posterior, proposed) - log_weight(posterior, z)
                accepted = torch.rand_like(log_ratio).log() < log_ratio
                z = torch.where(accepted[:, None], proposed, z)
            x = self._redrawn(x, known, z, context, settled=step >= warm_up)
        return x
