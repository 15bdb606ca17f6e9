"""The variational autoencoder.

Kingma & Welling 2014, "Auto-encoding variational Bayes" (arXiv:1312.6114). A latent z ~ N(0, I) is decoded into the
parameters of p(x | z), and an encoder outputs the mean and the log-variance of a diagonal Gaussian q(z | x). Training
climbs the evidence lower bound in its form with a closed KL (equations 7 and 10),

    L(x) = E_q[ln p(x | z)] - KL(q(z | x) || p(z)),    KL = 1/2 sum_j (mu_j^2 + sigma_j^2 - 1 - ln sigma_j^2),

with z = mu + sigma * eps, eps ~ N(0, I): `layers.latent_variable` has the bounds, samples and completions.

Departures: any number of hidden layers; convolutions for images; several stochastic layers (Burda et al. 2016), whose
KL is estimated from the draws; discrete levels by a discretized logistic or a softmax; `beta` (Higgins et al. 2017) and
`free_bits` (Kingma et al. 2016, appendix C.8), both of which touch the training loss and never the bounds.
"""

from collections.abc import Iterable, Sequence
from functools import partial

from torch import Tensor

from ancestral.distributions import DiagonalGaussian, Posterior
from ancestral.interface import (
    Adam,
    Batch,
    Binary,
    Categories,
    Columns,
    Event,
    InputError,
    Levels,
    Losses,
    Model,
    Phase,
    Real,
)
from ancestral.layers.latent_variable import LatentVariableModel
from ancestral.layers.observation_networks import NetworkSettings
from ancestral.registry import register


@register("vae")
class VAE(LatentVariableModel):
    """Variational autoencoder with a Gaussian posterior (Kingma & Welling 2014).

    Args:
        latent_dim: dimensions of z; of the top one where there are several stochastic layers.
        hidden: widths of the encoder's hidden layers; the decoder has them in reverse order.
        layers: stochastic layers, each lower one with twice as many latents (Burda et al. 2016).
        network: "mlp", or "conv" for images.
        channels: of the first stage of the convolutions.
        activation: of the perceptrons: "tanh", "relu" or "leaky_relu" (slope 0.2).
        observation: p(x | z): "bernoulli", "gaussian" (mean and variance learned), "isotropic_gaussian" (one variance
            for all dimensions), "discretized_logistic", "categorical", or "auto", the first of these that fits the
            event's support; for a table each column's own.
        samples: draws of z for each observation in the training loss.
        beta: factor of the KL in the training loss.
        free_bits: the KL of a latent dimension, averaged over the batch, costs at least this many nats in training.
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        latent_dim: int = 50,
        hidden: Sequence[int] = (200, 200),
        layers: int = 1,
        network: str = "mlp",
        channels: int = 32,
        activation: str = "tanh",
        observation: str = "auto",
        samples: int = 1,
        beta: float = 1.0,
        free_bits: float = 0.0,
    ) -> None:
        networks = NetworkSettings(network, hidden, channels, activation)
        super().__init__(
            event,
            context_event=context_event,
            latent_dim=latent_dim,
            layers=layers,
            observation=observation,
            networks=networks,
        )
        if samples < 1:
            raise InputError(f"samples must be at least 1, got {samples}")
        if beta < 0 or free_bits < 0:
            raise InputError(f"beta and free_bits must not be negative, got {beta} and {free_bits}")
        if free_bits > 0 and layers > 1:
            raise InputError("free_bits are of latent dimensions in closed form, which several layers do not have")
        self.samples, self.beta, self.free_bits = samples, beta, free_bits
        if beta != 1 or free_bits > 0:
            self.loss_differs = "beta and free_bits weigh the KL in training alone"

    def _posterior(self, x: Tensor, context: Tensor | None) -> Posterior:
        return self.latents.posterior(DiagonalGaussian(self.encoder(x, context), like=self._reference))

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self._loss, optimizer=Adam(1e-3))]

    def _loss(self, batch: Batch) -> Losses:
        log_likelihood, kl_parts = self._bound_parts(batch.x, batch.context, self.samples)
        reconstruction, by_dimension = -log_likelihood.mean(), kl_parts.mean(0)
        kl = by_dimension.sum()
        cost = by_dimension.clamp(min=self.free_bits).sum() if self.free_bits > 0 else kl
        return Losses(reconstruction + self.beta * cost, {"reconstruction": reconstruction, "kl": kl})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(cls, latent_dim=2, hidden=[8])
        yield tiny(Event((4,), Binary()))
        yield tiny(Event((1, 2, 2), Levels(3)))
        yield tiny(Event((3,), Levels(4)), observation="categorical")
        yield tiny(Event((2,), Real()), samples=2)
        yield tiny(Event((3,), Real()), observation="isotropic_gaussian")
        yield tiny(Event((4,), Binary()), context_event=Event((), Levels(3)))
        yield tiny(Event((4,), Binary()), layers=2)
        yield tiny(Event((1, 4, 4), Binary()), network="conv", channels=2, context_event=Event((), Categories(3)))
        yield tiny(Event((5,), Columns((Binary(), Real(), Levels(3), Categories(3), Binary()))))
