"""What adversarial models share: a generator against a network that judges it; and the game of Goodfellow et al. 2014.

The discriminator's output is a logit, ln D(x) - ln(1 - D(x)); at its optimum that is ln p_data(x) - ln p_G(x). With it,
-ln D = softplus(-logit) and -ln(1 - D) = softplus(logit), which neither overflow nor lose the gradient.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

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
from ancestral.models.adversarial._networks import Discriminator

OBJECTIVES = ("non_saturating", "minimax")


def discriminator_loss(
    real_logits: Float[Tensor, " batch"], fake_logits: Float[Tensor, " batch"], real_label: float = 1.0
) -> Losses:
    """-V(D, G) of equation 1: the binary cross-entropy of real against generated, with `real_label` for the real.

    Its lowest value over all D, with a label of 1, is ln 4 - 2 JS(p_data, p_G).
    """
    # -r ln D - (1 - r) ln(1 - D) = softplus(-logit) + (1 - r) logit
    real = F.softplus(-real_logits).mean()
    if real_label != 1:
        real = real + (1 - real_label) * real_logits.mean()
    fake = F.softplus(fake_logits).mean()
    return Losses(real + fake, {"real": real, "fake": fake})


def generator_loss(fake_logits: Float[Tensor, " batch"], objective: str) -> Losses:
    """E ln(1 - D(G(z))) for "minimax", E -ln D(G(z)) for "non_saturating" (section 3), to be minimised."""
    if objective == "minimax":
        return Losses(-F.softplus(fake_logits).mean())
    return Losses(F.softplus(-fake_logits).mean())


class TwoPlayerModel(Sampler, MeanDecoder, Critic, Features):
    """A generator of (batch, latent_dim + context) -> (batch, *event), z ~ N(0, I), and a network that judges.

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

    @property
    @abstractmethod
    def _judge(self) -> Discriminator:
        """The generator's opponent."""

    def _to_networks(self, x: Tensor) -> Tensor:
        return centred(x, self.event.support, binary=True)

    def _noise(self, n: int) -> Tensor:
        return torch.randn(n, self.latent_dim, dtype=self.dtype, device=self.device)

    def _generate(self, z: Tensor, context: Tensor | None) -> Tensor:
        """The generator's output, on the networks' scale."""
        return self.generator(self.condition(z, context)).view(len(z), *self.event.shape)

    def _judged(self, batch: Batch) -> Tensor:
        """The judge's opinion of generated observations, (batch,), for the generator's move."""
        return self._judge(self._generate(self._noise(len(batch.x)), batch.context), batch.context)

    def _criticise(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self._judge(self._to_networks(x), context)

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return self._decode(self._noise(n), context)

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return uncentred(self._generate(z, context), self.event.support, binary=True)

    def _features(self, x: Tensor) -> Tensor:
        """The judge's; a conditional one sees no context."""
        return self._judge.features(self._to_networks(x), None)

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"z": (self.latent_dim,)}


class GoodfellowModel(TwoPlayerModel):
    """A generator against a discriminator, whose output is a logit."""

    def __init__(
        self, event: Event, context_event: Event | None, latent_dim: int, objective: str, real_label: float
    ) -> None:
        super().__init__(event, context_event, latent_dim)
        if objective not in OBJECTIVES:
            raise InputError(f"objective must be one of {', '.join(OBJECTIVES)}, got {objective!r}")
        if not 0 < real_label <= 1:
            raise InputError(f"real_label must be in (0, 1], got {real_label}")
        self.objective, self.real_label = objective, real_label
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
        real_logits = self.discriminator(self._to_networks(batch.x), batch.context)
        return discriminator_loss(real_logits, self.discriminator(fake, batch.context), self.real_label)

    def _generator_loss(self, batch: Batch) -> Losses:
        return generator_loss(self._judged(batch), self.objective)


def unsupported(event: Event) -> str | None:
    """Why a game of these cannot be played on the event, or None."""
    if isinstance(event.support, Categories):
        return "its generator outputs numbers, and categories have no order"
    if isinstance(event.support, Columns):
        return "its generator outputs numbers of one kind; take the table as real numbers"
    return None
