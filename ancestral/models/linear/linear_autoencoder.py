"""The linear autoencoder.

Baldi & Hornik 1989, "Neural networks and principal component analysis: learning from examples without local minima",
Neural Networks 2. x^ = V (U x + a) + b with squared error ||x - x^||^2: every minimum spans the subspace of the
leading principal components, and no other critical point is a local minimum (facts 1 to 4). The code itself is any
linear map of the components' coordinates: the optimum fixes V U, and not U.

Faithful: the objective, trained by gradients; centred data are not asked for, since the biases take the mean up.
"""

from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn
from torch.distributions import Distribution

from ancestral.distributions import Delta
from ancestral.interface import (
    Adam,
    Batch,
    Encoder,
    Event,
    Features,
    InputError,
    Losses,
    MeanDecoder,
    Model,
    Phase,
    Real,
)
from ancestral.registry import register


@register("linear_autoencoder")
class LinearAutoencoder(Encoder, MeanDecoder, Features):
    """Linear autoencoder: learns the subspace of principal component analysis by gradients (Baldi & Hornik 1989).

    Args:
        latent_dim: numbers in a code, fewer than the event has; by default 10, or one less than the event's if that is
            smaller.
    """

    has_prior = False

    def __init__(self, event: Event, *, context_event: Event | None = None, latent_dim: int | None = None) -> None:
        super().__init__(event, context_event=context_event)
        self.latent_dim = min(10, event.size - 1) if latent_dim is None else latent_dim
        if not 1 <= self.latent_dim < event.size:
            most = event.size - 1
            raise InputError(f"latent_dim must be from 1 to {most} for {event.size} dimensions, got {latent_dim}")
        self.encoder = nn.Linear(event.size, self.latent_dim)
        self.decoder = nn.Linear(self.latent_dim, event.size)

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self._loss, optimizer=Adam(1e-2))]

    def _loss(self, batch: Batch) -> Losses:
        x = batch.x.flatten(1)
        return Losses((self.decoder(self.encoder(x)) - x).square().sum(1).mean())

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        return Delta(self._features(x))

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.decoder(z).view(-1, *self.event.shape)

    def _features(self, x: Tensor) -> Tensor:
        return self.encoder(x.flatten(1))

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"z": (self.latent_dim,)}

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if context_event is not None:
            return "it is unconditional"
        if not isinstance(event.support, Real):
            return "it is linear in real numbers; use Real data, or autoencoder"
        return None if event.size > 1 else "it needs at least 2 dimensions"

    @classmethod
    def examples(cls) -> Iterable[Model]:
        yield cls(Event((3,), Real()), latent_dim=2)
        yield cls(Event((1, 2, 3), Real()), latent_dim=2)
