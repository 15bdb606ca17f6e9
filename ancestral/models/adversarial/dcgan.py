"""Deep convolutional generative adversarial networks.

Radford, Metz & Chintala 2016, "Unsupervised representation learning with deep convolutional generative adversarial
networks" (arXiv:1511.06434). The game of `gan.py` between convolutional networks, by the guidelines of section 3:
strided convolutions in place of pooling, batch norm in both networks except at the generator's output and the
discriminator's input, ReLU in the generator and tanh at its end, leaky ReLU (0.2) in the discriminator, weights from
N(0, 0.02^2), Adam with learning rate 2e-4 and beta_1 = 0.5 (section 4).

Departures: images of any sides from 4 pixels on, by halving (rounded up) down to at most 7; kernels of 4 pixels, a
multiple of the stride; up-sampling also by interpolation; no tanh for `Real` images; other norms in the discriminator,
and a penalty of its slope, where these are asked for.
"""

from collections.abc import Iterable
from functools import partial

from ancestral.interface import Binary, Categories, Event, InputError, Levels, Model, QuickSettings, Real
from ancestral.layers.image_networks import unsupported_image
from ancestral.models.adversarial._networks import ImageDiscriminator, image_generator
from ancestral.models.adversarial._two_players import GoodfellowModel, unsupported
from ancestral.registry import register


@register("dcgan")
class DCGAN(GoodfellowModel):
    """Deep convolutional generative adversarial network for images (Radford et al. 2016).

    Args:
        latent_dim: dimensions of the noise z.
        channels: channels next to the image; twice as many at each halving of the sides, eight times at most.
        upsampling: "transposed" (learned), "nearest" or "bilinear".
        norm: in the discriminator: "batch" as in the paper, "layer", "instance" or "none".
        objective: the generator's, "non_saturating" or "minimax".
        real_label: what the discriminator is to answer for real data in training; 1, or slightly less to smooth it.
        penalty: weight gamma of half the discriminator's mean squared slope at real data (R1, Mescheder et al. 2018);
            0 as in the paper, and above it with another norm than "batch".
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        latent_dim: int = 100,
        channels: int = 64,
        upsampling: str = "transposed",
        norm: str = "batch",
        objective: str = "non_saturating",
        real_label: float = 1.0,
        penalty: float = 0.0,
    ) -> None:
        super().__init__(event, context_event, latent_dim, objective, real_label, penalty)
        if channels < 1:
            raise InputError(f"channels must be at least 1, got {channels}")
        if penalty and norm == "batch":
            raise InputError("norm 'batch' mixes rows, and the penalty is of each row alone; use 'layer' or 'none'")
        self.generator = image_generator(event, latent_dim + self.condition.size, channels, upsampling)
        self.discriminator = ImageDiscriminator(event, context_event, channels, norm)

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        return unsupported(event) or unsupported_image(event)

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        if event.size <= 256:
            return QuickSettings({"latent_dim": 32, "channels": 32, "upsampling": "nearest"})
        return QuickSettings({"latent_dim": 64, "channels": 24})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(cls, latent_dim=2, channels=4)
        yield tiny(Event((1, 8, 8), Binary()))
        yield tiny(Event((3, 5, 6), Levels(256)), upsampling="nearest")
        yield tiny(Event((1, 4, 4), Real()), upsampling="bilinear", objective="minimax")
        yield tiny(Event((1, 4, 4), Levels(17)), context_event=Event((), Categories(3)))
        yield tiny(Event((1, 4, 4), Real()), norm="none", penalty=1.0)
