"""Context encoders (Pathak, Krähenbühl, Donahue, Darrell & Efros 2016, "Context Encoders: Feature Learning by
Inpainting", arXiv:1604.07379).

A region of an image is erased, and a network F predicts it from what surrounds it. M is 1 where pixels are erased; in
their places F sees zeros, in the middle of the values' range (or at the mean of standardised data). Strided
convolutions encode what is left. A channel-wise fully connected layer lets each feature map mix its own places, so that
what is at one border can tell of the other, and a 1x1 convolution the maps. Up-sampled convolutions decode (section
3.1). F descends

    L = (1 - a) L_rec + a L_adv,   L_rec = || M (x - F((1 - M) x)) ||^2,   a = `adversarial`, 0.001 in the paper

(equations 1 and 3), L_rec as a mean over the values that count. These are also the known pixels within `overlap` of the
hole, at ten times the weight, so that the prediction joins its surroundings (section 5.1; 7 of 128 pixels there).
A discriminator D is trained to tell images from predictions (equation 2), and F to be taken for an image, by the
non-saturating form of the authors' code. D does not see M or the surroundings: the seam would give every prediction
away. Of a hole in the `centre` it judges that region and its overlap, of `blocks` all of F's output.

The hole is the middle half of height and width (a quarter of the image), or the union of four blocks at random places
with sides of up to a quarter of the image's, which covers a quarter at most.

Departures: the networks are those of `ancestral.layers.image_networks`, for images of any size, in place of AlexNet's
or of the authors' for 128 pixels; one learning rate for F and D. F outputs whole images, of which holes are cut: of
pixels that are never in a hole or its overlap, as the rim of images with a hole in the `centre`, it predicts nothing of
use. Left out: regions in the shape of objects, which come from another data set. D compares predictions with images
and is no critic of whole observations. For in-painting by likelihood complete images with an autoregressive model.
"""

from collections.abc import Iterable, Sequence
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.interface import (
    Adam,
    Batch,
    Binary,
    Categories,
    Columns,
    Completer,
    Event,
    Features,
    InputError,
    Levels,
    Losses,
    Model,
    Phase,
    QuickSettings,
    Real,
)
from ancestral.layers.conditioning import centred, uncentred
from ancestral.layers.game import discriminator_loss, generator_loss
from ancestral.layers.image_networks import ImageEncoder, initialise, stages, unsupported_image, upsampling_stages
from ancestral.registry import register

REGIONS = ("centre", "blocks")
#: Random blocks in an image, how the longest and the shortest side compare with the image's, and the weight of errors
#: in the overlap.
_BLOCKS, _LONGEST, _SHORTEST, _OVERLAP_WEIGHT = 4, 4, 8, 10.0


class ChannelwiseLinear(nn.Module):
    """A linear map of its own for each feature map, from all of its places to all: channels * places^2 weights in place
    of (channels * places)^2."""

    def __init__(self, channels: int, places: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, places, places) / places**0.5)
        self.bias = nn.Parameter(torch.zeros(channels, places))

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch channels h w"]:
        return (torch.einsum("bcp,cpq->bcq", x.flatten(2), self.weight) + self.bias).view_as(x)


class Inpainter(nn.Module):
    """F: images with zeros where they are erased, on the networks' scale, to whole images."""

    def __init__(self, event: Event, channels: int) -> None:
        super().__init__()
        sizes, widths = stages(event, channels)
        self.encoder = ImageEncoder(event, None, channels)
        places, maps = sizes[-1][0] * sizes[-1][1], widths[-1]
        last = nn.Identity() if isinstance(event.support, Real) else nn.Tanh()
        # The norm that begins the decoder takes a bias of these away.
        across = nn.Conv2d(maps, maps, 1, bias=False)
        self.decoder = nn.Sequential(across, *upsampling_stages(event, channels, "transposed"), last)
        self.decoder.apply(initialise)
        self.between = ChannelwiseLinear(maps, places)

    def forward(self, x: Float[Tensor, "batch colours h w"]) -> Float[Tensor, "batch colours h w"]:
        return self.decoder(self.between(self.encoder.maps(x, None)[-1]))


class Discriminator(nn.Module):
    """D: the logit of being of an image and no prediction, (batch,)."""

    def __init__(self, event: Event, channels: int) -> None:
        super().__init__()
        self.encoder = ImageEncoder(event, None, channels)
        self.logit = nn.Linear(self.encoder.size, 1)
        initialise(self.logit)

    def forward(self, x: Float[Tensor, "batch colours h w"]) -> Float[Tensor, " batch"]:
        return self.logit(self.encoder(x, None)).squeeze(1)


@register("context_encoder")
class ContextEncoder(Completer, Features):
    """Context encoder (Pathak et al. 2016): in-painting of erased regions, and features learned by it.

    Args:
        channels: of the first stage of the convolutions; each further one has twice as many, up to eight times.
        region: what is erased in training, "centre" (the middle half of both sides) or "blocks" (at random places).
        overlap: known pixels around a hole that are predicted too, at ten times the weight.
        adversarial: the weight of the adversarial loss, in [0, 1]; that of the squared error is 1 less it. With 0 there
            is no discriminator.
    """

    completion = "as one prediction, which is of use for holes like those of its training alone"
    predicts = True

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        channels: int = 32,
        region: str = "blocks",
        overlap: int = 2,
        adversarial: float = 0.001,
    ) -> None:
        super().__init__(event, context_event=context_event)
        if region not in REGIONS:
            raise InputError(f"region must be one of {', '.join(REGIONS)}, got {region!r}")
        if channels < 1 or overlap < 0:
            raise InputError(f"channels must be at least 1 and overlap at least 0, got {channels} and {overlap}")
        if not 0 <= adversarial <= 1:
            raise InputError(f"adversarial must be in [0, 1], got {adversarial}")
        self.region, self.overlap, self.adversarial = region, overlap, adversarial
        self.inpainter = Inpainter(event, channels)
        self.discriminator: nn.Module | None = None
        if adversarial:
            judged = Event(tuple(self._judged(torch.zeros(event.shape)).shape), event.support)
            if min(judged.shape[1:]) < 4:
                raise InputError(
                    f"the hole and its overlap are {judged.shape[1]}x{judged.shape[2]} pixels, too few for a"
                    " discriminator; use larger images, a larger overlap, region='blocks' or adversarial=0"
                )
            self.discriminator = Discriminator(judged, channels)

    def phases(self) -> Sequence[Phase]:
        """One step of F, whose loss is monitored, then one of D."""
        adam = Adam(2e-4, betas=(0.5, 0.999))
        phases = [Phase("inpainter", list(self.inpainter.parameters()), self._inpainter_loss, optimizer=adam)]
        if self.discriminator is not None:
            theirs = list(self.discriminator.parameters())
            phases.append(Phase("discriminator", theirs, self._discriminator_loss, optimizer=adam))
        return phases

    def _inpainter_loss(self, batch: Batch) -> Losses:
        x, holes = self._to_networks(batch.x), self._holes(len(batch.x))
        predicted = self._predicted(x, holes)
        rim = self._widened(holes) & ~holes
        weight = holes.to(x) + _OVERLAP_WEIGHT * rim.to(x)
        values = x.shape[1] * (holes | rim).flatten(1).sum(1)
        # The mean over an image's values that count, then over images: each is alone in its own.
        error = ((weight * (x - predicted).square()).flatten(1).sum(1) / values).mean()
        if self.discriminator is None:
            return Losses(error)
        deceived = generator_loss(self.discriminator(self._judged(predicted)), "non_saturating").total
        total = (1 - self.adversarial) * error + self.adversarial * deceived
        return Losses(total, {"squared error": error, "adversarial": deceived})

    def _discriminator_loss(self, batch: Batch) -> Losses:
        assert self.discriminator is not None
        x = self._to_networks(batch.x)
        with torch.no_grad():
            predicted = self._predicted(x, self._holes(len(x)))
        # One pass for each side: batch norm must not mix them.
        real = self.discriminator(self._judged(x))
        return discriminator_loss(real, self.discriminator(self._judged(predicted)))

    # -- Regions -------------------------------------------------------------------------------------------------------

    def _holes(self, n: int) -> Bool[Tensor, "n 1 height width"]:
        """Where `n` images are erased."""
        height, width = self.event.shape[1:]
        if self.region == "centre":
            hole = torch.zeros(1, 1, height, width, dtype=torch.bool, device=self.device)
            hole[:, :, _middle(height), _middle(width)] = True
            return hole.expand(n, -1, -1, -1)
        rows, columns = self._intervals(n, height), self._intervals(n, width)
        return (rows[:, :, :, None] & columns[:, :, None, :]).any(1, keepdim=True)

    def _intervals(self, n: int, side: int) -> Bool[Tensor, "n blocks side"]:
        """Random intervals of places on a side: of every length that there is with the same probability, and then at
        every place."""
        shortest, longest = max(1, side // _SHORTEST), max(1, side // _LONGEST)
        lengths = torch.randint(shortest, longest + 1, (n, _BLOCKS, 1), device=self.device)
        starts = (torch.rand(n, _BLOCKS, 1, device=self.device) * (side - lengths + 1)).long()
        places = torch.arange(side, device=self.device)
        return (places >= starts) & (places < starts + lengths)

    def _widened(self, holes: Bool[Tensor, "n 1 height width"]) -> Bool[Tensor, "n 1 height width"]:
        """The holes and all within `overlap` pixels of them, in rows and in columns."""
        return F.max_pool2d(holes.float(), 2 * self.overlap + 1, stride=1, padding=self.overlap) > 0

    def _judged(self, x: Tensor) -> Tensor:
        """The part of images that D sees."""
        if self.region == "blocks":
            return x
        height, width = (_middle(side, self.overlap) for side in x.shape[-2:])
        return x[..., height, width]

    # -- Predictions ---------------------------------------------------------------------------------------------------

    def _predicted(self, x: Tensor, holes: Tensor) -> Tensor:
        """F of images on the networks' scale, with their holes erased."""
        return self.inpainter(x.masked_fill(holes, 0.0))

    def _complete(self, x: Tensor, known: Tensor, context: Tensor | None) -> Tensor:
        # Where a value may be unknown in one colour alone, zero is in its place in that colour alone.
        predicted = self._predicted(self._to_networks(x), ~known)
        return self.event.support.project(uncentred(predicted, self.event.support, binary=True))

    def _features(self, x: Tensor) -> Tensor:
        """The encoder's last maps of the whole image."""
        return self.inpainter.encoder(self._to_networks(x), None)

    def _to_networks(self, x: Tensor) -> Tensor:
        return centred(x, self.event.support, binary=True)

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if isinstance(event.support, Categories | Columns):
            return "it predicts numbers, of which categories and tables have none of one kind"
        if reason := unsupported_image(event):
            return reason
        return None if context_event is None else "what it is given is the rest of the image, and no context"

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        return QuickSettings({"channels": 16})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(cls, channels=4)
        yield tiny(Event((1, 4, 4), Binary()), overlap=1)
        yield tiny(Event((3, 8, 8), Levels(17)), region="centre", overlap=1, adversarial=0.4)
        yield tiny(Event((1, 5, 4), Real()), overlap=0, adversarial=0.0)


def _middle(side: int, overlap: int = 0) -> slice:
    """The places in the middle half of a side, and so many on either side of them."""
    count = (side + 1) // 2
    start = (side - count) // 2
    return slice(max(0, start - overlap), min(side, start + count + overlap))
