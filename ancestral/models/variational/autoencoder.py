"""The deep autoencoder.

Rumelhart, Hinton & Williams 1986; deep and trained from end to end, Hinton & Salakhutdinov 2006, "Reducing the
dimensionality of data with neural networks", Science 313. An encoder maps x to a code z of few numbers, a decoder maps
z back, and both minimise the error of what comes back: the squared distance ||x - x^||^2, which but for constants is
-ln N(x; x^, sigma^2 I) at a fixed sigma; on {0, 1} the cross-entropy, as that paper has it.

The code has no prior, so there is nothing to sample and no likelihood. A linear one, whose optimum is known, is
`linear_autoencoder`. Left out: the paper's layer-wise pre-training by Boltzmann machines, which rectifiers and Adam
have made needless.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from torch import Tensor
from torch.distributions import Distribution
from torch.nn import functional as F

from ancestral.distributions import Bernoulli, Delta
from ancestral.interface import (
    Adam,
    Batch,
    Binary,
    Categories,
    Columns,
    Encoder,
    Event,
    Features,
    InputError,
    Levels,
    Losses,
    MeanDecoder,
    Model,
    Phase,
    QuickSettings,
    Real,
)
from ancestral.layers.conditioning import centred, uncentred
from ancestral.layers.observation_networks import NetworkSettings, ObservationDecoder, ObservationEncoder
from ancestral.registry import register


@register("autoencoder")
class Autoencoder(Encoder, MeanDecoder, Features):
    """Deep autoencoder (Hinton & Salakhutdinov 2006): codes of few numbers that bring observations back.

    Args:
        latent_dim: numbers in a code.
        hidden: widths of the encoder's hidden layers; the decoder has them in reverse order.
        network: "mlp", or "conv" for images.
        channels: of the first stage of the convolutions.
        activation: of the perceptrons: "tanh", "relu" or "leaky_relu" (slope 0.2).
    """

    has_prior = False

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        latent_dim: int = 30,
        hidden: Sequence[int] = (400, 200),
        network: str = "mlp",
        channels: int = 32,
        activation: str = "relu",
    ) -> None:
        super().__init__(event, context_event=context_event)
        if latent_dim < 1:
            raise InputError(f"latent_dim must be at least 1, got {latent_dim}")
        self.latent_dim = latent_dim
        networks = NetworkSettings(network, hidden, channels, activation)
        self.encoder = ObservationEncoder(event, context_event, latent_dim, networks)
        # One number for each dimension: of {0, 1} a logit, otherwise the value as networks see it.
        self.decoder = ObservationDecoder(event, context_event, latent_dim, Bernoulli(), networks)

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self._loss, optimizer=Adam(1e-3))]

    def _loss(self, batch: Batch) -> Losses:
        outputs = self._outputs(self.encoder(batch.x, batch.context).to(batch.x), batch.context)
        if isinstance(self.event.support, Binary):
            error = F.binary_cross_entropy_with_logits(outputs, batch.x, reduction="none")
        else:
            error = (outputs - centred(batch.x, self.event.support)).square()
        return Losses(error.flatten(1).sum(1).mean())

    def _outputs(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.decoder(z, context)[:, 0]

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        return Delta(self.encoder(x, context))

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        outputs = self._outputs(z, context)
        return outputs.sigmoid() if isinstance(self.event.support, Binary) else uncentred(outputs, self.event.support)

    def _features(self, x: Tensor) -> Tensor:
        """The code; a conditional encoder sees no context."""
        return self.encoder(x, None)

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"z": (self.latent_dim,)}

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if isinstance(event.support, Categories | Columns):
            return "the error of its reconstructions is a distance between numbers; use Binary, Levels or Real data"
        return None

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        if len(event.shape) < 3:
            return QuickSettings({"latent_dim": max(1, min(8, event.size // 2)), "hidden": [128, 128]})
        return QuickSettings({"latent_dim": 16 if event.size <= 256 else 32})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(cls, latent_dim=2, hidden=[16], activation="tanh")
        yield tiny(Event((4,), Binary()))
        yield tiny(Event((3,), Levels(4)), context_event=Event((), Levels(3)))
        yield tiny(Event((1, 4, 4), Real()), network="conv", channels=4)
