"""The variational autoencoder.

Kingma & Welling 2014, "Auto-encoding variational Bayes" (arXiv:1312.6114). A latent z ~ N(0, I) is decoded into the
parameters of p(x | z), and an encoder outputs the mean and the log-variance of a diagonal Gaussian q(z | x). Training
climbs the evidence lower bound in its form with a closed KL (equations 7 and 10),

    L(x) = E_q[ln p(x | z)] - KL(q(z | x) || p(z)),    KL = 1/2 sum_j (mu_j^2 + sigma_j^2 - 1 - ln sigma_j^2),

with z = mu + sigma * eps, eps ~ N(0, I). The importance weights of the tighter bound (Burda et al. 2016, equation 8)
are ln w = ln p(x | z) + ln p(z) - ln q(z | x).

What is unknown of an observation is drawn by Metropolis-within-Gibbs (Mattei & Frellsen 2018, arXiv:1802.04826,
algorithm 1): z ~ q(z | x) accepted by its importance weight, then the unknown dimensions anew from p(x | z), which
leaves p(z, unknown | known) as it is. The first steps accept everything (Rezende et al. 2014, appendix F).

Departures: any number of hidden layers; discrete levels by a discretized logistic or a softmax; `beta` (Higgins et al.
2017) and `free_bits` (Kingma et al. 2016, appendix C.8), both of which touch the training loss and never the bounds.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.distributions import Distribution

from ancestral.distributions import DiagonalGaussian, observation_for
from ancestral.interface import (
    Adam,
    Batch,
    Binary,
    BoundedDensity,
    Categories,
    Columns,
    Completer,
    Encoder,
    Event,
    Features,
    InputError,
    JointDensity,
    Levels,
    Losses,
    MeanDecoder,
    Model,
    Phase,
    QuickSettings,
    Real,
    Sampler,
    repeated,
)
from ancestral.layers.conditioning import FlatContext
from ancestral.layers.flat import FlatInputs, FlatOutputs
from ancestral.layers.mlp import mlp
from ancestral.registry import register

#: Steps of the chain that fills in what is unknown: first those that accept every proposal, then the others.
_WARM_UP, _STEPS = 10, 40


@register("vae")
class VAE(Sampler, BoundedDensity, Encoder, MeanDecoder, JointDensity, Features, Completer):
    """Variational autoencoder with a Gaussian posterior (Kingma & Welling 2014).

    Args:
        latent_dim: dimensions of z.
        hidden: widths of the encoder's hidden layers; the decoder has them in reverse order.
        observation: p(x | z): "bernoulli", "gaussian" (mean and variance learned), "discretized_logistic",
            "categorical", or "auto", the first of these that fits the event's support; for a table each column's own.
        samples: draws of z for each observation in the training loss.
        beta: factor of the KL in the training loss.
        free_bits: the KL of a latent dimension, averaged over the batch, costs at least this many nats in training.
        activation: "tanh", "relu" or "leaky_relu" (slope 0.2).
    """

    completion = "by a Markov chain through its latents"

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        latent_dim: int = 50,
        hidden: Sequence[int] = (200, 200),
        observation: str = "auto",
        samples: int = 1,
        beta: float = 1.0,
        free_bits: float = 0.0,
        activation: str = "tanh",
    ) -> None:
        super().__init__(event, context_event=context_event)
        if latent_dim < 1 or samples < 1:
            raise InputError(f"latent_dim and samples must be at least 1, got {latent_dim} and {samples}")
        if beta < 0 or free_bits < 0:
            raise InputError(f"beta and free_bits must not be negative, got {beta} and {free_bits}")
        self.latent_dim, self.samples, self.beta, self.free_bits = latent_dim, samples, beta, free_bits
        if beta != 1 or free_bits > 0:
            self.loss_differs = "beta and free_bits weigh the KL in training alone"
        self.observation = observation_for(event.support, observation)
        self.condition = FlatContext(context_event)
        more = self.condition.size
        self.inputs = FlatInputs(event)
        self.encoder = mlp(sum(self.inputs.widths) + more, hidden, 2 * latent_dim, activation)
        self.outputs = FlatOutputs(self.observation.sizes(event.size))
        self.decoder = mlp(latent_dim + more, hidden[::-1], len(self.outputs), activation)
        self.rows_at_once = max(1, min(self.rows_at_once, 2**24 // (self.observation.size * event.size)))

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self._loss, optimizer=Adam(1e-3))]

    def _loss(self, batch: Batch) -> Losses:
        posterior = self._posterior(batch.x, batch.context)
        z, _ = posterior.rsample(self.samples)
        reconstruction = -self._log_likelihoods(batch.x, z, batch.context).mean()
        by_dimension = posterior.kl_by_dimension().mean(0)
        kl = by_dimension.sum()
        cost = by_dimension.clamp(min=self.free_bits).sum() if self.free_bits > 0 else kl
        return Losses(reconstruction + self.beta * cost, {"reconstruction": reconstruction, "kl": kl})

    # -- q(z | x) and p(x | z) ----------------------------------------------------------------------------------------

    def _posterior(self, x: Tensor, context: Tensor | None) -> DiagonalGaussian:
        flat = self.inputs(x.flatten(1), self._reference)
        return DiagonalGaussian(self.encoder(self.condition(flat, context)), like=x)

    def _observation_parameters(self, z: Tensor, context: Tensor | None) -> Tensor:
        """The parameters of p(x | z) for z of (rows, latent_dim), (rows, size, *event)."""
        outputs = self.decoder(self.condition(z, context)).to(z.dtype)
        return self.outputs(outputs).view(len(z), self.observation.size, *self.event.shape)

    def _log_likelihoods(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        """ln p(x | z) for several z of each x: z (samples, batch, latent_dim) -> (samples, batch)."""
        samples, batch = z.shape[:2]
        parameters = self._observation_parameters(z.flatten(0, 1), repeated(context, samples))
        return self.observation.log_likelihood(parameters.unflatten(0, (samples, batch)), x)

    # -- The abilities ------------------------------------------------------------------------------------------------

    def _elbo(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        posterior = self._posterior(x, context)
        z, _ = posterior.rsample(samples)
        return self._log_likelihoods(x, z, context).mean(0) - posterior.kl_by_dimension().sum(1)

    def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        z, log_posterior = self._posterior(x, context).rsample(samples)
        log_prior = self._log_prior(z.flatten(0, 1), repeated(context, samples)).view(samples, len(x))
        return self._log_likelihoods(x, z, context) + log_prior - log_posterior

    def _log_likelihood(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        return self._log_likelihoods(x, z[None], context)[0]

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        z = torch.randn(n, self.latent_dim, dtype=self.dtype, device=self.device)
        return self.observation.sample(self._observation_parameters(z, context))

    def _complete(self, x: Tensor, known: Tensor, context: Tensor | None) -> Tensor:
        def log_joint(z: Tensor) -> Tensor:
            return self._log_likelihood(x, z, context) + self._log_prior(z, context)

        x, z = torch.where(known, x, self._sample(len(x), context)), None
        for step in range(_WARM_UP + _STEPS):
            posterior = self._posterior(x, context).distribution
            proposed = posterior.sample()
            if z is None or step < _WARM_UP:
                z = proposed
            else:
                log_ratio = log_joint(proposed) - posterior.log_prob(proposed) - log_joint(z) + posterior.log_prob(z)
                accepted = torch.rand_like(log_ratio).log() < log_ratio
                z = torch.where(accepted[:, None], proposed, z)
            x = torch.where(known, x, self.observation.sample(self._observation_parameters(z, context)))
        return x

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        return self._posterior(x, context).distribution

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"z": (self.latent_dim,)}

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.observation.mean(self._observation_parameters(z, context))

    def _features(self, x: Tensor) -> Tensor:
        """The posterior mean; a conditional encoder sees no context."""
        return self._posterior(x, None).mean

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

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(cls, latent_dim=2, hidden=[8])
        yield tiny(Event((4,), Binary()))
        yield tiny(Event((1, 2, 2), Levels(3)))
        yield tiny(Event((3,), Levels(4)), observation="categorical")
        yield tiny(Event((2,), Real()), samples=2)
        yield tiny(Event((4,), Binary()), context_event=Event((), Levels(3)))
        yield tiny(Event((5,), Columns((Binary(), Real(), Levels(3), Categories(3), Binary()))))
