"""The two-dimensional LSTM layers of PixelRNN (van den Oord, Kalchbrenner & Kavukcuoglu 2016, "Pixel Recurrent Neural
Networks", sections 3.1 to 3.4, equation 3 and figure 5).

A layer takes 2h feature maps. Its input-to-state convolution, under mask B, gives the four gates of h maps each for all
pixels at once. Then the states follow step by step: a row at a time (`RowLSTMLayer`), or a diagonal at a time in two
directions at once (`DiagonalBiLSTMLayer`). The state-to-state convolution sees pixels that are complete, and needs no
mask. A 1x1 convolution back to 2h maps under mask B is added to the input.

Feature maps are laid out here as (maps, pixels, batch). The pixels of one step are then a run of columns, every product
is of two matrices (`ancestral.layers.lstm_recurrence`). States outside the image are zero.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.layers.lstm_recurrence import recurrence, steps
from ancestral.layers.masked import MaskedConv2d, RasterConv2d, channel_groups, group_mask
from ancestral.layers.masked_sampler import bias_of


def to_maps(images: Float[Tensor, "batch maps height width"]) -> Float[Tensor, "maps pixels batch"]:
    """Images laid out as the layers here take them."""
    return images.permute(1, 2, 3, 0).flatten(1, 2)


def to_images(maps: Float[Tensor, "maps pixels batch"], width: int) -> Float[Tensor, "batch maps height width"]:
    """The inverse of `to_maps`, as a view."""
    return maps.unflatten(1, (-1, width)).permute(3, 0, 1, 2)


def raster_convolution(
    convolution: RasterConv2d, images: Float[Tensor, "batch inputs height width"]
) -> Float[Tensor, "outputs pixels batch"]:
    """What `convolution` makes of images, laid out as the layers here take it, by one product of two matrices."""
    reach, (height, width) = convolution.reach, images.shape[2:]
    taps = [(row, column) for row in range(reach + 1) for column in range(2 * reach + 1)][: -reach or None]
    padded = F.pad(images.permute(1, 2, 3, 0), (0, 0, reach, reach, reach, 0))
    seen = [padded[:, row : row + height, column : column + width] for row, column in taps]
    weight = convolution.masked_weight.flatten(2)[:, :, : len(taps)].transpose(1, 2).flatten(1)
    return _product(weight, torch.cat(seen).flatten(1, 2), bias_of(convolution))


def pointwise(
    convolution: MaskedConv2d, maps: Float[Tensor, "inputs pixels batch"]
) -> Float[Tensor, "outputs pixels batch"]:
    """A 1x1 convolution of feature maps that are laid out so."""
    return _product(convolution.masked_weight.flatten(1), maps, bias_of(convolution))


def _product(weight: Tensor, maps: Tensor, bias: Tensor) -> Tensor:
    return torch.addmm(bias[:, None], weight, maps.flatten(1)).unflatten(1, maps.shape[1:])


class PixelLSTM(nn.Module, ABC):
    """A residual LSTM layer on images of one size: 2 `channels` feature maps in and out, `channels` in each gate.

    The weights of its two convolutions have the gates in the order o, f, i, g of equation 3, for each direction in
    turn. Write how the maps are scanned: `ranges` and `offsets` as `steps` takes them, and the three methods below.
    """

    #: How many scans of the image there are.
    directions: int
    #: The positions that each step covers, and the taps of the state-to-state convolution.
    ranges: tuple[tuple[int, int], ...]
    offsets: tuple[int, ...]

    def __init__(self, channels: int, groups: int, input_to_state: MaskedConv2d, state_to_state: nn.Conv2d) -> None:
        super().__init__()
        self.channels, self.groups = channels, groups
        self.input_to_state, self.state_to_state = input_to_state, state_to_state
        self.output = RasterConv2d(
            channel_groups(2 * channels, groups), channel_groups(channels, groups), 1, bias=False
        )
        with torch.no_grad():  # a cell keeps its content at first (Jozefowicz et al. 2015, section 2.2)
            bias_of(input_to_state).view(self.directions, 4, channels)[:, 1] = 1

    @abstractmethod
    def _incoming(self, maps: Tensor) -> Tensor:
        """What the input-to-state convolution reads, (directions, taps * maps, columns), in the order of the steps."""

    @abstractmethod
    def _ordered(self, maps: Tensor) -> Tensor:
        """Feature maps of each direction in raster order, (directions, maps, pixels, batch), in that order."""

    @abstractmethod
    def _visible(self, hidden: Tensor) -> Tensor:
        """The sum of hidden states that each pixel may see, (channels, pixels, batch), from
        (directions, channels, pixels, batch) in that order."""

    def forward(self, maps: Float[Tensor, "maps pixels batch"], added: Tensor | None = None) -> Tensor:
        """`added` is what a context adds to the gates, (directions * 4 * channels, pixels or 1, batch)."""
        convolution, size, batch = self.input_to_state, self.directions, maps.shape[2]
        gates = _by_direction(bias_of(convolution), size)[:, :, None]
        if added is not None:
            each = gates[..., None] + added.unflatten(0, (size, -1))
            gates = self._ordered(each.expand(-1, -1, maps.shape[1], -1)).flatten(2)
        weight = _by_direction(convolution.masked_weight, size).flatten(3).transpose(2, 3).flatten(2)
        recurrent = _by_direction(self.state_to_state.weight, size).flatten(3).permute(0, 3, 1, 2)
        # Where the products are in half precision, the states are not.
        gates = torch.baddbmm(gates, weight, self._incoming(maps)).to(recurrent.dtype)
        plan = steps(self.ranges, self.offsets, batch)
        hidden = recurrence(gates, recurrent.contiguous(), plan)
        visible = self._visible(hidden.unflatten(2, (-1, batch))).flatten(1)
        return torch.addmm(maps.flatten(1), self.output.masked_weight.flatten(1), visible).view_as(maps)


def _by_direction(weight: Tensor, directions: int) -> Tensor:
    return weight.unflatten(0, (directions, -1))


class RowLSTMLayer(PixelLSTM):
    """Scans rows from top to bottom; a state sees `kernel_size` neighbouring states of the row above (section 3.1)."""

    directions = 1

    def __init__(self, channels: int, kernel_size: int, shape: Sequence[int]) -> None:
        colours, height, width = shape
        reach = kernel_size // 2
        centre = _same_pixel(channels, colours, self.directions)
        left = torch.ones(4 * channels, 2 * channels, 1, reach, dtype=torch.bool)
        super().__init__(
            channels,
            colours,
            MaskedConv2d(torch.cat((left, centre), dim=3)),
            nn.Conv2d(channels, 4 * channels, (1, kernel_size), padding=(0, reach), bias=False),
        )
        self.ranges, self.offsets = ((0, width),) * height, tuple(range(-reach, reach + 1))
        self.reach, self.size = reach, (height, width)

    def _incoming(self, maps: Tensor) -> Tensor:
        rows, width = F.pad(maps.unflatten(1, self.size), (0, 0, self.reach, 0)), self.size[1]
        return torch.cat([rows[:, :, tap : tap + width] for tap in range(self.reach + 1)]).flatten(1)[None]

    def _ordered(self, maps: Tensor) -> Tensor:
        return maps

    def _visible(self, hidden: Tensor) -> Tensor:
        return hidden[0]


class DiagonalBiLSTMLayer(PixelLSTM):
    """Scans diagonals from the two upper corners to the opposite ones (section 3.2).

    A state of the left scan sees that of the pixel to its left and that of the pixel above, which are neighbours on the
    diagonal before; the right scan is its mirror image. A pixel gets its own state of the left scan, and of the right
    scan that of the pixel above.
    """

    directions = 2
    order: Tensor
    places: Tensor

    def __init__(self, channels: int, shape: Sequence[int]) -> None:
        colours, height, width = shape
        super().__init__(
            channels,
            colours,
            MaskedConv2d(_same_pixel(channels, colours, self.directions)),
            nn.Conv2d(2 * channels, 8 * channels, (2, 1), groups=2, bias=False),
        )
        # Positions are rows: row i of diagonal t is the pixel (i, t - i).
        self.ranges = tuple((max(0, t - width + 1), min(height, t + 1)) for t in range(height + width - 1))
        self.offsets, self.width = (-1, 0), width
        pixels = torch.arange(height * width).view(height, width)
        diagonal = pixels // width + pixels % width
        left = diagonal.flatten().argsort(stable=True)
        order = torch.stack((left, pixels.flip(1).flatten()[left]))
        self.register_buffer("order", order, persistent=False)  # the pixel at each place
        self.register_buffer("places", order.argsort(1), persistent=False)  # and the place of each pixel

    def _incoming(self, maps: Tensor) -> Tensor:
        return maps.index_select(1, self.order.flatten()).view(len(maps), 2, -1).transpose(0, 1)

    def _ordered(self, maps: Tensor) -> Tensor:
        return torch.stack([each.index_select(1, order) for each, order in zip(maps, self.order)])

    def _visible(self, hidden: Tensor) -> Tensor:
        left, right = (each.index_select(1, places) for each, places in zip(hidden, self.places))
        # The right scan has seen what comes later in its row.
        return left + F.pad(right, (0, 0, self.width, -self.width))


def _same_pixel(channels: int, colours: int, directions: int) -> Tensor:
    """Mask B of the gates of each direction, (directions * 4 * channels, 2 * channels, 1, 1)."""
    gates, inputs = channel_groups(channels, colours).repeat(4 * directions), channel_groups(2 * channels, colours)
    return group_mask(gates, inputs, strict=False)[:, :, None, None]
