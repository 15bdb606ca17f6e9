"""A variational autoencoder whose posterior is bent by a normalizing flow.

Rezende & Mohamed 2015, "Variational inference with normalizing flows" (arXiv:1505.05770); Kingma et al. 2016,
"Improving variational inference with inverse autoregressive flow" (arXiv:1606.04934). The encoder outputs a diagonal
Gaussian q_0(z_0 | x) and a vector h(x), and z = f_K(... f_1(z_0; h); h), so that (equation 13 of the former)

    ln q(z | x) = ln q_0(z_0 | x) - sum_k ln |det df_k|

and the ELBO is E[ln p(x | z) + ln p(z) - ln q(z | x)], with a q that need be neither Gaussian nor factorial. The flows:
planar and radial maps (section 4.1 there), whose parameters are an affine function of h, and inverse autoregressive
ones (equation 10 of the latter), z_i = (z_i - mu_i(z_<i, h)) exp(-alpha_i(z_<i, h)), in alternating orders.

Faithful: all parameters of a flow amortized, through the context h, of as many numbers as z has. Left out: the annealed
bound of the former (equation 20), and the latter's gated form of the transform, which is the same family.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Literal, get_args

from torch import Tensor

from ancestral.bijections import Bijection, Chain, MaskedAutoregressive, PlanarFlows, RadialFlows
from ancestral.distributions import DiagonalGaussian, FlowPosterior, Posterior
from ancestral.interface import (
    Adam,
    Batch,
    Binary,
    Categories,
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

PosteriorName = Literal["gaussian", "planar", "radial", "iaf"]


@register("flow_vae")
class FlowVAE(LatentVariableModel):
    """Variational autoencoder with a flow posterior (Rezende & Mohamed 2015; Kingma et al. 2016).

    Args:
        posterior: "planar", "radial" or "iaf" (inverse autoregressive); "gaussian" has no flow, to compare with.
        length: maps in the flow.
        flow_hidden: widths of the hidden layers of each inverse autoregressive map.
        latent_dim: dimensions of z.
        hidden: widths of the encoder's hidden layers; the decoder has them in reverse order.
        network: "mlp", or "conv" for images.
        channels: of the first stage of the convolutions.
        activation: of the perceptrons: "tanh", "relu" or "leaky_relu" (slope 0.2).
        observation: p(x | z), as a VAE's; "auto" is the first that fits the event's support.
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        posterior: PosteriorName = "iaf",
        length: int = 4,
        flow_hidden: Sequence[int] = (200,),
        latent_dim: int = 40,
        hidden: Sequence[int] = (200, 200),
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
            layers=1,
            observation=observation,
            networks=networks,
            # What the flow is told of x has as many numbers as z.
            encoder_outputs=2 if posterior == "gaussian" else 3,
        )
        if posterior not in get_args(PosteriorName):
            raise InputError(f"posterior must be {', '.join(map(repr, get_args(PosteriorName)))}, got {posterior!r}")
        if length < 1:
            raise InputError(f"a flow needs a length of at least 1, got {length}; posterior 'gaussian' has none")
        self.flow = _flow(posterior, latent_dim, length, flow_hidden)

    def _posterior(self, x: Tensor, context: Tensor | None) -> Posterior:
        outputs, size = self.encoder(x, context), 2 * self.latents.sizes[0]
        first = DiagonalGaussian(outputs[:, :size], like=self._reference)
        return first if self.flow is None else FlowPosterior(first, self.flow, outputs[:, size:].to(first.like))

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self._loss, optimizer=Adam(1e-3))]

    def _loss(self, batch: Batch) -> Losses:
        log_likelihood, kl_parts = self._bound_parts(batch.x, batch.context, 1)
        reconstruction, kl = -log_likelihood.mean(), kl_parts.sum(1).mean()
        return Losses(reconstruction + kl, {"reconstruction": reconstruction, "kl": kl})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(cls, latent_dim=2, hidden=[8], length=2, flow_hidden=[8])
        yield tiny(Event((4,), Binary()), posterior="planar")
        yield tiny(Event((1, 2, 2), Levels(3)), posterior="radial", context_event=Event((), Categories(3)))
        yield tiny(Event((2,), Real()), posterior="iaf")


def _flow(posterior: PosteriorName, features: int, length: int, hidden: Sequence[int]) -> Bijection | None:
    match posterior:
        case "planar":
            return PlanarFlows(features, length, features)
        case "radial":
            return RadialFlows(features, length, features)
        case "iaf":
            maps = range(length)
            return Chain([MaskedAutoregressive(features, hidden, features, reverse=i % 2 == 1, seed=i) for i in maps])
    return None
