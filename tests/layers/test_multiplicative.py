"""The residual multiplicative block: the paper's equations as they are printed, its masks, and its cached features."""

import pytest
import torch
from torch.nn import functional as F

from ancestral.layers.masked_sampler import Raster
from ancestral.layers.multiplicative import CachedMultiplicativeBlock, MultiplicativeBlock


@pytest.mark.parametrize("dilation", [1, 2])
def test_a_block_is_the_equations_of_the_paper(dilation: int) -> None:
    c = 3
    block = MultiplicativeBlock(c, 3, dilation=dilation).double()
    x = torch.randn(2, 2 * c, 4, 5, dtype=torch.float64)
    h = F.conv2d(x, block.reduce.weight, block.reduce.bias)
    for unit in block.units:
        w, b = unit.weight.split(c), unit.bias.split(c)
        g1, g2, g3 = (torch.sigmoid(F.conv2d(h, w[i], b[i], padding=dilation, dilation=dilation)) for i in range(3))
        u = torch.tanh(F.conv2d(h, w[3], b[3], padding=dilation, dilation=dilation))
        h = g1 * torch.tanh(g2 * h + g3 * u)
    torch.testing.assert_close(block(x), x + F.conv2d(h, block.expand.weight, block.expand.bias))


def test_a_masked_block_sees_what_comes_before_and_its_own_colour() -> None:
    """Two units of 3x3: two rows up and two columns on; at the pixel itself no later colour."""
    block = MultiplicativeBlock(4, 3, colours=2).double()
    x = torch.randn(1, 8, 7, 7, dtype=torch.float64, requires_grad=True)
    for colour, maps in enumerate(([0, 1, 2, 3], [4, 5, 6, 7])):
        (gradient,) = torch.autograd.grad(block(x)[0, maps, 3, 3].sum(), x)
        expected = torch.zeros(7, 7, dtype=torch.bool)
        expected[1, 1:6] = expected[2, 1:5] = expected[3, 1:4] = True
        seen = gradient[0].ne(0).unflatten(0, (2, 4)).any(1)
        assert torch.equal(seen[0], expected)
        later = expected.clone()
        later[3, 3] = colour == 1
        assert torch.equal(seen[1], later)


@pytest.mark.parametrize("colours", [1, 3])
def test_cached_features_are_those_of_one_pass(colours: int) -> None:
    n, height, width, channels = 2, 3, 4, 6
    blocks = [MultiplicativeBlock(channels, 3, colours=colours).double() for _ in range(2)]
    x, added = torch.randn(n, 2 * channels, height, width).double(), torch.randn(n, 8 * channels, 1, 1).double()
    with torch.no_grad():
        expected = blocks[1](blocks[0](x, added))
        cached = [CachedMultiplicativeBlock(blocks[0], n, width, added), CachedMultiplicativeBlock(blocks[1], n, width)]
        raster = Raster(cached, (colours, height, width), scale=1.0)
        maps = 2 * channels // colours
        for step in range(height * width * colours):
            place, colour = divmod(step, colours)
            at = slice(colour * maps, (colour + 1) * maps), place // width, place % width
            cached[0].slot(place % width, colour).copy_(x[:, *at])
            torch.testing.assert_close(raster.parameters(step), expected[:, *at])
