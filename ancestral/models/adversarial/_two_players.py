"""What adversarial models share: a generator against a network that judges it; and the game of Goodfellow et al. 2014,
whose losses are those of `ancestral.layers.game`."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ancestral.interface import (
    Adam,
    Batch,
    Categories,
    Columns,
    Critic,
    Event,
    Features,
    InputError,
    Losses,
    MeanDecoder,
    Phase,
    Sampler,
)
from ancestral.layers.conditioning import FlatContext, centred, uncentred
from ancestral.layers.game import discriminator_loss, generator_loss
from ancestral.models.adversarial._networks import Discriminator

OBJECTIVES = ("non_saturating", "minimax")


class GeneratorModel(Sampler, MeanDecoder):
    """A generator of (batch, latent_dim + context) -> (batch, *event); z ~ N(0, I) unless a model draws other noise.

    A subclass builds the networks, and chooses the phases.
    """

    monitor = None

    def __init__(self, event: Event, context_event: Event | None, latent_dim: int) -> None:
        super().__init__(event, context_event=context_event)
        if latent_dim < 1:
            raise InputError(f"latent_dim must be at least 1, got {latent_dim}")
        self.latent_dim = latent_dim
        self.condition = FlatContext(context_event)
        self.generator: nn.Module

    def _to_networks(self, x: Tensor) -> Tensor:
        return centred(x, self.event.support, binary=True)

    def _noise(self, n: int) -> Tensor:
        return torch.randn(n, self.latent_dim, dtype=self.dtype, device=self.device)

    def _generate(self, z: Tensor, context: Tensor | None) -> Tensor:
        """The generator's output, on the networks' scale."""
        return self.generator(self.condition(z, context)).view(len(z), *self.event.shape)

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return self._decode(self._noise(n), context)

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return uncentred(self._generate(z, context), self.event.support, binary=True)

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"z": (self.latent_dim,)}


class TwoPlayerModel(GeneratorModel, Critic, Features):
    """A generator, and a network that judges observations."""

    @property
    @abstractmethod
    def _judge(self) -> Discriminator:
        """The generator's opponent."""

    def _judged(self, batch: Batch) -> Tensor:
        """The judge's opinion of generated observations, (batch,), for the generator's move."""
        return self._judge(self._generate(self._noise(len(batch.x)), batch.context), batch.context)

    def _criticise(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self._judge(self._to_networks(x), context)

    def _features(self, x: Tensor) -> Tensor:
        """The judge's; a conditional one sees no context."""
        return self._judge.features(self._to_networks(x), None)


class GoodfellowModel(TwoPlayerModel):
    """A generator against a discriminator, whose output is a logit.

    With a `penalty` gamma the discriminator pays gamma / 2 E_data[|grad logit(x)|^2], R1 of Mescheder, Geiger & Nowozin
    2018, "Which training methods for GANs do actually converge?" (arXiv:1801.04406), equation 9: without it the game
    need not converge where data lie on a manifold, as slopes away from it cost the discriminator nothing.
    """

    def __init__(
        self,
        event: Event,
        context_event: Event | None,
        latent_dim: int,
        objective: str,
        real_label: float,
        penalty: float = 0.0,
    ) -> None:
        super().__init__(event, context_event, latent_dim)
        check_objective(objective)
        if not 0 < real_label <= 1:
            raise InputError(f"real_label must be in (0, 1], got {real_label}")
        if not 0 <= penalty < math.inf:
            raise InputError(f"penalty must be a finite number of at least 0, got {penalty}")
        self.objective, self.real_label, self.penalty = objective, real_label, penalty
        self.discriminator: Discriminator

    @property
    def _judge(self) -> Discriminator:
        return self.discriminator

    @property
    def criticism(self) -> Literal["logit"]:
        return "logit"

    def phases(self) -> Sequence[Phase]:
        """One step of the discriminator, then one of the generator, with Adam as Radford et al. 2016 set it."""
        adam = Adam(2e-4, betas=(0.5, 0.999))
        return [
            Phase("discriminator", list(self.discriminator.parameters()), self._discriminator_loss, optimizer=adam),
            Phase("generator", list(self.generator.parameters()), self._generator_loss, optimizer=adam),
        ]

    def _discriminator_loss(self, batch: Batch) -> Losses:
        with torch.no_grad():
            fake = self._generate(self._noise(len(batch.x)), batch.context)
        # One pass for each side: batch norm must not mix them.
        real = self._to_networks(batch.x)
        real_logits, fake_logits = (self.discriminator(x, batch.context) for x in (real, fake))
        losses = discriminator_loss(real_logits, fake_logits, self.real_label)
        if not self.penalty:
            return losses
        penalty = self.discriminator.slopes(real, batch.context).square().mean()
        return Losses(losses.total + self.penalty / 2 * penalty, {**losses.parts, "penalty": penalty})

    def _generator_loss(self, batch: Batch) -> Losses:
        return generator_loss(self._judged(batch), self.objective)


def check_objective(objective: str) -> None:
    """Raise `InputError` unless there is such an objective of a generator."""
    if objective not in OBJECTIVES:
        raise InputError(f"objective must be one of {', '.join(OBJECTIVES)}, got {objective!r}")


def unsupported(event: Event) -> str | None:
    """Why a game of these cannot be played on the event, or None."""
    if isinstance(event.support, Categories):
        return "its generator outputs numbers, and categories have no order"
    if isinstance(event.support, Columns):
        return "its generator outputs numbers of one kind; take the table as real numbers"
    return None
