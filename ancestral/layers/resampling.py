"""Convolutions that halve or double an image's sides. Sides of any parity: half of a side is rounded up."""

from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.interface import InputError

UPSAMPLINGS = ("nearest", "bilinear", "transposed")


def half(size: tuple[int, int]) -> tuple[int, int]:
    """What `Downsample` makes of an image's sides."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


class Downsample(nn.Module):
    """A 4x4 convolution with stride 2, (batch, inputs, h, w) -> (batch, outputs, ceil(h/2), ceil(w/2))."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        odd_height, odd_width = x.shape[2] % 2, x.shape[3] % 2
        if odd_height or odd_width:
            x = F.pad(x, (0, odd_width, 0, odd_height))
        return self.convolution(x)


class Upsample(nn.Module):
    """Doubles the sides and crops them to `size`, (batch, inputs, h, w) -> (batch, outputs, *size).

    `how` is "transposed", a learned 4x4 convolution of stride 1/2, or "nearest" or "bilinear" interpolation followed by
    a 3x3 convolution, which leaves no checkerboard (Odena et al. 2016).
    """

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], how: str, *, bias: bool = True) -> None:
        super().__init__()
        if how not in UPSAMPLINGS:
            raise InputError(f"upsampling must be one of {', '.join(UPSAMPLINGS)}, got {how!r}")
        self.size, self.how = size, how
        self.convolution: nn.Module
        if how == "transposed":
            self.convolution = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)
        else:
            self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "transposed":
            return self._crop(self.convolution(x))
        return self.convolution(self._crop(F.interpolate(x, scale_factor=2.0, mode=self.how)))

    def _crop(self, x: Tensor) -> Tensor:
        return x[:, :, : self.size[0], : self.size[1]]
