"""PixelCNN with auxiliary variables (Kolesnikov & Lampert 2017, "PixelCNN Models with Auxiliary Variables for Natural
Image Modeling", arXiv:1612.08185).

An image is generated in stages: first a view of it that leaves out detail, then the image given the view. The view is a
function v of the image: its grey in 4 bits a pixel ("Grayscale PixelCNN", section 3.1), or its pyramid of lower
resolutions, each generated given the one below ("Pyramid PixelCNN", section 3.2). Since p(x) sums over all views,

    ln p(x) >= ln p(v(x)) + ln p(x | v(x)),

which is what training raises and what scores report. Nothing of the bound is random; it is loose by what p gives to an
x together with views that are not its own. A draw takes a view first, then an image given it, whose own view may so be
another. How the bound divides among the stages says where the bits of an image are: in its details.

The views are latents, and exact codes: `encode` and `decode` draw details anew for the view of an image.

Faithful: views, stages and bound; the first stage a PixelCNN++, each later one a PixelCNN++ given feature maps of the
view, which gated residual convolutions make at the view's own resolution, and a transposed convolution lays on a larger
image. Ours: the later ones are short and at one resolution, as the authors' colorizer is (Royer et al. 2017), and the
maps enter each layer as there, through a 1x1 convolution in the place of a short-cut, where the paper adds them before
the gate (its equation 5); a level of a lower resolution is the mean of a 2x2 block, rounded; a context enters the first
stage as it does in PixelCNN++, and is added to the maps of the others.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ancestral.distributions import Delta
from ancestral.interface import (
    Batch,
    Binary,
    BoundedDensity,
    Encoder,
    Event,
    InputError,
    JointDensity,
    Levels,
    Losses,
    Model,
    Phase,
    QuickSettings,
    Real,
    Sampler,
    StagedDensity,
)
from ancestral.layers.conditioning import FlatContext
from ancestral.layers.image_embedding import ImageEmbedding
from ancestral.layers.resampling import Upsample
from ancestral.layers.shifted import ShiftedStack
from ancestral.layers.shifted_model import ShiftedModel
from ancestral.models.autoregressive.pixelcnn_pp import PixelCNNPlusPlus
from ancestral.registry import register
from ancestral.views import grey_view, half_view

_VIEWS = ("auto", "grey", "pyramid")
#: Without a number of scales, images are halved until no side is longer.
_SMALL = 8


@register("hierarchical_pixelcnn")
class HierarchicalPixelCNN(Sampler, BoundedDensity, StagedDensity, JointDensity, Encoder):
    """PixelCNN with auxiliary variables: a grey or low-resolution view of the image first, then the image given it.

    Args:
        view: "grey" of colour images, "pyramid" of lower resolutions; "auto" takes grey where there are colours.
        levels: of the grey view; of images that have fewer as many as these.
        scales: resolutions below the image's own in a pyramid; by default until no side is longer than 8 pixels.
        channels: feature maps of each stage.
        view_channels: the same of the first stage, the one without a view; None: as many.
        blocks: gated layers of each stage; of the first one at each of its resolutions on the way down.
        view_scales: resolutions within the first stage's network, each half of the one before.
        dilations: of the gated blocks by which the other stages see the view, one each.
        components: of the mixture of a pixel.
        dropout: probability of dropping an activation within each gated layer.
    """

    total_weight = "at most one"

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        view: str = "auto",
        levels: int = 16,
        scales: int | None = None,
        channels: int = 32,
        view_channels: int | None = None,
        blocks: int = 2,
        view_scales: int = 2,
        dilations: Sequence[int] = (1, 1, 2, 2, 4),
        components: int = 10,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(event, context_event=context_event)
        if view not in _VIEWS:
            raise InputError(f"view must be one of {', '.join(_VIEWS)}, got {view!r}")
        if view == "grey" and not _has_grey(event):
            raise InputError(
                f"a grey view is of images of 3 colours in levels, got {event.support} of the shape {event.shape}; take"
                " view='pyramid'"
            )
        if min(channels, blocks, *dilations) < 1 or (scales is not None and scales < 1):
            raise InputError(
                "channels, blocks, scales and each of the dilations must be at least 1,"
                f" got {channels}, {blocks}, {scales} and {list(dilations)}"
            )
        self.view = "grey" if view != "pyramid" and _has_grey(event) else "pyramid"
        self.levels = min(levels, event.values or 0)
        self.scales = 1 if self.view == "grey" else _scales(event, scales)
        #: The event of each stage, the first view first and the image last.
        self.events = [found for _, found in self._views(torch.zeros(1, *event.shape))]
        self.context = FlatContext(context_event)
        self.first = PixelCNNPlusPlus(
            self.events[0],
            context_event=context_event,
            channels=view_channels or channels,
            blocks=blocks,
            scales=view_scales,
            components=components,
            dropout=dropout,
        )
        self.later = nn.ModuleList(
            _Given(given, made, channels, blocks, dilations, components, dropout, self.context.size)
            for given, made in zip(self.events, self.events[1:])
        )

    def phases(self) -> Sequence[Phase]:
        def loss(batch: Batch) -> Losses:
            parts = -self._stage_log_probs(batch.x, batch.context).mean(1)
            return Losses(parts.sum(), dict(zip(self.stages, parts.detach(), strict=True)))

        return [Phase("model", list(self.parameters()), loss)]

    @property
    def stages(self) -> tuple[str, ...]:
        """The views, the first one first, and what they leave open of the image."""
        return (*self.latent_shapes, "details")

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The views by name: grey, or their height and width."""
        views = self.events[:-1]
        return {"grey" if self.view == "grey" else f"{e.shape[1]}x{e.shape[2]}": e.shape for e in views}

    def _views(self, x: Tensor) -> list[tuple[Tensor, Event]]:
        """The views of images, the first one first, and the images themselves; with their events."""
        if self.view == "grey":
            grey, event = grey_view(x.long(), self.event, self.levels)
            return [(grey.to(x), event), (x, self.event)]
        found = [(x, self.event)]
        for _ in range(self.scales):
            found.append(half_view(*found[-1]))
        return found[::-1]

    def _stage_log_probs(self, x: Tensor, context: Tensor | None) -> Tensor:
        return torch.stack(self._log_probs([values for values, _ in self._views(x)], context))

    def _log_probs(self, values: Sequence[Tensor], context: Tensor | None) -> list[Tensor]:
        """ln p of each of the first stages given the one before, (batch,) each."""
        found, vector = [self.first._log_prob(values[0], context)], self._vector(len(values[0]), context)
        for network, view, own in zip(self.later, values, values[1:]):
            assert isinstance(network, _Given)
            found.append(network._log_prob(own, network.maps(view, vector)))
        return found

    def _vector(self, n: int, context: Tensor | None) -> Tensor | None:
        return None if context is None else self.context.vector(n, context, like=self._reference)

    def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        return self._stage_log_probs(x, context).sum(0).expand(samples, -1)

    def _encode(self, x: Tensor, context: Tensor | None) -> Delta:
        return Delta(torch.cat([view.flatten(1) for view, _ in self._views(x)[:-1]], dim=1))

    def _log_prior(self, z: Tensor, context: Tensor | None) -> Tensor:
        return torch.stack(self._log_probs(list(self.split_latents(z).values()), context)).sum(0)

    def _log_likelihood(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        network = self._last
        return network._log_prob(x, network.maps(self._last_view(z), self._vector(len(z), context)))

    @property
    def _last(self) -> "_Given":
        network = self.later[-1]
        assert isinstance(network, _Given)
        return network

    def _last_view(self, z: Tensor) -> Tensor:
        return list(self.split_latents(z).values())[-1]

    def _sample_latent(self, name: str, parents: Mapping[str, Tensor], n: int, context: Tensor | None) -> Tensor:
        if not parents:
            return self.first._draw(n, context)
        network = self.later[len(parents) - 1]
        assert isinstance(network, _Given)
        return network.draw(list(parents.values())[-1], self._vector(n, context))

    def _decode(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self._last.draw(self._last_view(z), self._vector(len(z), context))

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        views: dict[str, Tensor] = {}
        for name in self.latent_shapes:
            views[name] = self._sample_latent(name, views, n, context)
        return self._decode(self.join_latents(views), context)

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if reason := ShiftedModel.supports(event):
            return reason
        if not _has_grey(event) and min(event.shape[1:]) < 2:
            return (
                f"an image of {event.shape[1]}x{event.shape[2]} pixels is too small for a pyramid, and has no colours"
                " for a grey view"
            )
        return None

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        return QuickSettings({"channels": 16, "dilations": [1, 2, 4], "components": 5}, {"lr": 3e-3})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        small: dict[str, Any] = {"channels": 4, "blocks": 1, "view_scales": 1, "dilations": [1], "components": 2}
        yield cls(Event((3, 2, 2), Levels(2)), **small)
        yield cls(Event((1, 3, 3), Binary()), **small)
        yield cls(Event((3, 2, 2), Levels(4)), context_event=Event((), Levels(3)), levels=2, dropout=0.2, **small)
        yield cls(Event((1, 5, 5), Levels(2)), scales=2, **small)


class _Given(ShiftedModel):
    """A short PixelCNN++ of one stage given feature maps of the `view` before it, which are its context."""

    def __init__(
        self,
        view: Event,
        event: Event,
        channels: int,
        blocks: int,
        dilations: Sequence[int],
        components: int,
        dropout: float,
        context_size: int,
    ) -> None:
        sides, same = (event.shape[1], event.shape[2]), view.shape[1:] == event.shape[1:]
        super().__init__(event, context_event=Event((channels, *sides), Real()))
        self.embedding = ImageEmbedding(view, channels, dilations, dropout)
        self.upsampled = nn.Identity() if same else Upsample(channels, channels, sides, "transposed")
        self.added = nn.Linear(context_size, channels, bias=False) if context_size else None
        self._begin(event, channels, components, dropout)
        self.network = ShiftedStack(channels, blocks, given=True, dropout=dropout)
        self._end(channels)

    def maps(self, view: Tensor, vector: Tensor | None) -> Tensor:
        """The feature maps of a view, at the resolution of this stage."""
        maps: Tensor = self.upsampled(self.embedding(view))
        return maps if self.added is None or vector is None else maps + self.added(vector)[:, :, None, None]

    def draw(self, view: Tensor, vector: Tensor | None) -> Tensor:
        return self._draw(len(view), self.maps(view, vector))

    def _given(self, n: int, context: Tensor | None) -> Tensor | None:
        return context


def _has_grey(event: Event) -> bool:
    return event.shape[0] == 3 and isinstance(event.support, Levels)


def _scales(event: Event, scales: int | None) -> int:
    """How often the image is halved."""
    sides, most, usual = list(event.shape[1:]), 0, 0
    while min(sides) > 1:
        usual += usual == 0 or max(sides) > _SMALL
        sides, most = [-(-side // 2) for side in sides], most + 1
    if scales is not None and scales > most:
        raise InputError(
            f"images of {event.shape[1]}x{event.shape[2]} pixels are halved at most {most} times, got scales={scales}"
        )
    return usual if scales is None else scales
