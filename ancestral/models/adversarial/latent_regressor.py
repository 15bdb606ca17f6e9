"""A generative adversarial network and an encoder that regresses its noise, the baselines of bidirectional ones.

Donahue, Krähenbühl & Darrell 2017, "Adversarial feature learning" (arXiv:1605.09782), section 4.1. G and a
discriminator of observations play the game of `gan.py`, and an encoder E learns from samples what they were made of, by
the cross-entropy between (1 + z) / 2 and (1 + E(G(z))) / 2, averaged over the dimensions of z. E never sees data.

It learns after the game, from the G that came out of it ("latent regressor"), or during the game, where G also helps E
by descending a part of its loss ("joint latent regressor"); that part is 0.25 as in the paper's released code, where a
weight of 1 made G degenerate.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from ancestral.interface import Batch, Binary, Categories, Event, InputError, Levels, Losses, Model, Phase, Real
from ancestral.layers.game import generator_loss
from ancestral.layers.observation_networks import NetworkSettings
from ancestral.models.adversarial._bidirectional import BidirectionalModel, check_rows
from ancestral.models.adversarial._networks import ImageDiscriminator, VectorDiscriminator
from ancestral.models.adversarial._two_players import GoodfellowModel
from ancestral.registry import register


@register("latent_regressor")
class LatentRegressor(BidirectionalModel, GoodfellowModel):
    """Generative adversarial network with an encoder that regresses the noise of samples (Donahue et al. 2017).

    Args:
        latent_dim: dimensions of z.
        hidden: widths of the hidden layers of encoder and discriminator, at least two; the generator has them in
            reverse order.
        network: "mlp", or "conv" for images.
        channels: of the first stage of the convolutions.
        objective: the generator's, "non_saturating" or "minimax".
        joint: whether E learns during the game and G helps it, in place of after the game.
        joint_weight: of E's loss in G's where they learn jointly.
        game_stage: share of the training budget, at its beginning, that is the game's where E learns after it.
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        latent_dim: int = 50,
        hidden: Sequence[int] = (1024, 1024),
        network: str = "mlp",
        channels: int = 32,
        objective: str = "non_saturating",
        joint: bool = False,
        joint_weight: float = 0.25,
        game_stage: float = 0.7,
    ) -> None:
        networks = NetworkSettings(network, hidden, channels)
        super().__init__(event, context_event, latent_dim, objective, real_label=1.0)
        if joint_weight <= 0:
            raise InputError(f"joint_weight must be above 0, got {joint_weight}")
        if not 0 < game_stage < 1:
            raise InputError(f"game_stage must be a share in (0, 1), got {game_stage}")
        self.joint, self.joint_weight, self.game_stage = joint, joint_weight, game_stage
        self._build_networks(networks)
        self.discriminator = (
            ImageDiscriminator(event, context_event, channels)
            if network == "conv"
            else VectorDiscriminator(event, context_event, hidden)
        )

    def phases(self) -> Sequence[Phase]:
        game, encoder = super().phases(), list(self.encoder.parameters())
        if self.joint:
            both = [*self.generator.parameters(), *encoder]
            return [game[0], replace(game[1], name="generator and encoder", parameters=both, loss=self._joint_loss)]
        return [
            *(replace(phase, ends=self.game_stage) for phase in game),
            Phase("encoder", encoder, self._regression_loss, optimizer=game[1].optimizer, starts=self.game_stage),
        ]

    def _regression_loss(self, batch: Batch) -> Losses:
        check_rows(batch)
        z = self._noise(len(batch.x))
        with torch.no_grad():
            generated = self._generate(z, batch.context)
        return Losses(self._regression(generated, z, batch.context))

    def _joint_loss(self, batch: Batch) -> Losses:
        check_rows(batch)
        z = self._noise(len(batch.x))
        generated = self._generate(z, batch.context)
        game = generator_loss(self.discriminator(generated, batch.context), self.objective).total
        regression = self._regression(generated, z, batch.context)
        return Losses(game + self.joint_weight * regression, {"generator": game, "encoder": regression})

    def _regression(self, generated: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        """The cross-entropy of the noise under the code of what it generated, in nats a dimension, ()."""
        return F.binary_cross_entropy_with_logits(self.encoder(generated, context), 0.5 * (1 + z))

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(cls, latent_dim=2, hidden=[8, 8])
        yield tiny(Event((2,), Real()))
        yield tiny(Event((4,), Binary()), joint=True)
        yield tiny(Event((1, 2, 2), Levels(4)), objective="minimax", context_event=Event((), Categories(3)))
        yield tiny(Event((1, 4, 4), Real()), network="conv", channels=4, joint=True)
