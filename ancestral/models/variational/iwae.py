"""The importance-weighted autoencoder.

Burda, Grosse & Salakhutdinov 2016, "Importance weighted autoencoders" (arXiv:1509.00519). Networks as a VAE's, trained
on the tighter bound of k samples (equation 8),

    L_k(x) = E[ln 1/k sum_i w_i],    w_i = p(x, z_i) / q(z_i | x),    z_i ~ q(z | x),

whose gradient weighs each sample by its share of the weights, w~_i = w_i / sum_j w_j (equations 13 and 14). L_1 is the
ELBO, and L_k rises with k towards ln p(x).

`gradient="doubly_reparametrized"` (Tucker, Lawson, Gu & Maddison 2019, arXiv:1810.04152, equation 8) reparametrizes the
score of q in that gradient once more, so that the encoder's is

    E[sum_i w~_i^2 (d ln w_i / d z_i) (d z_i / d phi)],

of the same mean, but less variance where q is good: the signal no longer drowns in noise as k grows (Rainforth et al.
2018). With several stochastic layers z is all of them and q(z | x) their product. The decoder's gradient is unchanged.

`gradient="single_sample"` draws one i of each observation with probability w~_i and follows the gradient of ln w_i
alone, which is that of equation 14 in expectation (the paper's remark on its cost, section 3): k forward passes but
one backward, a third of the work where k is large.

Memory does not grow with k: where the samples of a batch are more rows than `rows_at_once`, they go through the network
in parts, whose activations are computed again in the backward pass.
"""

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ancestral.distributions import DiagonalGaussian, LayeredGaussian
from ancestral.interface import (
    Adam,
    Batch,
    Binary,
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

Gradient = Literal["importance_weighted", "doubly_reparametrized", "single_sample"]


@register("iwae")
class IWAE(LatentVariableModel):
    """Importance-weighted autoencoder (Burda et al. 2016).

    Args:
        importance_samples: k of the bound that it trains, and by which checkpoints are chosen.
        gradient: its estimator: "importance_weighted", "doubly_reparametrized" (of less variance) or "single_sample"
            (of less work, and more variance).
        warm_up: share of the training budget, at its beginning, in which the bound of `warm_up_samples` is trained.
        warm_up_samples: k of that bound, which takes less time.
        latent_dim: dimensions of z; of the top one where there are several stochastic layers.
        hidden: widths of the encoder's hidden layers; the decoder has them in reverse order.
        layers: stochastic layers, each lower one with twice as many latents.
        network: "mlp", or "conv" for images.
        channels: of the first stage of the convolutions.
        activation: of the perceptrons: "tanh", "relu" or "leaky_relu" (slope 0.2).
        observation: p(x | z), as a VAE's; "auto" is the first that fits the event's support.
    """

    monitor = "log_prob_lower_bound"

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        importance_samples: int = 5,
        gradient: Gradient = "importance_weighted",
        warm_up: float = 0.0,
        warm_up_samples: int = 5,
        latent_dim: int = 50,
        hidden: Sequence[int] = (200, 200),
        layers: int = 1,
        network: str = "mlp",
        channels: int = 32,
        activation: str = "tanh",
        observation: str = "auto",
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
        if importance_samples < 1:
            raise InputError(f"importance_samples must be at least 1, got {importance_samples}")
        if not 0 <= warm_up < 1 or warm_up_samples < 1:
            raise InputError(
                f"warm_up must be a share in [0, 1) and warm_up_samples at least 1, got {warm_up} and {warm_up_samples}"
            )
        if gradient not in get_args(Gradient):
            raise InputError(f"gradient must be {' or '.join(map(repr, get_args(Gradient)))}, got {gradient!r}")
        self.monitor_samples = importance_samples
        if warm_up:
            self.loss_differs = "it begins with the bound of warm_up_samples"
        self.gradient, self.warm_up, self.warm_up_samples = gradient, warm_up, warm_up_samples
        if gradient != "importance_weighted":
            self.gradient_differs = f"the {gradient} gradient is that of the bound in expectation alone"

    def _posterior(self, x: Tensor, context: Tensor | None) -> DiagonalGaussian | LayeredGaussian:
        return self.latents.posterior(DiagonalGaussian(self.encoder(x, context), like=self._reference))

    def phases(self) -> Sequence[Phase]:
        def phase(name: str, samples: int, starts: float, ends: float) -> Phase:
            loss = partial(self._loss, samples=samples)
            return Phase(name, list(self.parameters()), loss, optimizer=Adam(1e-3), starts=starts, ends=ends)

        stages = [phase("model", self.monitor_samples, self.warm_up, 1.0)]
        return [phase("warm_up", self.warm_up_samples, 0.0, self.warm_up), *stages] if self.warm_up else stages

    def _loss(self, batch: Batch, samples: int) -> Losses:
        posterior = self._posterior(batch.x, batch.context)
        if self.gradient == "single_sample":
            return self._single_sample_loss(batch, posterior, samples)
        weigh = _Weights(self, posterior)
        at_once = max(1, self.rows_at_once // len(batch.x))
        if samples <= at_once:
            log_weights = weigh(batch.x, batch.context, samples)
        else:
            sizes = [min(at_once, samples - done) for done in range(0, samples, at_once)]
            parts = [checkpoint(weigh, batch.x, batch.context, size, use_reentrant=False) for size in sizes]
            log_weights = torch.cat(parts)
        log_total = log_weights.logsumexp(0)
        weigh.log_total = log_total.detach()
        return Losses(math.log(samples) - log_total.mean())

    def _single_sample_loss(self, batch: Batch, posterior: DiagonalGaussian | LayeredGaussian, samples: int) -> Losses:
        x, context, at_once = batch.x, batch.context, max(1, self.rows_at_once // len(batch.x))
        noise = torch.randn(samples, posterior.batch, posterior.size, dtype=self.dtype, device=self.device)

        def log_weights(noise: Tensor) -> Tensor:
            z, log_posterior = posterior.from_noise(noise)
            return self._log_joints(x, z, context) - log_posterior

        with torch.no_grad():
            every = torch.cat([log_weights(part) for part in noise.split(at_once)])
        chosen = torch.multinomial(every.softmax(0).T, 1)[:, 0]
        one = log_weights(noise[chosen, torch.arange(len(x), device=self.device)][None])[0]
        # The value of the bound, with the gradient of the chosen weights.
        bound = every.logsumexp(0) - math.log(samples)
        return Losses(-(bound + one - one.detach()).mean())

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(cls, latent_dim=2, hidden=[8])
        yield tiny(Event((4,), Binary()))
        yield tiny(Event((4,), Binary()), layers=2, gradient="doubly_reparametrized")
        yield tiny(Event((1, 2, 2), Levels(3)), importance_samples=3, context_event=Event((), Levels(3)))
        yield tiny(Event((2,), Real()), gradient="doubly_reparametrized")
        yield tiny(Event((4,), Binary()), gradient="single_sample")


class _Weights:
    """The logarithms of importance weights, whose gradient is the model's estimator.

    For the doubly reparametrized one ln q is taken with constant parameters, which leaves the path through z, and the
    gradient that reaches z, weighted by w~ already, is weighted by w~ once more.
    """

    def __init__(self, model: IWAE, posterior: DiagonalGaussian | LayeredGaussian) -> None:
        self.model, self.posterior = model, posterior
        #: ln of the sum of all weights, (batch,): known when the backward pass begins.
        self.log_total: Tensor | None = None

    def __call__(self, x: Tensor, context: Tensor | None, samples: int) -> Float[Tensor, "samples batch"]:
        z, log_posterior = self.posterior.rsample(samples)
        if self.model.gradient == "importance_weighted":
            return self.model._log_joints(x, z, context) - log_posterior
        z = z.view_as(z)  # a hook on z itself would also weigh the way to a layer above
        log_weights = self.model._log_joints(x, z, context) - self.posterior.frozen().log_prob(z)
        if z.requires_grad:
            constant = log_weights.detach()
            z.register_hook(lambda gradient: gradient * self._shares(constant).unsqueeze(2))
        return log_weights

    def _shares(self, log_weights: Tensor) -> Tensor:
        """w~, each weight's share of all of its observation's."""
        assert self.log_total is not None
        return (log_weights - self.log_total).exp()
