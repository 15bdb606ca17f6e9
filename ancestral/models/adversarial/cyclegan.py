"""CycleGAN: translation between two domains of images without pairs (Zhu, Park, Isola & Efros 2017, "Unpaired
image-to-image translation using cycle-consistent adversarial networks", arXiv:1703.10593).

G maps X, the first domain, to Y, and F maps Y to X; D_Y and D_X tell translations from the images of a domain. With
least squares in place of equation 1's logarithms (section 4),

    generators      E (D_Y(G(x)) - 1)^2 + E (D_X(F(y)) - 1)^2
                    + cycle_weight (E |F(G(x)) - x|_1 + E |G(F(y)) - y|_1)                          equation 2
                    + identity_weight cycle_weight (E |G(y) - y|_1 + E |F(x) - x|_1)                section 5.2
    discriminators  1/2 (E (D_Y(y) - 1)^2 + E D_Y(y')^2) + the same of D_X

where |.|_1 is the mean over an image's values, and y' comes from a pool of 50 images that G made before. What a critic
of patches says is averaged over the patches. At its optimum a discriminator is p / (p + p_G) (Mao et al. 2017).

Faithful: the residual generator, the patch discriminator, instance norm, the pool, the halved discriminator loss, Adam
with learning rate 2e-4 and beta_1 = 0.5. Departures: the patch is 70 pixels where the image is as large, and otherwise
the largest of 34 and 16 that fits (`patch_layers`); the discriminators learn on translations by generators that have
just been updated; instance norm has a scale and a shift. The paper's batches are of one image a domain, and its rate
falls linearly in the second half; both are left to `batch_size` and `schedule`. The identity loss, which the paper uses
for paintings, is on by default and off at 0. `Real` images leave the generators without tanh.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

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
    QuickSettings,
    Real,
    Translator,
    Unpaired,
)
from ancestral.layers.conditioning import centred, uncentred
from ancestral.layers.translation_networks import PatchDiscriminator, ResidualGenerator, reach
from ancestral.models.adversarial._image_pool import ImagePool
from ancestral.models.adversarial._two_players import unsupported
from ancestral.registry import register

#: The sides from which the smallest discriminator has a map of more than one entry to norm, and the most of its layers.
_LEAST_SIDE, _MOST_LAYERS = 8, 3


def least_squares(judgement: Tensor, target: float) -> Float[Tensor, ""]:
    """E (D - target)^2, over images and their patches."""
    return (judgement - target).square().mean()


@register("cyclegan")
class CycleGAN(Translator):
    """Translates images between two domains that are known without pairs (Zhu et al. 2017).

    Args:
        domains: the names of the two.
        channels: of the generators next to the image; twice as many at each halving of the sides.
        blocks: residual blocks of a generator, at its smallest maps.
        halvings: of the sides in a generator.
        discriminator_channels: after a discriminator's first layer; by default as many as `channels`.
        patch_layers: a discriminator's layers of stride 2: 1 judges patches of 16 pixels, 2 of 34, 3 of 70; by default
            the most that fit the image.
        cycle_weight: how much the way there and back counts, lambda.
        identity_weight: how much it counts, relative to that, that an image of a domain stays as it is in it.
        pool: earlier translations that a discriminator learns on; 0 for the latest alone.
    """

    monitor = None
    batching = Unpaired()

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        domains: Sequence[str] = ("A", "B"),
        channels: int = 64,
        blocks: int = 6,
        halvings: int = 2,
        discriminator_channels: int | None = None,
        patch_layers: int | None = None,
        cycle_weight: float = 10.0,
        identity_weight: float = 0.5,
        pool: int = 50,
    ) -> None:
        super().__init__(event, context_event=context_event)
        if len(domains) != 2 or domains[0] == domains[1] or not all(domains):
            raise InputError(f"domains must be the names of two different domains, got {list(domains)}")
        sides, width = event.shape[1:], channels if discriminator_channels is None else discriminator_channels
        if min(channels, width) < 1 or min(blocks, halvings) < 0:
            raise InputError(
                "channels and discriminator_channels must be at least 1, blocks and halvings at least 0, got"
                f" {channels}, {width}, {blocks} and {halvings}"
            )
        if min(sides) <= 2**halvings:
            raise InputError(f"halvings={halvings} leaves less than 2 pixels of images of {sides}; take fewer")
        fitting = [layers for layers in range(1, _MOST_LAYERS + 1) if reach(layers) <= min(sides)]
        layers = max(fitting, default=1) if patch_layers is None else patch_layers
        if layers < 1 or min(sides) < 4 * 2**layers:
            raise InputError(f"patch_layers={layers} does not fit images of {sides}: at least 1, each halves the sides")
        if not 0 <= cycle_weight < math.inf or not 0 <= identity_weight < math.inf:
            raise InputError(
                f"cycle_weight and identity_weight must be numbers of at least 0, got"
                f" {cycle_weight} and {identity_weight}"
            )
        self._domains = (str(domains[0]), str(domains[1]))
        self.cycle_weight, self.identity_weight = cycle_weight, identity_weight
        end = nn.Identity() if isinstance(event.support, Real) else nn.Tanh()
        #: By the domain that they lead to, and judge.
        self.generators = nn.ModuleList(
            ResidualGenerator(event.shape[0], channels, blocks, halvings, end) for _ in range(2)
        )
        self.discriminators = nn.ModuleList(PatchDiscriminator(event.shape[0], width, layers) for _ in range(2))
        self.pools = nn.ModuleList(ImagePool(pool, event.shape) for _ in range(2))

    @property
    def domains(self) -> tuple[str, str]:
        return self._domains

    def training_state(self) -> Mapping[str, Tensor]:
        """The pools."""
        return dict(self.pools.named_buffers(prefix="pools"))

    def phases(self) -> Sequence[Phase]:
        """A step of both generators together, then one of both discriminators."""
        adam = Adam(2e-4, betas=(0.5, 0.999))
        players = {"generators": self._generators_loss, "discriminators": self._discriminators_loss}
        return [
            Phase(name, list(getattr(self, name).parameters()), loss, optimizer=adam) for name, loss in players.items()
        ]

    def _generators_loss(self, batch: Batch) -> Losses:
        real = self._by_domain(batch)
        parts = dict.fromkeys(("adversarial", "cycle", "identity"), batch.x.new_zeros(()))
        for here, there in ((0, 1), (1, 0)):
            translated = self.generators[there](real[here])
            back = self.generators[here](translated)
            parts["adversarial"] = parts["adversarial"] + least_squares(self.discriminators[there](translated), 1.0)
            parts["cycle"] = parts["cycle"] + F.l1_loss(back, real[here])
            if self.identity_weight:
                parts["identity"] = parts["identity"] + F.l1_loss(self.generators[here](real[here]), real[here])
        total = parts["adversarial"] + self.cycle_weight * (parts["cycle"] + self.identity_weight * parts["identity"])
        return Losses(total, parts)

    def _discriminators_loss(self, batch: Batch) -> Losses:
        real = self._by_domain(batch)
        parts = dict.fromkeys(("real", "fake"), batch.x.new_zeros(()))
        for here, there in ((0, 1), (1, 0)):
            with torch.no_grad():
                translated = self.generators[there](real[here])
            judge, pool = self.discriminators[there], self.pools[there]
            assert isinstance(pool, ImagePool)
            parts["real"] = parts["real"] + least_squares(judge(real[there]), 1.0)
            parts["fake"] = parts["fake"] + least_squares(judge(pool.exchange(translated)), 0.0)
        return Losses(0.5 * (parts["real"] + parts["fake"]), parts)

    def _by_domain(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The images of the two domains, on the networks' scale."""
        if batch.y is None:
            raise InputError(f"the rows of {self.domains[0]} are labelled 0 and those of {self.domains[1]} 1, got none")
        x = self._to_networks(batch.x)
        first, second = x[batch.y == 0], x[batch.y == 1]
        if min(len(first), len(second)) == 0:
            raise InputError(
                f"a batch has {len(first)} images of {self.domains[0]} and {len(second)} of {self.domains[1]}, and"
                " needs some of each: take a larger batch_size, or a smaller accumulate"
            )
        return first, second

    def _to_networks(self, x: Tensor) -> Tensor:
        return centred(x, self.event.support, binary=True)

    def _translate(self, x: Tensor, to: str) -> Tensor:
        translated = self.generators[self.domains.index(to)](self._to_networks(x))
        return uncentred(translated, self.event.support, binary=True)

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if reason := unsupported(event):
            return reason
        if len(event.shape) != 3:
            return f"it translates images of shape (channels, height, width), not {event.shape}"
        if min(event.shape[1:]) < _LEAST_SIDE:
            return f"its images are at least {_LEAST_SIDE} pixels high and wide, not {event.shape[1:]}"
        return None if context_event is None else "a translation is of an image alone, without a context"

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        small = max(event.shape[1:]) <= 64
        training = {"batch_size": 16 if small else 2, "preview_every": 1}
        return QuickSettings({"channels": 16, "blocks": 3} if small else {"channels": 32}, training)

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(cls, channels=2, blocks=1, halvings=1, pool=3)
        yield tiny(Event((1, 8, 8), Binary()), domains=("day", "night"))
        yield tiny(Event((3, 9, 12), Levels(256)), identity_weight=0.0)
        yield tiny(Event((1, 8, 9), Real()), halvings=2)
