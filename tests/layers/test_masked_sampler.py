"""Cached masked convolutions, a place at a time, against the convolution of the whole image."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ancestral.layers.masked import RasterConv2d, channel_groups
from ancestral.layers.masked_sampler import CachedConv2d, CachedPointwise, RasterLayer, colour_spans

N, COLOURS, HEIGHT, WIDTH = 2, 3, 4, 5


def walked(layer: RasterLayer, x: Tensor, spans: list[tuple[int, int]]) -> Tensor:
    """The layer's output, colour by colour, with `x` written into its slots place by place."""
    rows = torch.zeros(N, spans[-1][1], HEIGHT, WIDTH, dtype=x.dtype)
    inputs = colour_spans(channel_groups(x.shape[1], COLOURS))
    calls = {
        (column, colour): list(layer.calls(column, colour, None))
        for column in range(WIDTH)
        for colour in range(COLOURS)
    }
    for row in range(HEIGHT):
        layer.begin(row)
        for (column, colour), prepared in calls.items():
            layer.slot(column, colour).copy_(x[:, slice(*inputs[colour]), row, column])
            for call in prepared:
                out = call()
            rows[:, slice(*spans[colour]), row, column] = out
    return rows


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(("kernel_size", "gates"), [(1, 1), (3, 4), (5, 2)])
def test_a_cached_convolution_equals_that_of_the_image(
    kernel_size: int, gates: int, strict: bool, rectified: bool
) -> None:
    """Also where each colour's outputs are runs of several gates, and each place has a context of its own."""
    outputs, inputs = channel_groups(4, COLOURS).repeat(gates), channel_groups(5, COLOURS)
    convolution = RasterConv2d(outputs, inputs, kernel_size, strict=strict).double()
    x, added = torch.randn(N, 5, HEIGHT, WIDTH).double(), torch.randn(N, 4 * gates, HEIGHT, WIDTH).double()
    variants: list[tuple[Callable[[], RasterLayer], Tensor | float]] = [
        (lambda: CachedConv2d(convolution, N, WIDTH, rectified=rectified), 0.0),
        (lambda: CachedConv2d(convolution, N, WIDTH, rectified=rectified, added=added), added),
        (
            lambda: CachedConv2d(convolution, N, WIDTH, rectified=rectified, added=added[:1, :, :1, :1]),
            added[:1, :, :1, :1],
        ),
    ]
    if kernel_size == 1:
        variants.append((lambda: CachedPointwise(convolution, N, rectified=rectified), 0.0))
    order = outputs.argsort(stable=True)
    with torch.no_grad():
        for make, more in variants:
            expected = (convolution(x.relu() if rectified else x) + more)[:, order]
            torch.testing.assert_close(walked(make(), x, colour_spans(outputs)), expected)


def test_a_pointwise_convolution_is_1x1() -> None:
    groups = channel_groups(2, 1)
    with pytest.raises(ValueError, match="1x1"):
        CachedPointwise(RasterConv2d(groups, groups, 3), N)
