"""The gate and the gated layer of two stacks."""

import torch

from ancestral.layers.gated import GatedLayer, gate


def test_gate_is_tanh_times_sigmoid_with_the_right_gradient() -> None:
    x = torch.randn(2, 6, 3, 3, dtype=torch.float64, requires_grad=True)
    a, b = x.chunk(2, dim=1)
    torch.testing.assert_close(gate(x), torch.tanh(-a / 2) * torch.sigmoid(b))
    assert torch.autograd.gradcheck(gate, (x,))


def test_the_stacks_see_the_rows_above_and_the_pixels_to_the_left() -> None:
    layer = GatedLayer(4, 4, 3, 1)
    v, h = torch.randn(1, 4, 5, 5), torch.randn(1, 4, 5, 5)
    row, column = 2, 2
    vertical, horizontal = torch.autograd.functional.jacobian(
        lambda v, h: tuple(out[0, :, row, column].sum() for out in layer(v, h)), (v, h)
    )
    above = torch.zeros(5, 5, dtype=torch.bool)
    above[1:3, 1:4] = True  # rows up to `row`: the stack's input is shifted down by one
    left = torch.zeros(5, 5, dtype=torch.bool)
    left[2, 1:3] = True
    assert torch.equal(vertical[0][0].ne(0).any(0), above)
    assert torch.equal(vertical[1].ne(0).flatten(), torch.zeros(100, dtype=torch.bool))
    assert torch.equal(horizontal[0][0].ne(0).any(0), above)
    assert torch.equal(horizontal[1][0].ne(0).any(0), left)
