"""Masked layers: what each output sees, by the Jacobian."""

import pytest
import torch
from torch import Tensor

from ancestral.layers.masked import MaskedConv2d, MaskedLinear, RasterConv2d, channel_groups, raster_mask
from ancestral.layers.masked_network import MaskedNetwork, StepwiseMaskedNetwork


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("masks", [1, 3])
def test_masked_linear_sees_the_degrees_at_or_below_its_own(strict: bool, masks: int) -> None:
    inputs, outputs = torch.randint(0, 5, (masks, 6)), torch.randint(0, 5, (masks, 7))
    layer = MaskedLinear(inputs, outputs, strict=strict)
    for mask in range(masks):
        jacobian = torch.autograd.functional.jacobian(lambda x, m=mask: layer(x, m), torch.randn(6))
        degree = outputs[mask][:, None] - inputs[mask]
        assert torch.equal(jacobian != 0, degree > 0 if strict else degree >= 0)


@pytest.mark.parametrize("strict", [False, True])
def test_raster_masks_hide_what_comes_later(strict: bool) -> None:
    outputs, inputs, size = channel_groups(7, 3), channel_groups(6, 3), 5
    layer, centre = MaskedConv2d(raster_mask(outputs, inputs, size, strict=strict)), size // 2
    x = torch.randn(1, 6, size, size)
    seen = torch.autograd.functional.jacobian(lambda x: layer(x)[0, :, 0, 0], x)[:, 0] != 0
    assert seen[:, :, :centre].all()
    assert seen[:, :, centre, :centre].all()
    assert not seen[:, :, centre, centre + 1 :].any()
    assert not seen[:, :, centre + 1 :].any()
    earlier = inputs < outputs[:, None] if strict else inputs <= outputs[:, None]
    assert torch.equal(seen[:, :, centre, centre], earlier)


@pytest.mark.parametrize("strict", [False, True])
def test_a_raster_convolution_of_ones_counts_the_pixels_that_came_before(strict: bool) -> None:
    grey = channel_groups(1, 1)
    layer = RasterConv2d(grey, grey, 3, strict=strict, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1)
        found = layer(torch.ones(1, 1, 3, 4))[0, 0]
    before = torch.tensor([[0.0, 1, 1, 1], [2, 4, 4, 3], [2, 4, 4, 3]])
    assert torch.equal(found, before if strict else before + 1)


def test_channel_groups_are_neighbours_of_nearly_equal_size() -> None:
    assert channel_groups(7, 3).tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert channel_groups(6, 1).tolist() == [0] * 6


@pytest.mark.parametrize(("widths", "sizes"), [([1] * 9, [2] * 9), ([1, 3, 2] * 3, [2, 1, 4] * 3)])
def test_a_masked_network_dimension_by_dimension_equals_one_pass(widths: list[int], sizes: list[int]) -> None:
    network = MaskedNetwork(widths, sizes, [20, 15], masks=3, random_order=True, direct=True, context=4, seed=1)
    network.double()
    x, context = torch.randn(5, 9).double(), torch.randn(5, 4).double()

    def encode(dimension: int, values: Tensor) -> Tensor:
        return values[:, None] ** torch.arange(1, widths[dimension] + 1)

    inputs = torch.cat([encode(dimension, x[:, dimension]) for dimension in range(9)], 1)
    for mask in range(3):
        stepwise = StepwiseMaskedNetwork(network, 5, mask, context, encode=encode)
        expected = network(inputs, mask, context)
        for step, dimension in enumerate(network.orders[mask].tolist()):
            own = expected[:, : sizes[dimension], dimension]
            torch.testing.assert_close(stepwise.parameters(step), own)
            stepwise.write(step, x[:, dimension])
