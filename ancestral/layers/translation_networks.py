"""Networks from image to image, and from an image to a map of judgements, that translators share.

Zhu, Park, Isola & Efros 2017 (arXiv:1703.10593), section 4 and the appendix on architectures, after Johnson, Alahi &
Fei-Fei 2016 (residual generator) and Isola et al. 2017 (patch discriminator). Weights from N(0, 0.02^2); instance norm,
with a scale and a shift, after every convolution but the last of each network and the discriminator's first. Images of
any sides: half of a side is rounded up.
"""

import itertools

from torch import Tensor, nn

from ancestral.layers.image_networks import NORMS, initialise
from ancestral.layers.resampling import Downsample

#: The kernel of the convolutions next to the image, on either side.
_OUTER = 7


class ResidualGenerator(nn.Module):
    """c7s1-k, `halvings` times d of twice the channels, `blocks` residual blocks, as many u, and c7s1 to the image, in
    the paper's names; padding by reflection."""

    def __init__(self, image: int, channels: int, blocks: int, halvings: int, last_activation: nn.Module) -> None:
        super().__init__()
        widths = [channels * 2**stage for stage in range(halvings + 1)]
        pad = nn.ReflectionPad2d(_OUTER // 2)
        self.inwards = nn.Sequential(pad, nn.Conv2d(image, channels, _OUTER, bias=False), *_normed(channels))
        self.down = nn.ModuleList()
        for narrow, wide in itertools.pairwise(widths):
            down = nn.Conv2d(narrow, wide, 3, stride=2, padding=1, bias=False)
            self.down.append(nn.Sequential(down, *_normed(wide)))
        self.blocks = nn.Sequential(*(_ResidualBlock(widths[-1]) for _ in range(blocks)))
        self.up = nn.ModuleList(_Upwards(wide, narrow) for wide, narrow in itertools.pairwise(reversed(widths)))
        self.outwards = nn.Sequential(pad, nn.Conv2d(channels, image, _OUTER), last_activation)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, image, height, width), to the same shape."""
        x, sizes = self.inwards(x), []
        for down in self.down:
            sizes.append((x.shape[2], x.shape[3]))
            x = down(x)
        x = self.blocks(x)
        for up in self.up:
            x = up(x, sizes.pop())
        return self.outwards(x)


class _Upwards(nn.Module):
    """A 3x3 convolution of stride 1/2 to the given sides, norm and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.then = nn.Sequential(*_normed(outputs))

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        return self.then(self.convolution(x, output_size=size))


class _ResidualBlock(nn.Module):
    """x + two 3x3 convolutions of it, with no ReLU after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        convolutions = [nn.Conv2d(channels, channels, 3, bias=False) for _ in range(2)]
        pad = nn.ReflectionPad2d(1)
        self.residual = nn.Sequential(
            pad, convolutions[0], *_normed(channels), pad, convolutions[1], NORMS["instance"](channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.residual(x)


class PatchDiscriminator(nn.Module):
    """`layers` 4x4 convolutions of stride 2, one of stride 1, and one to a single map, with leaky ReLU (0.2) between.

    Each entry of the map judges a patch of `reach(layers)` pixels: 70 of three layers, as in the paper, where channels
    double up to eight times the first.
    """

    def __init__(self, image: int, channels: int, layers: int) -> None:
        super().__init__()
        widths = [channels * min(2**stage, 8) for stage in range(layers + 1)]
        stages: list[nn.Module] = [Downsample(image, channels), nn.LeakyReLU(0.2)]
        for narrow, wide in itertools.pairwise(widths[:-1]):
            stages += [Downsample(narrow, wide, bias=False), NORMS["instance"](wide), nn.LeakyReLU(0.2)]
        last = nn.Conv2d(widths[-2], widths[-1], 4, padding=1, bias=False)
        stages += [last, NORMS["instance"](widths[-1]), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*stages, nn.Conv2d(widths[-1], 1, 4, padding=1))
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, image, height, width) -> (batch, 1, rows, columns)."""
        return self.layers(x)


def reach(layers: int) -> int:
    """The side in pixels of the patch that one output of a `PatchDiscriminator` sees."""
    side = 1 + 2 * (4 - 1)  # the two of stride 1
    for _ in range(layers):
        side = 2 * side + 2
    return side


def _normed(channels: int) -> tuple[nn.Module, nn.Module]:
    return NORMS["instance"](channels), nn.ReLU()
