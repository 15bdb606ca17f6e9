"""The variational autoencoder.

Kingma & Welling 2014, "Auto-encoding variational Bayes" (arXiv:1312.6114). A latent z ~ N(0, I) is decoded into the
parameters of p(x | z), and an encoder outputs the mean and the log-variance of a diagonal Gaussian q(z | x). Training
climbs the evidence lower bound in its form with a closed KL (equations 7 and 10),

    L(x) = E_q[ln p(x | z)] - KL(q(z | x) || p(z)),    KL = 1/2 sum_j (mu_j^2 + sigma_j^2 - 1 - ln sigma_j^2),

with z = mu + sigma * eps, eps ~ N(0, I). The importance weights of the tighter bound (Burda et al. 2016, equation 8)
are ln w = ln p(x | z) + ln p(z) - ln q(z | x).

Departures: any number of hidden layers; discrete levels by a discretized logistic or a softmax; `beta` (Higgins et al.
2017) and `free_bits` (Kingma et al. 2016, appendix C.8), both of which touch the training loss and never the bounds.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from ancestral.distributions import Bernoulli, Categorical, DiscretizedLogistic, Gaussian, standard_normal
from ancestral.distributions.observation import Observation
from ancestral.interface import (
    Adam,
    Batch,
    Binary,
    BoundedDensity,
    Decoder,
    Encoder,
    Event,
    Features,
    InputError,
    Levels,
    Losses,
    Model,
    Phase,
    Real,
    Sampler,
)
from ancestral.layers.conditioning import FlatContext, centred
from ancestral.layers.mlp import mlp
from ancestral.registry import register


@register("vae")
class VAE(Sampler, BoundedDensity, Encoder, Decoder, Features):
    """Variational autoencoder with a Gaussian posterior (Kingma & Welling 2014).

    Args:
        latent_dim: dimensions of z.
        hidden: widths of the encoder's hidden layers; the decoder has them in reverse order.
        observation: p(x | z): "bernoulli", "gaussian" (mean and variance learned), "discretized_logistic",
            "categorical", or "auto", the first of these that fits the event's support.
        samples: draws of z for each observation in the training loss.
        beta: factor of the KL in the training loss.
        free_bits: the KL of a latent dimension, averaged over the batch, costs at least this many nats in training.
        activation: "tanh" or "relu".
    """

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
        self.observation = _observation(observation, event)
        self.condition = FlatContext(context_event)
        more = self.condition.size
        self.encoder = mlp(event.size + more, hidden, 2 * latent_dim, activation)
        outputs = self.observation.size * event.size
        self.decoder = mlp(latent_dim + more, hidden[::-1], outputs, activation)
        self.rows_at_once = max(1, min(self.rows_at_once, 2**24 // outputs))

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self._loss, optimizer=Adam(1e-3))]

    def _loss(self, batch: Batch) -> Losses:
        x = self._flat(batch.x)
        mean, log_variance = self._posterior(x, batch.context)
        z, _ = self._reparametrize(mean, log_variance, self.samples)
        reconstruction = -self._log_likelihood(x, z, batch.context).mean()
        by_dimension = self._kl_by_dimension(mean, log_variance).mean(0)
        kl = by_dimension.sum()
        cost = by_dimension.clamp(min=self.free_bits).sum() if self.free_bits > 0 else kl
        return Losses(reconstruction + self.beta * cost, {"reconstruction": reconstruction, "kl": kl})

    # -- q(z | x) and p(x | z): x is flat, (batch, event.size); z is (samples, batch, latent_dim) ---------------------

    def _flat(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), self.event.size)

    def _posterior(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """The mean and the log-variance of q(z | x), (batch, latent_dim) each."""
        outputs = self.encoder(self.condition(centred(x, self.event.support), context))
        mean, log_variance = outputs.to(x.dtype).chunk(2, dim=1)
        return mean, log_variance

    @staticmethod
    def _reparametrize(mean: Tensor, log_variance: Tensor, samples: int) -> tuple[Tensor, Tensor]:
        """`samples` draws of z, and the standard normal noise that made them."""
        noise = torch.randn(samples, *mean.shape, dtype=mean.dtype, device=mean.device)
        return torch.addcmul(mean, torch.exp(0.5 * log_variance), noise), noise

    @staticmethod
    def _kl_by_dimension(mean: Tensor, log_variance: Tensor) -> Tensor:
        return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)

    def _observation_parameters(self, z: Tensor, context: Tensor | None) -> Tensor:
        """The parameters of p(x | z) for z of (rows, latent_dim), (rows, size, event.size)."""
        outputs = self.decoder(self.condition(z, context)).to(z.dtype)
        return outputs.view(len(z), self.observation.size, self.event.size)

    def _log_likelihood(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        """ln p(x | z), (samples, batch)."""
        samples, batch = z.shape[:2]
        if context is not None:
            context = context.expand(samples, *context.shape).flatten(0, 1)
        parameters = self._observation_parameters(z.flatten(0, 1), context)
        return self.observation.log_likelihood(parameters.unflatten(0, (samples, batch)), x)

    # -- The abilities ------------------------------------------------------------------------------------------------

    def _elbo(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        x = self._flat(x)
        mean, log_variance = self._posterior(x, context)
        z, _ = self._reparametrize(mean, log_variance, samples)
        return self._log_likelihood(x, z, context).mean(0) - self._kl_by_dimension(mean, log_variance).sum(1)

    def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        x = self._flat(x)
        mean, log_variance = self._posterior(x, context)
        z, noise = self._reparametrize(mean, log_variance, samples)
        # ln p(z) - ln q(z | x), in which the constants 1/2 ln(2 pi) cancel.
        log_ratio = 0.5 * (noise.square() - z.square() + log_variance).sum(-1)
        return self._log_likelihood(x, z, context) + log_ratio

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        z = torch.randn(n, self.latent_dim, dtype=self.dtype, device=self.device)
        x = self.observation.sample(self._observation_parameters(z, context))
        return x.view(n, *self.event.shape)

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        mean, log_variance = self._posterior(self._flat(x), context)
        return Independent(Normal(mean, torch.exp(0.5 * log_variance)), 1)

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"z": (self.latent_dim,)}

    @property
    def prior(self) -> Distribution:
        return standard_normal(self.latent_dim, self.dtype, self.device)

    def _decode(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.observation.mean(self._observation_parameters(z, context)).view(len(z), *self.event.shape)

    def _features(self, x: Tensor) -> Tensor:
        """The posterior mean; a conditional encoder sees no context."""
        return self._posterior(self._flat(x), None)[0]

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(cls, latent_dim=2, hidden=[8])
        yield tiny(Event((4,), Binary()))
        yield tiny(Event((1, 2, 2), Levels(3)))
        yield tiny(Event((3,), Levels(4)), observation="categorical")
        yield tiny(Event((2,), Real()), samples=2)
        yield tiny(Event((4,), Binary()), context_event=Event((), Levels(3)))


def _observation(name: str, event: Event) -> Observation:
    """The observation model of that name for `event`."""
    support = event.support
    fitting: dict[str, Observation]
    if isinstance(support, Levels):
        fitting = {
            "discretized_logistic": DiscretizedLogistic(support.levels),
            "categorical": Categorical(support.levels),
        }
    else:
        fitting = {"bernoulli": Bernoulli()} if isinstance(support, Binary) else {"gaussian": Gaussian()}
    if name == "auto":
        return next(iter(fitting.values()))
    if name not in fitting:
        raise InputError(f"observation on {support} must be auto or {' or '.join(fitting)}, got {name!r}")
    return fitting[name]
