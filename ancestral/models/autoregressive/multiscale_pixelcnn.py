"""Parallel multiscale PixelCNN (Reed et al. 2017, "Parallel Multiscale Autoregressive Density Estimation",
arXiv:1703.03664).

The pixels of each 2x2 block form four groups by their corners: upper left, upper right, lower left, lower right. The
upper left ones are the image at half the resolution, whose pixels are grouped alike, down to a base. p(x) is the
product of p(base), by a Gated PixelCNN in raster order, and scale after scale of p(group | all earlier groups), where
the pixels of a group are independent of each other given those before them (section 3). It is exact, since coarser
images are sub-sampled, not averaged. What a pixel can see lies all around it: below and to the right too.

A residual network of the known corners, laid side by side as channels, has the features of a group (figure 3A); its
head sees the pixel's earlier colours besides, through masked 1x1 convolutions, and outputs a Bernoulli or a softmax
over all levels. So a draw takes three network passes a scale, and a head a colour: O(log N) for N pixels, beside the
base.

Faithful: the groups and their order, a network of its own for each group, the earlier colours, a PixelCNN at the base.
Left out: shallow PixelCNNs within patches of a group (figure 3B). Ours: sides of any length, half of one rounded up,
where the corners that a block at the border lacks are zeros to the network; and a context, which enters the base as it
does in Gated PixelCNN and each residual block as a vector.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.interface import (
    Binary,
    Event,
    InputError,
    Levels,
    Model,
    Phase,
    QuickSettings,
    StagedDensity,
    maximum_likelihood,
)
from ancestral.layers.autoregressive import AutoregressiveModel, Stepwise, raster_order, threads
from ancestral.layers.conditioning import FlatContext, centred
from ancestral.layers.masked import RasterConv2d, channel_groups
from ancestral.layers.raster_model import RasterModel
from ancestral.layers.resampling import half
from ancestral.layers.residual import ResidualFeatures
from ancestral.models.autoregressive.gated_pixelcnn import GatedPixelCNN
from ancestral.registry import register

#: Rows and columns of a 2x2 block's corners, in the order of their groups.
_CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))
#: Without a number of scales, images are halved until no side is longer.
_SMALL = 7


@register("multiscale_pixelcnn")
class MultiscalePixelCNN(AutoregressiveModel, StagedDensity):
    """Parallel multiscale PixelCNN: a small base, then scale after scale in three groups, each drawn in one pass.

    Args:
        scales: how often the image is halved, at least once; by default until no side is longer than 7 pixels.
        channels: feature maps of the groups' residual networks.
        blocks: residual blocks of each of them.
        base_channels: feature maps of the base's Gated PixelCNN.
        base_blocks: gated layers of it after its first.
        head: feature maps of the last hidden layers.
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        scales: int | None = None,
        channels: int = 32,
        blocks: int = 3,
        base_channels: int = 32,
        base_blocks: int = 3,
        head: int = 64,
    ) -> None:
        super().__init__(event, context_event=context_event)
        sizes = _sizes(event, scales)
        colours = event.shape[0]
        if channels < 1 or blocks < 0 or head < colours:
            raise InputError(
                f"channels must be at least 1, blocks 0 and head the {colours} colours of the event, got"
                f" channels={channels}, blocks={blocks}, head={head}"
            )
        self.sizes = sizes
        base = Event((colours, *sizes[0]), event.support)
        settings = {"channels": base_channels, "blocks": base_blocks, "head": head}
        self.base = GatedPixelCNN(base, context_event=context_event, **settings)
        self.observation = self.base.observation
        self.context = FlatContext(context_event)
        #: The stride of the scale's pixels in the image, and the corner, of each group after the base.
        self.groups = [(1 << scale, corner) for scale in reversed(range(len(sizes) - 1)) for corner in (1, 2, 3)]
        self.networks = nn.ModuleList(
            _Group(colours, corner, self.observation.size, channels, blocks, head, self.context.size)
            for _, corner in self.groups
        )
        places = torch.arange(event.size).view(1, *event.shape)
        coarse = self._base_of(places)[0]
        groups = [self._corner(places, *group)[0] for group in self.groups]
        #: How many pixels each group has.
        self.counts = [group[0].numel() for group in groups]
        later = [group.flatten() for group in groups]
        self._order = torch.cat([coarse.flatten()[raster_order(base)[0]], *later])
        # Where each value of the image is among the base and the groups as they lie.
        self._lying = torch.cat([coarse.flatten(), *later]).argsort()

    def phases(self) -> Sequence[Phase]:
        return maximum_likelihood(self)

    @property
    def orders(self) -> Int64[Tensor, "orders size"]:
        """The base's rows, columns and colours; then the groups, each colour after colour, its pixels row by row."""
        return self._order[None]

    @property
    def stages(self) -> tuple[str, ...]:
        """The base, and the three groups of each scale, by the size of the image that they make whole."""
        return tuple(f"{height}x{width}" for height, width in self.sizes)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self._stage_log_probs(x, context).sum(0)

    def _stage_log_probs(self, x: Tensor, context: Tensor | None) -> Tensor:
        values = [self._base_of(x), *(self._corner(x, *group) for group in self.groups)]
        parts = zip(self._parts(x, context), values, strict=True)
        base, *groups = (self.observation.log_prob(part, own).flatten(1).sum(1) for part, own in parts)
        return torch.stack([base, *torch.stack(groups).unflatten(0, (-1, 3)).sum(1)])

    def _conditionals(self, x: Tensor, context: Tensor | None, order: int) -> Tensor:
        parts = torch.cat([part.flatten(2) for part in self._parts(x, context)], dim=2)
        return parts[:, :, self._lying.to(x.device)].unflatten(2, self.event.shape)

    def _parts(self, x: Tensor, context: Tensor | None) -> Iterator[Float[Tensor, "batch size colours h w"]]:
        """The parameters of the base's conditionals, and of each group's."""
        yield self.base._conditionals(self._base_of(x), context, 0)
        image, vector = self._image(x), self._vector(len(x), context)
        for network, group in zip(self.networks, self.groups, strict=True):
            assert isinstance(network, _Group)
            own = self._corner(image, *group)
            yield network.head(self._features(image, vector, group, network), own)

    def _features(self, image: Tensor, vector: Tensor | None, group: tuple[int, int], network: "_Group") -> Tensor:
        """A group's features from the earlier corners of its blocks, one for each of its pixels."""
        stride, corner = group
        known = [self._corner(image, stride, earlier) for earlier in range(corner)]
        height, width = known[0].shape[2:]
        whole = torch.cat([F.pad(part, (0, width - part.shape[3], 0, height - part.shape[2])) for part in known], 1)
        own = self._corner(image, *group)
        features: Tensor = network.encoder(whole, vector)
        return features[:, :, : own.shape[2], : own.shape[3]]

    def _image(self, x: Tensor) -> Tensor:
        # Binary data are laid on [-1, 1] too: zeros beyond the border then differ from both values.
        return centred(x, self.event.support, binary=True)

    def _vector(self, n: int, context: Tensor | None) -> Tensor | None:
        return None if context is None else self.context.vector(n, context, like=self._reference)

    def _base_of(self, image: Tensor) -> Tensor:
        """The pixels of the base, as a view."""
        stride = 1 << (len(self.sizes) - 1)
        return image[:, :, ::stride, ::stride]

    def _corner(self, image: Tensor, stride: int, corner: int) -> Tensor:
        """The pixels at one corner of the blocks of a scale, as a view."""
        row, column = _CORNERS[corner]
        return image[:, :, row * stride :: 2 * stride, column * stride :: 2 * stride]

    def _stepwise(self, n: int, context: Tensor | None, order: int) -> Stepwise:
        return _Groupwise(self, n, context)

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if reason := RasterModel.supports(event, context_event):
            return reason
        if min(event.shape[1:]) < 2:
            return (
                f"an image of {_by(event.shape[1:])} pixels is too small for a pyramid: both sides must be at least 2"
            )
        return None

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        return QuickSettings(
            {"channels": 24, "blocks": 2, "base_channels": 24, "base_blocks": 2}, {"lr": 3e-3, "clip_gradient": 100.0}
        )

    @classmethod
    def examples(cls) -> Iterable[Model]:
        # A base of one row or column leaves weights of its first layer without anything to see.
        small: dict[str, Any] = {"channels": 4, "blocks": 1, "base_channels": 4, "base_blocks": 1, "head": 8}
        yield cls(Event((1, 3, 3), Binary()), **small)
        yield cls(Event((3, 3, 4), Levels(3)), **{**small, "channels": 6, "base_channels": 6})
        yield cls(Event((1, 5, 5), Levels(4)), context_event=Event((), Levels(3)), scales=2, **small)


class _Group(nn.Module):
    """The conditionals of one group: a residual network of the `known` earlier corners, and a head."""

    def __init__(
        self, colours: int, known: int, size: int, channels: int, blocks: int, head: int, context_size: int
    ) -> None:
        super().__init__()
        self.encoder = ResidualFeatures(known * colours, channels, blocks, context_size)
        hidden, own = channel_groups(head, colours), channel_groups(colours, colours)
        self.hidden = nn.Conv2d(channels, head, 1)
        self.earlier = RasterConv2d(hidden, own, 1, strict=True, bias=False) if colours > 1 else None
        self.output = RasterConv2d(channel_groups(colours * size, colours), hidden, 1)
        self.colours = colours

    def head(
        self, features: Float[Tensor, "batch channels h w"], own: Float[Tensor, "batch colours h w"]
    ) -> Float[Tensor, "batch size colours h w"]:
        """The parameters of each colour given the features and the earlier colours of the group's `own` pixels."""
        hidden = self.hidden(features.relu())
        if self.earlier is not None:
            hidden = hidden + self.earlier(own)
        return self.output(hidden.relu_()).unflatten(1, (self.colours, -1)).transpose(1, 2)


class _Groupwise(Stepwise):
    """The base a value at a time, from cached features; then a colour of a group at a time, all pixels at once."""

    def __init__(self, model: MultiscalePixelCNN, n: int, context: Tensor | None) -> None:
        self.model, self.base, self.vector = model, model.base._stepwise(n, context, 0), model._vector(n, context)
        self.threads, self.work, self.colours = torch.get_num_threads(), self.base.work, model.event.shape[0]
        self.widths = [1] * model.base.event.size + [count for count in model.counts for _ in range(self.colours)]
        self.image = model._reference.new_zeros(n, *model.event.shape)

    def parameters(self, step: int) -> Tensor:
        if step < self.model.base.event.size:
            return self.base.parameters(step)[:, :, None]
        index, colour = divmod(step - self.model.base.event.size, self.colours)
        group, network = self.model.groups[index], self.model.networks[index]
        assert isinstance(network, _Group)
        # The base's small products are not worth all threads, a whole group is.
        with threads(self.threads):
            if colour == 0:
                self.features = self.model._features(self.image, self.vector, group, network)
            return network.head(self.features, self.model._corner(self.image, *group))[:, :, colour].flatten(2)

    def write(self, step: int, values: Tensor) -> None:
        levels = self.model._image(values)
        if step < self.model.base.event.size:
            self.base.write(step, values[:, 0])
            pixel, colour = divmod(step, self.colours)
            row, column = divmod(pixel, self.model.sizes[0][1])
            self.model._base_of(self.image)[:, colour, row, column] = levels[:, 0]
            return
        index, colour = divmod(step - self.model.base.event.size, self.colours)
        own = self.model._corner(self.image, *self.model.groups[index])[:, colour]
        own.copy_(levels.view_as(own))


def _sizes(event: Event, scales: int | None) -> list[tuple[int, int]]:
    """The sides of the image at each scale, from the base on."""
    sizes = [(event.shape[1], event.shape[2])]
    while min(sizes[-1]) > 1:
        sizes.append(half(sizes[-1]))
    most = len(sizes) - 1
    if scales is None:
        scales = next((count for count in range(1, most) if max(sizes[count]) <= _SMALL), most)
    if not 1 <= scales <= most:
        raise InputError(
            f"images of {_by(event.shape[1:])} pixels are halved 1 to {most} times, down to {_by(sizes[-1])}, got"
            f" scales={scales}"
        )
    return sizes[scales::-1]


def _by(sides: Sequence[int]) -> str:
    return "x".join(map(str, sides))
