"""Wasserstein generative adversarial networks: with clipped weights, and with a gradient penalty.

Arjovsky, Chintala & Bottou 2017, "Wasserstein GAN" (arXiv:1701.07875). In place of a discriminator a critic f looks
for the supremum in the dual form of the distance (equation 2),

    W(p_data, p_G) = sup_{|f|_L <= 1} E_data[f(x)] - E_z[f(G(z))],

over functions that change by at most the distance of their arguments, and G descends -E f(G(z)). After each of the
critic's steps its weights are clipped to [-c, c] (algorithm 1), so that f is Lipschitz with some constant, and the
difference of the means estimates a multiple of W. RMSProp at 5e-5, c = 0.01, five critic steps to one of G.

Gulrajani et al. 2017, "Improved training of Wasserstein GANs" (arXiv:1704.00028). In place of clipping the critic
pays for every slope that is not 1 (equation 3),

    lambda E[(|grad f(x^)|_2 - 1)^2],    x^ = u x + (1 - u) G(z),    u ~ U(0, 1) for each row,

and the difference of the means estimates W itself. Adam at 1e-4 with betas (0, 0.9), lambda = 10; the penalty is of
each row alone, so the critic has no batch norm (section 4). It is computed in full precision under autocast, too.

Both on the scale that the networks see: levels on [-1, 1], standardised real data. Departures: Gaussian noise;
convolutions by the guidelines of `dcgan.py`, or perceptrons; the critic's last layer has no bias, which differences
of f cannot learn; weights are clipped from the start on.
"""

import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

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
    QuickSettings,
    Real,
    RMSProp,
)
from ancestral.layers.image_networks import unsupported_image
from ancestral.layers.mlp import check_widths
from ancestral.layers.observation_networks import NetworkSettings
from ancestral.models.adversarial._networks import (
    Discriminator,
    ImageDiscriminator,
    VectorDiscriminator,
    image_generator,
    vector_generator,
)
from ancestral.models.adversarial._two_players import TwoPlayerModel, unsupported
from ancestral.registry import register


def gradient_penalty(
    critic: Discriminator,
    real: Float[Tensor, "batch *event"],
    fake: Float[Tensor, "batch *event"],
    context: Tensor | None,
) -> Float[Tensor, ""]:
    """E[(|grad f(x^)|_2 - 1)^2], x^ uniform on the line between each real row and its generated one (equation 3)."""
    share = torch.rand(len(real), *[1] * (real.dim() - 1), dtype=real.dtype, device=real.device)
    between = torch.lerp(fake.to(real.dtype), real, share)
    return (critic.slopes(between, context) - 1).square().mean()


class WassersteinModel(TwoPlayerModel):
    """A generator against a critic, whose output is a potential. A subclass says how it is kept Lipschitz."""

    def __init__(
        self,
        event: Event,
        context_event: Event | None,
        *,
        latent_dim: int,
        hidden: Sequence[int],
        critic_hidden: Sequence[int],
        network: str,
        channels: int,
        upsampling: str,
        norm: str,
        critic_steps: int,
    ) -> None:
        super().__init__(event, context_event, latent_dim)
        NetworkSettings(network, hidden, channels).check(event)
        check_widths(critic_hidden, "critic_hidden")
        if critic_steps < 1:
            raise InputError(f"critic_steps must be at least 1, got {critic_steps}")
        self.critic_steps = critic_steps
        inputs = latent_dim + self.condition.size
        self.critic: Discriminator
        if network == "conv":
            self.generator = image_generator(event, inputs, channels, upsampling)
            self.critic = ImageDiscriminator(event, context_event, channels, norm, bias=False)
        else:
            self.generator = vector_generator(event, inputs, hidden)
            self.critic = VectorDiscriminator(event, context_event, critic_hidden, bias=False)

    @property
    def _judge(self) -> Discriminator:
        return self.critic

    @property
    def criticism(self) -> Literal["potential"]:
        return "potential"

    @abstractmethod
    def _critic_loss(self, batch: Batch) -> Losses: ...

    def _sides(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Real and generated observations on the networks' scale, without gradients."""
        with torch.no_grad():
            return self._to_networks(batch.x), self._generate(self._noise(len(batch.x)), batch.context)

    def _distance(self, real: Tensor, fake: Tensor, context: Tensor | None) -> Tensor:
        """The critic's estimate E f(x) - E f(G(z)); one pass for each side, as batch norm must not mix them."""
        return self.critic(real, context).mean() - self.critic(fake, context).mean()

    def _generator_loss(self, batch: Batch) -> Losses:
        return Losses(-self._judged(batch).mean())

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        return unsupported(event)

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        if len(event.shape) == 3 and unsupported_image(event) is None:
            return QuickSettings({"network": "conv", "latent_dim": 32, "channels": 24, "upsampling": "nearest"})
        return QuickSettings({"latent_dim": 8, "hidden": [128, 128], "critic_hidden": [128, 128]})


@register("wgan")
class WGAN(WassersteinModel):
    """Wasserstein generative adversarial network with clipped weights (Arjovsky et al. 2017).

    Args:
        latent_dim: dimensions of the noise z.
        hidden: widths of the generator's hidden layers, of the network "mlp".
        critic_hidden: widths of the critic's.
        network: "mlp", or "conv" for images.
        channels: of the convolutions next to the image; twice as many at each halving of the sides, up to eight times.
        upsampling: of the convolutions: "transposed" (learned), "nearest" or "bilinear".
        norm: in the convolutional critic: "batch", "layer", "instance" or "none".
        critic_steps: steps of the critic to one of the generator.
        clip: the critic's weights stay in [-clip, clip].
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        latent_dim: int = 100,
        hidden: Sequence[int] = (256, 256),
        critic_hidden: Sequence[int] = (256, 256),
        network: str = "mlp",
        channels: int = 64,
        upsampling: str = "transposed",
        norm: str = "batch",
        critic_steps: int = 5,
        clip: float = 0.01,
    ) -> None:
        super().__init__(
            event,
            context_event,
            latent_dim=latent_dim,
            hidden=hidden,
            critic_hidden=critic_hidden,
            network=network,
            channels=channels,
            upsampling=upsampling,
            norm=norm,
            critic_steps=critic_steps,
        )
        if not 0 < clip < math.inf:
            raise InputError(f"clip must be a finite number above 0, got {clip}")
        self.clip = clip
        self._clip_weights()

    def phases(self) -> Sequence[Phase]:
        critic, generator = list(self.critic.parameters()), list(self.generator.parameters())
        rms_prop = RMSProp(5e-5)
        return [
            Phase("critic", critic, self._critic_loss, optimizer=rms_prop, after_step=self._clip_weights),
            Phase("generator", generator, self._generator_loss, every=self.critic_steps, optimizer=rms_prop),
        ]

    def _critic_loss(self, batch: Batch) -> Losses:
        distance = self._distance(*self._sides(batch), batch.context)
        return Losses(-distance, {"distance": distance})

    @torch.no_grad()
    def _clip_weights(self) -> None:
        for weight in self.critic.parameters():
            weight.clamp_(-self.clip, self.clip)

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(cls, latent_dim=2, hidden=[8], critic_hidden=[8], channels=4, clip=0.1)
        yield tiny(Event((2,), Real()))
        yield tiny(Event((4,), Binary()), critic_steps=1)
        yield tiny(Event((1, 2, 2), Levels(4)), context_event=Event((), Categories(3)))
        yield tiny(Event((1, 4, 4), Real()), network="conv", upsampling="nearest")
        yield tiny(Event((1, 5, 4), Levels(17)), network="conv", context_event=Event((), Categories(3)))


@register("wgan_gp")
class WGANGP(WassersteinModel):
    """Wasserstein generative adversarial network with a gradient penalty (Gulrajani et al. 2017).

    Args:
        latent_dim: dimensions of the noise z.
        hidden: widths of the generator's hidden layers, of the network "mlp".
        critic_hidden: widths of the critic's.
        network: "mlp", or "conv" for images.
        channels: of the convolutions next to the image; twice as many at each halving of the sides, up to eight times.
        upsampling: of the convolutions: "transposed" (learned), "nearest" or "bilinear".
        norm: in the convolutional critic: "layer", "instance" or "none".
        critic_steps: steps of the critic to one of the generator.
        penalty: weight lambda of the gradient penalty.
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        latent_dim: int = 100,
        hidden: Sequence[int] = (256, 256),
        critic_hidden: Sequence[int] = (256, 256),
        network: str = "mlp",
        channels: int = 64,
        upsampling: str = "transposed",
        norm: str = "layer",
        critic_steps: int = 5,
        penalty: float = 10.0,
    ) -> None:
        if norm == "batch":
            raise InputError("norm 'batch' mixes rows, and the penalty is of each row alone; use 'layer' or 'none'")
        super().__init__(
            event,
            context_event,
            latent_dim=latent_dim,
            hidden=hidden,
            critic_hidden=critic_hidden,
            network=network,
            channels=channels,
            upsampling=upsampling,
            norm=norm,
            critic_steps=critic_steps,
        )
        if not 0 < penalty < math.inf:
            raise InputError(f"penalty must be a finite number above 0, got {penalty}")
        self.penalty = penalty

    def phases(self) -> Sequence[Phase]:
        critic, generator = list(self.critic.parameters()), list(self.generator.parameters())
        adam = Adam(1e-4, betas=(0.0, 0.9))
        return [
            Phase("critic", critic, self._critic_loss, optimizer=adam),
            Phase("generator", generator, self._generator_loss, every=self.critic_steps, optimizer=adam),
        ]

    def _critic_loss(self, batch: Batch) -> Losses:
        real, fake = self._sides(batch)
        distance = self._distance(real, fake, batch.context)
        penalty = gradient_penalty(self.critic, real, fake, batch.context)
        return Losses(self.penalty * penalty - distance, {"distance": distance, "penalty": penalty})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(cls, latent_dim=2, hidden=[8], critic_hidden=[8], channels=4)
        yield tiny(Event((2,), Real()))
        yield tiny(Event((4,), Binary()), critic_steps=1)
        yield tiny(Event((1, 2, 2), Levels(4)), context_event=Event((), Categories(3)))
        yield tiny(Event((1, 4, 4), Real()), network="conv", upsampling="nearest", norm="none")
        yield tiny(Event((1, 5, 4), Levels(17)), network="conv", context_event=Event((), Categories(3)))
