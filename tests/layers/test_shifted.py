"""Shifted convolutions and gated layers of them, against loops over pixels and taps."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ancestral.layers.shifted import (
    ELU_SIZE,
    Features,
    GatedResidual,
    NormalisedWeight,
    PointwiseConv2d,
    ShiftedConv2d,
    ShiftedInput,
    ShiftedUpsampling,
    concat_elu,
)


def perturbed(layer: NormalisedWeight) -> NormalisedWeight:
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return layer.double()


def normalised(layer: NormalisedWeight) -> Tensor:
    """w = g v / |v| for each output (Salimans & Kingma 2016, equation 2)."""
    return torch.stack([g * v / v.square().sum().sqrt() for g, v in zip(layer.scale, layer.direction)])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("right", "kernel", "columns"), [(False, (2, 3), (-1, 0, 1)), (True, (2, 2), (-1, 0)), (True, (2, 1), (0,))]
)
@pytest.mark.parametrize("size", [(4, 6), (5, 3), (1, 1)])
def test_a_shifted_convolution_ends_at_its_own_row_and_column(
    right: bool, kernel: tuple[int, int], columns: tuple[int, ...], stride: int, size: tuple[int, int]
) -> None:
    layer = perturbed(ShiftedConv2d(2, 3, kernel, right=right, stride=stride))
    x, weight = torch.randn(1, 2, *size, dtype=torch.float64), normalised(layer)
    out = layer(x)
    assert out.shape[2:] == tuple(-(-side // stride) for side in size)
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            expected = layer.bias.clone()
            for t, di in enumerate((-1, 0)):
                for s, dj in enumerate(columns):
                    row, column = stride * i + di, stride * j + dj
                    if 0 <= row < size[0] and 0 <= column < size[1]:
                        expected = expected + weight[:, :, t, s] @ x[0, :, row, column]
            torch.testing.assert_close(out[0, :, i, j], expected)


@pytest.mark.parametrize("size", [(6, 8), (5, 7), (1, 2)])
@pytest.mark.parametrize(("right", "columns"), [(False, (-1, 0, 1)), (True, (0, 1))])
def test_up_sampling_goes_to_its_own_pixels_and_is_cut_to_the_size(
    right: bool, columns: tuple[int, ...], size: tuple[int, int]
) -> None:
    layer = perturbed(ShiftedUpsampling(2, 3, right=right))
    low = torch.randn(1, 2, -(-size[0] // 2), -(-size[1] // 2), dtype=torch.float64)
    expected, weight = layer.bias[:, None, None].repeat(1, *size), normalised(layer)
    for h in range(low.shape[2]):
        for w in range(low.shape[3]):
            for t, di in enumerate((0, 1)):
                for s, dj in enumerate(columns):
                    row, column = 2 * h + di, 2 * w + dj
                    if row < size[0] and 0 <= column < size[1]:
                        expected[:, row, column] += weight[:, :, t, s] @ low[0, :, h, w]
    torch.testing.assert_close(layer(low, size)[0], expected)


def test_the_gradient_does_not_change_the_length_of_a_direction() -> None:
    """It is orthogonal to the direction (Salimans & Kingma 2016, equation 4)."""
    layer = perturbed(ShiftedConv2d(2, 3, (2, 3), right=False))
    layer(torch.randn(4, 2, 5, 5, dtype=torch.float64)).exp().sum().backward()
    assert layer.direction.grad is not None
    assert layer.direction.grad.ne(0).all()
    along = (layer.direction.grad * layer.direction).flatten(1).sum(1)
    torch.testing.assert_close(along, torch.zeros_like(along), rtol=0, atol=1e-8)


def test_concatenated_elu_is_of_both_signs() -> None:
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(concat_elu(x), torch.cat((F.elu(x), F.elu(-x)), dim=1))
    torch.testing.assert_close(concat_elu(x, dim=-1), torch.cat((F.elu(x), F.elu(-x)), dim=-1))
    assert torch.autograd.gradcheck(concat_elu, (x,))


def test_layers_start_with_outputs_of_the_stated_size() -> None:
    x = concat_elu(torch.randn(64, 50, 8, 8))
    assert x.square().mean().sqrt().item() == pytest.approx(ELU_SIZE, abs=0.01)
    out = PointwiseConv2d(100, 200, gain=1 / ELU_SIZE)(x)
    assert out.square().mean().sqrt().item() == pytest.approx(1, abs=0.15)
    for right in (False, True):
        wide = ShiftedUpsampling(50, 200, right=right)(torch.randn(16, 50, 4, 4), (8, 8))
        assert wide.square().mean().sqrt().item() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("right", [False, True])
def test_a_gated_layer_starts_near_the_identity(right: bool) -> None:
    x = Features.of(torch.randn(4, 32, 8, 8))
    moved = GatedResidual(32, 0, right=right)(x, (), None).value - x.value
    assert 0.02 < moved.square().mean().sqrt().item() < 0.15


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("others", [0, 1, 2])
def test_a_gated_layer_is_that_of_the_paper(right: bool, others: int) -> None:
    """x + a sigmoid(b), where (a, b) = conv(elu(conv(elu(x)) + 1x1(elu(others)))) + V h, each elu of both signs."""
    layer = GatedResidual(3, others, right=right, context_size=2).double().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    x, *rest = (torch.randn(2, 3, 4, 5, dtype=torch.float64) for _ in range(1 + others))
    h = torch.randn(2, 2, dtype=torch.float64)
    hidden = layer.first(concat_elu(x))
    if layer.short_cut is not None:
        assert others
        hidden = hidden + layer.short_cut(torch.cat([concat_elu(one) for one in rest], dim=1))
    assert layer.context is not None
    gates = layer.second(concat_elu(hidden)) + (h @ layer.context.weight.T)[:, :, None, None]
    expected = x + gates[:, :3] * gates[:, 3:].sigmoid()
    found = layer(Features.of(x), [Features.of(one) for one in rest], h)
    torch.testing.assert_close(found.value, expected)
    torch.testing.assert_close(found.active, concat_elu(expected))


def test_dropout_is_of_the_hidden_features_in_training_alone() -> None:
    layer, x = GatedResidual(3, 0, right=True, dropout=0.5), Features.of(torch.randn(2, 3, 4, 4))
    seen: list[Tensor] = []
    layer.second.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    layer.eval()(x, (), None)
    layer.train()(x, (), None)
    whole, dropped = seen
    kept = dropped != 0
    assert 0.3 < kept.float().mean() < 0.7
    torch.testing.assert_close(dropped[kept], 2 * whole[kept])


def test_the_first_layer_sees_ones_inside_the_image() -> None:
    """Of an image of zeros, each stream still knows how far it is from the border."""
    layer = ShiftedInput(1, 2)
    vertical_ones = [[sum(0 <= j + dj < 5 for dj in (-1, 0, 1)) * min(i, 2) for j in range(5)] for i in range(4)]
    with torch.no_grad():
        for convolution in (layer.vertical, layer.above, layer.left):
            convolution.direction.fill_(1.0)
            convolution.scale.copy_(convolution.direction[0].numel() ** 0.5)  # so that all weights are 1
    vertical, horizontal = (features.value for features in layer(torch.zeros(1, 1, 4, 5)))
    torch.testing.assert_close(vertical[0, 0], torch.tensor(vertical_ones).float())
    above = [[sum(0 <= j + dj < 5 for dj in (-1, 0, 1)) * (i > 0) for j in range(5)] for i in range(4)]
    left = [[(1 + (i > 0)) * (j > 0) for j in range(5)] for i in range(4)]
    torch.testing.assert_close(horizontal[0, 0], (torch.tensor(above) + torch.tensor(left)).float())
