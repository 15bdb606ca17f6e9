"""Bidirectional generative adversarial networks.

Donahue, Krähenbühl & Darrell 2017, "Adversarial feature learning" (arXiv:1605.09782). A generator G maps z to x, an
encoder E maps x to z, and a discriminator of pairs tells (x, E(x)) with x from the data from (G(z), z) with z from the
prior. They play (equations 2 and 3)

    min_{G, E} max_D V(D, E, G) = E_data[ln D(x, E(x))] + E_z[ln(1 - D(G(z), z))].

The best D is the share of the encoder's pairs in the sum of both laws of pairs (proposition 1), where V is
-ln 4 + 2 JS of the two (proposition 2). At the optimum of all three both laws are one, and G and E are each other's
inverse almost everywhere (theorem 2), although no loss compares x with G(E(x)).

Each step is one step of D, then one of G and E together, on noise of its own. G and E either descend V ("minimax"), or
minimise the cross-entropy of exchanged labels ("non_saturating", the "inverse" objective of section 3.4),

    -E_data[ln(1 - D(x, E(x)))] - E_z[ln D(G(z), z)].

Departures: the steps alternate, where the paper takes them at once for speed; D has layer norm in place of batch norm,
with which its logit in training would be another function than afterwards; no decay of weights (2.5e-5 there); the
generalisation to two resolutions (section 3.5) is left out. The paper's baselines are `latent_regressor`, `gan` and
`autoencoder`.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from ancestral.interface import (
    Adam,
    Batch,
    Binary,
    Categories,
    Critic,
    Event,
    Levels,
    Losses,
    Model,
    Phase,
    Real,
)
from ancestral.layers.conditioning import FlatContext
from ancestral.layers.game import discriminator_loss, generator_loss
from ancestral.layers.image_networks import ImageEncoder
from ancestral.layers.mlp import activation
from ancestral.layers.observation_networks import NetworkSettings
from ancestral.models.adversarial._bidirectional import BidirectionalModel, check_rows
from ancestral.models.adversarial._two_players import check_objective
from ancestral.registry import register

#: Observations, on the networks' scale, and latents.
Pair: TypeAlias = tuple[Tensor, Tensor]


class JointDiscriminator(nn.Module):
    """The logit of a pair (x, z) being the encoder's, (batch,); x is on the networks' scale.

    At every layer after that next to the data a linear map of z is added to the activation's input (section 4).
    Convolutions see x alone, and layers of the widths `hidden` follow them for z.
    """

    def __init__(self, event: Event, context_event: Event | None, latent_dim: int, networks: NetworkSettings) -> None:
        super().__init__()
        self.images: ImageEncoder | None = None
        if networks.network == "conv":
            self.images = ImageEncoder(event, context_event, networks.channels, "layer")
            widths = [self.images.size, *networks.hidden]
        else:
            widths = list(networks.hidden)
            self.condition = FlatContext(context_event)
            self.first = nn.Linear(event.size + self.condition.size, widths[0])
        self.layers = nn.ModuleList(nn.Linear(width, wider) for width, wider in pairwise(widths))
        self.latent_layers = nn.ModuleList(nn.Linear(latent_dim, wider, bias=False) for wider in widths[1:])
        self.norms = nn.ModuleList(nn.LayerNorm(wider, elementwise_affine=False) for wider in widths[1:])
        self.activation = activation("leaky_relu")
        self.logit = nn.Linear(widths[-1], 1)

    def forward(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        if self.images is not None:
            h = self.images(x, context)
        else:
            h = self.activation(self.first(self.condition(x.flatten(1), context)))
        for layer, latent_layer, norm in zip(self.layers, self.latent_layers, self.norms, strict=True):
            h = self.activation(norm(layer(h) + latent_layer(z)))
        return self.logit(h).squeeze(1)


@register("bigan")
class BiGAN(BidirectionalModel, Critic):
    """Bidirectional generative adversarial network (Donahue et al. 2017).

    Args:
        latent_dim: dimensions of z.
        hidden: widths of the hidden layers of encoder and discriminator, at least two; the generator has them in
            reverse order.
        network: "mlp", or "conv" for images.
        channels: of the first stage of the convolutions.
        objective: of generator and encoder, "non_saturating" or "minimax".
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
    ) -> None:
        networks = NetworkSettings(network, hidden, channels)
        super().__init__(event, context_event, latent_dim)
        check_objective(objective)
        self.objective = objective
        self._build_networks(networks)
        self.discriminator = JointDiscriminator(event, context_event, latent_dim, networks)

    def phases(self) -> Sequence[Phase]:
        both = [*self.generator.parameters(), *self.encoder.parameters()]
        adam = Adam(2e-4, betas=(0.5, 0.999))
        return [
            Phase("discriminator", list(self.discriminator.parameters()), self._discriminator_loss, optimizer=adam),
            Phase("generator and encoder", both, self._inverse_loss, optimizer=adam),
        ]

    def _pairs(self, batch: Batch) -> tuple[Pair, Pair]:
        """(x, E(x)) and (G(z), z), x on the networks' scale."""
        x, z = self._to_networks(batch.x), self._noise(len(batch.x))
        return (x, self._code(x, batch.context)), (self._generate(z, batch.context), z)

    def _logits(self, pairs: tuple[Pair, Pair], context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Of the encoder's pairs and of the generator's, (batch,) each."""
        (x, code), (generated, z) = pairs
        return self.discriminator(x, code, context), self.discriminator(generated, z, context)

    def _discriminator_loss(self, batch: Batch) -> Losses:
        check_rows(batch)
        with torch.no_grad():
            pairs = self._pairs(batch)
        return discriminator_loss(*self._logits(pairs, batch.context))

    def _inverse_loss(self, batch: Batch) -> Losses:
        check_rows(batch)
        encoded, generated = self._logits(self._pairs(batch), batch.context)
        # What G does to the logit of its pairs, E does to minus that of its own.
        encoder, generator = (generator_loss(logit, self.objective).total for logit in (-encoded, generated))
        return Losses(encoder + generator, {"encoder": encoder, "generator": generator})

    @property
    def criticism(self) -> Literal["logit"]:
        return "logit"

    def _criticise(self, x: Tensor, context: Tensor | None) -> Tensor:
        """D(x, E(x)): the logit of x with its own code. Where E is the inverse of G both laws of pairs lie on the one
        set of (x, E(x)), and the best D is there p_data(x) / (p_data(x) + p_G(x))."""
        x = self._to_networks(x)
        return self.discriminator(x, self._code(x, context), context)

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(cls, latent_dim=2, hidden=[8, 8])
        yield tiny(Event((2,), Real()))
        yield tiny(Event((4,), Binary()))
        yield tiny(Event((1, 2, 2), Levels(4)), objective="minimax")
        yield tiny(Event((2,), Real()), context_event=Event((), Categories(3)))
        yield tiny(Event((1, 4, 4), Levels(17)), network="conv", channels=4)
