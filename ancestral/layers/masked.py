"""Linear and convolutional layers some of whose weights are held at zero, so that outputs see chosen inputs only.

The masks of MADE (Germain et al. 2015, section 4.1) and of PixelCNN (van den Oord et al. 2016, sections 3.4 and 2.2).
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F


class MaskedLinear(nn.Linear):
    """A linear layer in which an output sees the inputs whose degree is at most its own, or `strict`ly below it.

    Degrees are (masks, features): one row for each of several masks, of which a call uses one (equations 8 to 10). The
    masks of a list are made when they are used: 32 of them would hold 32 times the weights' memory.
    """

    inputs: Tensor
    outputs: Tensor
    mask: Tensor | None

    def __init__(
        self,
        inputs: Int64[Tensor, "masks in_features"],
        outputs: Int64[Tensor, "masks out_features"],
        *,
        strict: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__(inputs.shape[1], outputs.shape[1], bias=bias)
        self.strict = strict
        self.register_buffer("inputs", inputs.to(torch.int32), persistent=False)
        self.register_buffer("outputs", outputs.to(torch.int32), persistent=False)
        single = self._mask(0).to(self.weight.dtype) if len(inputs) == 1 else None
        self.register_buffer("mask", single, persistent=False)

    def masked_weight(self, mask: int = 0) -> Float[Tensor, "out_features in_features"]:
        """The weight under the mask of that index."""
        return self.weight * (self._mask(mask) if self.mask is None else self.mask)

    def forward(self, x: Tensor, mask: int = 0) -> Tensor:
        return F.linear(x, self.masked_weight(mask), self.bias)

    def _mask(self, mask: int) -> Tensor:
        inputs, outputs = self.inputs[mask], self.outputs[mask, :, None]
        return inputs < outputs if self.strict else inputs <= outputs


class MaskedConv2d(nn.Conv2d):
    """A convolution whose weight is multiplied by a 0/1 mask of the same shape."""

    mask: Tensor

    def __init__(
        self,
        mask: Bool[Tensor, "out_channels in_channels height width"],
        *,
        padding: int | tuple[int, int] = 0,
        bias: bool = True,
    ) -> None:
        outputs, inputs, height, width = mask.shape
        super().__init__(inputs, outputs, (height, width), padding=padding, bias=bias)
        # A mask of ones, as between grey feature maps, costs nothing.
        self.dense = bool(mask.all())
        self.register_buffer("mask", mask.to(self.weight.dtype), persistent=False)

    @property
    def masked_weight(self) -> Float[Tensor, "out_channels in_channels height width"]:
        """The weight under the mask."""
        return self.weight if self.dense else self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.masked_weight, self.bias, padding=self.padding)


class RasterConv2d(MaskedConv2d):
    """PixelCNN's convolution of odd size: an output sees the rows above, the pixels to the left, and earlier colours.

    `outputs` and `inputs` are the colours of its feature maps; `strict` is mask A, otherwise it is mask B. The rows
    below the centre, which the mask hides, are no part of the weight: they would be a third of a 3x3 kernel's work.
    """

    def __init__(
        self,
        outputs: Int64[Tensor, " out"],
        inputs: Int64[Tensor, " in"],
        kernel_size: int,
        *,
        strict: bool = False,
        bias: bool = True,
    ) -> None:
        reach = kernel_size // 2
        mask = raster_mask(outputs, inputs, kernel_size, strict=strict)[:, :, : reach + 1]
        super().__init__(mask, padding=(0, reach), bias=bias)
        self.outputs, self.inputs, self.strict, self.reach = outputs, inputs, strict, reach

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (0, 0, self.reach, 0)) if self.reach else x)


def channel_groups(channels: int, groups: int) -> Int64[Tensor, " channels"]:
    """The group of each feature map: `groups` neighbouring runs whose sizes differ by at most 1."""
    return torch.arange(channels) * groups // channels


def group_mask(outputs: Int64[Tensor, " out"], inputs: Int64[Tensor, " in"], *, strict: bool) -> Bool[Tensor, "out in"]:
    """Whether an output of one colour may see an input of another at the same pixel.

    `strict` is mask A: earlier colours alone. Otherwise mask B: its own colour too.
    """
    return inputs < outputs[:, None] if strict else inputs <= outputs[:, None]


def raster_mask(
    outputs: Int64[Tensor, " out"], inputs: Int64[Tensor, " in"], kernel_size: int, *, strict: bool
) -> Bool[Tensor, "out in size size"]:
    """The mask of a PixelCNN convolution of odd size: rows above, pixels to the left, and earlier colours (A or B)."""
    mask = torch.zeros(len(outputs), len(inputs), kernel_size, kernel_size, dtype=torch.bool)
    centre = kernel_size // 2
    mask[:, :, :centre] = True
    mask[:, :, centre, :centre] = True
    mask[:, :, centre, centre] = group_mask(outputs, inputs, strict=strict)
    return mask
