"""The two streams of PixelCNN++ (Salimans et al. 2017, sections 2.3 and 2.4, figure 2): shifted convolutions, gated
layers of them, and the network that goes down to fewer pixels and back.

The vertical stream sees the rows above a pixel, the horizontal one those rows and the pixels to its left. No weight is
masked: images enter shifted by a row or a column, and from then on a kernel holds the taps that its stream may see. At
(i, j) a vertical one ends at row i, a horizontal one at row i and column j. A feature of either stream at (i, j)
so depends on pixels before (i, j) alone, and a vertical one on rows before i.

With a stride of 2 the feature (h, w) sees what those at (2h, 2w) do: the pixels before (2h, 2w). Transposed
convolutions lay it on the pixels (2h, 2w) to (2h + 1, 2w + 1), none of which comes before. A side that is odd is
rounded up on the way down, and on the way back the row or column too many is cut off.

A gated layer reaches two features further in each direction of its stream. At one resolution, after the first layer and
L gated ones, with D = 1 + 2L, a horizontal feature at (i, j) sees the D pixels to its left, and above them rows
i - D - 2 to i - 1 at columns j - D - 1 to j + D; layers at half the resolution reach twice as far.

Weights are normalised (Salimans & Kingma 2016), a direction and a length for each output.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

#: The root mean square of elu(x) and elu(-x), and of elu(x) alone, for a standard normal x.
ELU_SIZE = 0.803


def concat_elu(x: Float[Tensor, "..."], dim: int = 1) -> Float[Tensor, "..."]:
    """elu(x) and elu(-x), one behind the other (after the concatenated ReLU of Shang et al. 2016)."""
    return F.elu(torch.cat((x, -x), dim), inplace=True)


class Features(NamedTuple):
    """The features of a stream, and their concatenated ELU, which all that read them share."""

    value: Tensor
    active: Tensor

    @classmethod
    def of(cls, value: Tensor, dim: int = 1) -> "Features":
        return cls(value, concat_elu(value, dim))


class Streams(NamedTuple):
    vertical: Features
    horizontal: Features


class NormalisedWeight(nn.Module):
    """The parameters of a convolution whose weight is `scale` times the direction of `direction`, for each output.

    Salimans & Kingma start the scales from a batch of data. Here they start from `gain`, the same for all: with inputs
    of mean square 1 the outputs of a whole kernel have one of about `gain` squared.
    """

    def __init__(self, inputs: int, outputs: int, kernel_size: tuple[int, int], gain: float) -> None:
        super().__init__()
        self.direction = nn.Parameter(0.05 * torch.randn(outputs, inputs, *kernel_size))
        self.scale = nn.Parameter(torch.full((outputs,), gain))
        self.bias = nn.Parameter(torch.zeros(outputs))

    @property
    def weight(self) -> Float[Tensor, "outputs inputs height width"]:
        norm = self.direction.flatten(1).norm(dim=1)
        return self.direction * (self.scale / norm)[:, None, None, None]


class PointwiseConv2d(NormalisedWeight):
    """A 1x1 convolution: the same linear map at each pixel."""

    def __init__(self, inputs: int, outputs: int, *, gain: float = 1.0) -> None:
        super().__init__(inputs, outputs, (1, 1), gain)

    def forward(self, x: Float[Tensor, "batch inputs h w"]) -> Float[Tensor, "batch outputs h w"]:
        return F.conv2d(x, self.weight, self.bias)


class ShiftedConv2d(NormalisedWeight):
    """A convolution that ends at its own row, and with `right` at its own column: at (i, j) of a kernel (h, w) it sees
    rows i - h + 1 to i, and columns j - w // 2 to j + w // 2, or with `right` j - w + 1 to j. `w` is odd without it."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: tuple[int, int],
        *,
        right: bool,
        stride: int = 1,
        gain: float = 1.0,
    ) -> None:
        super().__init__(inputs, outputs, kernel_size, gain)
        height, width = kernel_size
        self.stride = stride
        self.padding = (width - 1, 0, height - 1, 0) if right else (width // 2, width // 2, height - 1, 0)

    def forward(self, x: Float[Tensor, "batch inputs h w"]) -> Float[Tensor, "batch outputs h2 w2"]:
        return F.conv2d(F.pad(x, self.padding), self.weight, self.bias, self.stride)


class ShiftedUpsampling(NormalisedWeight):
    """A transposed convolution of stride 2, the mirror image of a strided `ShiftedConv2d`: (h, w) goes to rows 2h and
    2h + 1, and to columns 2w - 1 to 2w + 1, or with `right` 2w and 2w + 1."""

    def __init__(self, inputs: int, outputs: int, *, right: bool) -> None:
        # Of four taps about one reaches each pixel.
        super().__init__(inputs, outputs, (2, 2) if right else (2, 3), gain=2.0)
        self.left = 0 if right else 1

    def forward(
        self, x: Float[Tensor, "batch inputs h w"], size: Sequence[int]
    ) -> Float[Tensor, "batch outputs h2 w2"]:
        height, width = size
        wide = F.conv_transpose2d(x, self.weight.transpose(0, 1), self.bias, stride=2)
        return wide[:, :, :height, self.left : self.left + width]


class ShiftedInput(nn.Module):
    """The first layer: the streams' features of an image, with a channel of ones that tells it from padding."""

    def __init__(self, colours: int, channels: int) -> None:
        super().__init__()
        self.vertical = ShiftedConv2d(colours + 1, channels, (2, 3), right=False)
        self.above = ShiftedConv2d(colours + 1, channels, (1, 3), right=False)
        self.left = ShiftedConv2d(colours + 1, channels, (2, 1), right=True)

    def forward(self, image: Float[Tensor, "batch colours h w"]) -> Streams:
        image = torch.cat((image, torch.ones_like(image[:, :1])), dim=1)
        rows_above, columns_left = F.pad(image, (0, 0, 1, -1)), F.pad(image, (1, -1))
        horizontal = self.above(rows_above) + self.left(columns_left)
        return Streams(Features.of(self.vertical(rows_above)), Features.of(horizontal))


class GatedResidual(nn.Module):
    """x + a sigmoid(b), where a and b are two shifted convolutions of x deep, with concatenated ELUs before each.

    Other features at the same pixel enter the first one by a 1x1 convolution; a context vector is added to a and b.
    """

    def __init__(self, channels: int, others: int, *, right: bool, dropout: float = 0.0, context_size: int = 0) -> None:
        super().__init__()
        kernel, known = (2, 2) if right else (2, 3), 1 / ELU_SIZE
        self.first = ShiftedConv2d(2 * channels, channels, kernel, right=right, gain=known)
        self.short_cut = PointwiseConv2d(2 * others * channels, channels, gain=known) if others else None
        # The layer starts near the identity, as the paper's.
        self.second = ShiftedConv2d(2 * channels, 2 * channels, kernel, right=right, gain=0.1 * known)
        self.dropout = nn.Dropout(dropout)
        self.context = nn.Linear(context_size, 2 * channels, bias=False) if context_size else None
        if self.context is not None:
            nn.init.normal_(self.context.weight, std=0.05)

    def forward(self, x: Features, others: Sequence[Features], context: Tensor | None) -> Features:
        hidden = self.first(x.active)
        if self.short_cut is not None:
            active = [other.active for other in others]
            hidden = hidden + self.short_cut(active[0] if len(active) == 1 else torch.cat(active, dim=1))
        gates = self.second(self.dropout(concat_elu(hidden)))
        if self.context is not None:
            gates = gates + self.context(context)[:, :, None, None]
        return Features.of(x.value + F.glu(gates, dim=1))


class GatedStreams(nn.Module):
    """A gated layer of each stream; the horizontal one sees the vertical one's output. With `short_cut` both see the
    features of an earlier layer too."""

    def __init__(self, channels: int, *, short_cut: bool, dropout: float = 0.0, context_size: int = 0) -> None:
        super().__init__()
        self.vertical = GatedResidual(channels, int(short_cut), right=False, dropout=dropout, context_size=context_size)
        self.horizontal = GatedResidual(channels, 1 + short_cut, right=True, dropout=dropout, context_size=context_size)

    def forward(self, streams: Streams, earlier: Streams | None, context: Tensor | None) -> Streams:
        vertical = self.vertical(streams.vertical, () if earlier is None else (earlier.vertical,), context)
        others = (vertical,) if earlier is None else (vertical, earlier.horizontal)
        return Streams(vertical, self.horizontal(streams.horizontal, others, context))


class ShiftedScale(nn.Module):
    """Gated layers at one resolution, the same at half of it in between, and gated layers on the way back, each with a
    short-cut from its counterpart on the way down, the last to the first.

    Args:
        channels: feature maps of each stream.
        blocks: gated layers on the way down; on the way back there is one more, at the lowest resolution as many.
        scales: resolutions from here on.
    """

    def __init__(self, channels: int, blocks: int, scales: int, *, dropout: float = 0.0, context_size: int = 0) -> None:
        super().__init__()

        def layers(count: int, *, short_cut: bool) -> nn.ModuleList:
            return nn.ModuleList(
                GatedStreams(channels, short_cut=short_cut, dropout=dropout, context_size=context_size)
                for _ in range(count)
            )

        self.descent = layers(blocks, short_cut=False)
        self.lower = ShiftedHalf(channels, blocks, scales - 1, dropout, context_size) if scales > 1 else None
        self.ascent = layers(blocks + (scales > 1), short_cut=True)

    def forward(self, streams: Streams, context: Tensor | None) -> Streams:
        kept = [streams]
        for layer in self.descent:
            kept.append(layer(kept[-1], None, context))
        streams = kept.pop() if self.lower is None else self.lower(kept[-1], context)
        for layer in self.ascent:
            streams = layer(streams, kept.pop(), context)
        return streams


class ShiftedStack(nn.Module):
    """Gated layers at one resolution, `given` features of the same pixels by a short-cut into each: those of what the
    whole image is conditioned on, which need not be shifted (Royer et al. 2017). Without `given` there is no short-cut.
    """

    def __init__(self, channels: int, blocks: int, *, given: bool, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(GatedStreams(channels, short_cut=given, dropout=dropout) for _ in range(blocks))

    def forward(self, streams: Streams, given: Float[Tensor, "batch channels h w"] | None) -> Streams:
        features = None if given is None else Features.of(given)
        both = None if features is None else Streams(features, features)
        for layer in self.layers:
            streams = layer(streams, both, None)
        return streams


class ShiftedHalf(nn.Module):
    """Down to half the resolution by strided convolutions, through the layers there, and back."""

    def __init__(self, channels: int, blocks: int, scales: int, dropout: float, context_size: int) -> None:
        super().__init__()
        self.vertical = ShiftedConv2d(channels, channels, (2, 3), right=False, stride=2)
        self.horizontal = ShiftedConv2d(channels, channels, (2, 2), right=True, stride=2)
        self.scale = ShiftedScale(channels, blocks, scales, dropout=dropout, context_size=context_size)
        self.vertical_back = ShiftedUpsampling(channels, channels, right=False)
        self.horizontal_back = ShiftedUpsampling(channels, channels, right=True)

    def forward(self, streams: Streams, context: Tensor | None) -> Streams:
        vertical, horizontal = streams.vertical.value, streams.horizontal.value
        found = self.scale(
            Streams(Features.of(self.vertical(vertical)), Features.of(self.horizontal(horizontal))), context
        )
        size = vertical.shape[2:]
        return Streams(
            Features.of(self.vertical_back(found.vertical.value, size)),
            Features.of(self.horizontal_back(found.horizontal.value, size)),
        )
