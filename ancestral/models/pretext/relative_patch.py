"""Relative patch position: which of the eight neighbours of a patch is this one?

Doersch, Gupta & Efros 2015, "Unsupervised visual representation learning by context prediction" (arXiv:1505.05192). Two
patches are cut from an image, and a network is to say where the second lies around the first: above left, above, above
right, left, right, below left, below, below right. To tell, it must know what the parts of things are and how they lie.
Both patches go through one network (shared weights, section 3), and layers behind it see both vectors at once (late
fusion); the loss is the cross-entropy of the eight places, in nats per pair.

The first patch lies anywhere where all eight neighbours fit, so that its own place says nothing. What would answer
without any understanding is guarded against as in section 3.1:

* lines and textures that run on across the border: a `gap` between the patches, and a `jitter` of either;
* chromatic aberration, by which a lens shows where in the image a patch is: `colours="project"` takes from each pixel
  the axis from green to magenta a = (-1, 2, -1), x - x a' a / a a'; `colours="drop"` keeps one colour of the three,
  drawn for each patch, and puts in place of the others noise of a hundredth of its deviation.

The representation of an image is that of nine patches, which lie in three rows and columns from border to border: their
vectors side by side. Of an image whose colours were dropped it is the mean over the three colours that may be kept.

Departures: strided convolutions in place of an AlexNet; patches are not made coarse at random, and the mean of each is
not subtracted.
"""

from collections.abc import Iterable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.interface import (
    Adam,
    Batch,
    Binary,
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
from ancestral.layers.conditioning import centred
from ancestral.layers.image_networks import ImageEncoder
from ancestral.layers.mlp import mlp
from ancestral.registry import register

#: Rows and columns from the first patch to the second, by the number of the answer.
NEIGHBOURS = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if (row, column) != (0, 0)]
COLOURS = ("keep", "project", "drop")
#: The axis from green to magenta.
_AXIS = (-1.0, 2.0, -1.0)
#: Of the noise in place of a colour, in deviations of the one that is kept.
_NOISE = 0.01
#: Patches of a row of the representation.
_GRID = 3
#: Pixels of the side of the least patch, and of three of them with two gaps.
_LEAST_PATCH, _LEAST_SIDE = 4, 14


@register("relative_patch")
class RelativePatch(Features):
    """Relative position of patches as a pretext task (Doersch et al. 2015).

    Args:
        patch: side of a patch in pixels; by default a quarter of the image's shorter side.
        gap: pixels between two patches that lie side by side; by default two fifths of what three patches leave free.
        jitter: pixels by which each patch may be moved from its place, up, down, left and right; at most half the gap.
        colours: against chromatic aberration "project" (the default for three colours), "drop", or "keep" as they are.
        pairs: of patches drawn from each image in a step.
        channels: of the first stage of the convolutions; each further one has twice as many, up to eight times.
        features: numbers that represent a patch.
        hidden: widths of the layers that see both patches.
    """

    def __init__(
        self,
        event: Event,
        *,
        patch: int | None = None,
        gap: int | None = None,
        jitter: int | None = None,
        colours: str | None = None,
        pairs: int = 4,
        channels: int = 32,
        features: int = 64,
        hidden: Sequence[int] = (128,),
    ) -> None:
        super().__init__(event)
        side = min(event.shape[1:])
        self.patch = max(_LEAST_PATCH, side // 4) if patch is None else patch
        free = side - 3 * self.patch
        self.gap = max(1, 2 * free // 5) if gap is None else gap
        self.jitter = max(0, min(self.gap // 2, (free - 2 * self.gap) // 2)) if jitter is None else jitter
        self._check_layout()
        self.colours = ("project" if event.shape[0] == 3 else "keep") if colours is None else colours
        if self.colours not in COLOURS:
            raise InputError(f"colours must be one of {', '.join(COLOURS)}, got {colours!r}")
        if self.colours != "keep" and event.shape[0] != 3:
            raise InputError(f"colours={colours!r} is for images of three colours, not {event.shape[0]}; keep them")
        if min(pairs, channels, features) < 1:
            raise InputError(f"pairs, channels and features must be at least 1, got {pairs}, {channels}, {features}")
        self.pairs = pairs
        patches = Event((event.shape[0], self.patch, self.patch), Real())
        self.convolutions = ImageEncoder(patches, None, channels, "batch")
        self.vector = nn.Linear(self.convolutions.size, features)
        self.answer = mlp(2 * features, hidden, len(NEIGHBOURS), "relu")

    def _check_layout(self) -> None:
        if self.patch < _LEAST_PATCH:
            raise InputError(f"patch must be at least {_LEAST_PATCH} pixels, got {self.patch}")
        if self.jitter < 0 or self.gap < 2 * self.jitter:
            raise InputError(
                f"gap must be at least twice the jitter, or patches overlap, got gap={self.gap}, jitter={self.jitter}"
            )
        if self.reach > min(self.event.shape[1:]):
            raise InputError(
                f"patch={self.patch}, gap={self.gap} and jitter={self.jitter} need images of at least {self.reach}"
                f" pixels (three patches, two gaps and the jitter at both ends), not {self.event.shape[1:]}"
            )

    @property
    def reach(self) -> int:
        """Pixels from end to end of a patch and two neighbours, wherever jitter moves them."""
        return 3 * self.patch + 2 * self.gap + 2 * self.jitter

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self._loss, optimizer=Adam(1e-3))]

    def _loss(self, batch: Batch) -> Losses:
        first, second, answers = self.draw_pairs(self._on_scale(batch.x))
        logits = self.logits(self._drawn_colours(first), self._drawn_colours(second))
        accuracy = (logits.detach().argmax(1) == answers).to(logits.dtype).mean()
        return Losses(F.cross_entropy(logits, answers), {"accuracy": accuracy})

    def draw_pairs(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`pairs` of each image, image by image: the first patches, the second ones, (n, colours, patch, patch) each,
        and the numbers of the answers, (n,)."""
        images = images.repeat_interleave(self.pairs, 0)
        n, device = len(images), images.device
        answers = torch.randint(len(NEIGHBOURS), (n,), device=device)
        room = torch.tensor(self.event.shape[1:], device=device) - self.reach + 1
        corner = (torch.rand(n, 2, device=device) * room).long() + self.jitter + self.patch + self.gap
        moved = torch.randint(-self.jitter, self.jitter + 1, (2, n, 2), device=device)
        ways = torch.tensor(NEIGHBOURS, device=device)[answers] * (self.patch + self.gap)
        return self._cut(images, corner + moved[0]), self._cut(images, corner + ways + moved[1]), answers

    def logits(self, first: Tensor, second: Tensor) -> Tensor:
        """Of the eight places of the second patches around the first ones, (n, 8)."""
        vectors = self._vectors(torch.cat([first, second]))
        return self.answer(torch.cat(vectors.chunk(2), dim=1))

    def _vectors(self, patches: Tensor) -> Tensor:
        return F.relu(self.vector(self.convolutions(patches, None)))

    def _cut(self, images: Tensor, corners: Tensor) -> Tensor:
        """The patch of each image whose upper left pixel is at `corners`, (n, 2)."""
        steps = torch.arange(self.patch, device=images.device)
        rows, columns = (corners[:, axis, None] + steps for axis in (0, 1))
        of_image = torch.arange(len(images), device=images.device)[:, None, None]
        return images[of_image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

    def _features(self, x: Tensor) -> Tensor:
        images = self._on_scale(x)
        height, width = (
            torch.linspace(0, side - self.patch, _GRID, device=x.device).round().long() for side in self.event.shape[1:]
        )
        corners = torch.cartesian_prod(height, width)
        patches = self._cut(images.repeat_interleave(len(corners), 0), corners.repeat(len(images), 1))
        if self.colours != "drop":
            return self._vectors(patches).view(len(images), -1)
        kept = torch.eye(3, dtype=x.dtype, device=x.device)[:, :, None, None]
        alone = torch.stack([self._vectors(patches * colour) for colour in kept])
        return alone.mean(0).view(len(images), -1)

    def _on_scale(self, x: Tensor) -> Tensor:
        """Images on [-1, 1] where they are discrete, without the axis of green and magenta where it is taken away."""
        images = centred(x, self.event.support, binary=True)
        if self.colours != "project":
            return images
        axis = torch.tensor(_AXIS, dtype=images.dtype, device=images.device)
        along = torch.einsum("nchw,c->nhw", images, axis) / axis.square().sum()
        return images - along[:, None] * axis[:, None, None]

    def _drawn_colours(self, patches: Tensor) -> Tensor:
        if self.colours != "drop":
            return patches
        kept = torch.randint(3, (len(patches), 1, 1, 1), device=patches.device)
        kept = torch.arange(3, device=patches.device)[:, None, None] == kept
        deviation = (patches * kept).sum(1, keepdim=True).std((2, 3), keepdim=True)
        return torch.where(kept, patches, _NOISE * deviation * torch.randn_like(patches))

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if context_event is not None:
            return "it takes no context"
        if not isinstance(event.support, Binary | Levels | Real):
            return f"it learns from images of levels, bits or reals, not of {event.support}"
        if len(event.shape) != 3:
            return f"it learns from images of shape (colours, height, width), not {event.shape}"
        if min(event.shape[1:]) < _LEAST_SIDE:
            return (
                f"its images are at least {_LEAST_SIDE} pixels high and wide, three patches of {_LEAST_PATCH} pixels"
                f" and two gaps, not {event.shape[1:]}"
            )
        return None

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(cls, channels=2, features=3, hidden=[4], pairs=2)
        yield tiny(Event((3, 20, 22), Levels(5)), patch=4, gap=2, jitter=1)
        yield tiny(Event((1, 14, 14), Binary()))
        yield tiny(Event((3, 14, 16), Real()), colours="drop", pairs=1)

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        return QuickSettings({"channels": 16})
