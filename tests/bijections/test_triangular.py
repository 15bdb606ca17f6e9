"""The triangular transform: what sees what, both directions, and the gradients of the one that is solved for."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from ancestral.bijections import Chain, Inverse, MaskedAutoregressive
from ancestral.interface import InputError
from tests.bijections.bijection_cases import jacobians, perturbed, relative_error


def transform(
    features: int = 5, context_size: int = 0, *, reverse: bool = False, hidden: Sequence[int] = (12, 16)
) -> MaskedAutoregressive:
    return perturbed(MaskedAutoregressive(features, hidden, context_size, reverse=reverse)).double()


def rows(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("reverse", [False, True])
def test_both_directions_are_triangular_in_the_order_of_the_features(reverse: bool) -> None:
    flow, x = transform(reverse=reverse), rows(6, 5)
    for function in (lambda x: flow(x)[0], lambda z: flow.inverse(z)[0]):
        jacobian = jacobians(function, x)
        zero = jacobian.tril(-1) if reverse else jacobian.triu(1)
        assert not zero.any()
        assert (jacobian.diagonal(dim1=1, dim2=2) > 0).all()
        assert (jacobian != 0).float().mean() > 0.5


def test_it_is_the_gaussian_conditionals_of_the_paper() -> None:
    flow, x = transform(3), rows(4, 3)
    shift, raw = flow.network(x).unbind(1)
    deviation = raw.tanh().exp()
    z, log_det = flow(x)
    torch.testing.assert_close(z, (x - shift) / deviation)
    normal = torch.distributions.Normal(0.0, 1.0)
    of_data = torch.distributions.Normal(shift, deviation).log_prob(x).sum(1)
    torch.testing.assert_close(normal.log_prob(z).sum(1) + log_det, of_data)


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_through_the_solution_are_those_of_finite_differences(reverse: bool) -> None:
    flow = transform(4, 2, reverse=reverse, hidden=[5])
    parameters = list(flow.parameters())

    def solve(z: Tensor, context: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        return flow.inverse(z, context)

    inputs = [value.requires_grad_() for value in (2 * rows(3, 4), rows(3, 2))]
    assert torch.autograd.gradcheck(solve, (*inputs, *parameters))


def test_gradients_through_the_solution_are_those_of_the_steps_written_out() -> None:
    flow, z = transform(6), 3 * rows(5, 6)
    x = z.clone()
    for _ in range(6):  # the first k features are right after k rounds
        shift, raw = flow.network(x).unbind(1)
        x = torch.addcmul(shift, z, raw.tanh().exp())
    weights = rows(5, 6)
    expected = torch.autograd.grad((weights * x.sin()).sum() + flow(x)[1].square().sum(), list(flow.parameters()))
    solved, log_det = flow.inverse(z)
    found = torch.autograd.grad((weights * solved.sin()).sum() + log_det.square().sum(), list(flow.parameters()))
    assert max(relative_error(a, b) for a, b in zip(found, expected, strict=True)) < 1e-10


def test_what_nothing_asks_the_gradient_of_has_none() -> None:
    flow, z = transform(3, 2), rows(2, 3)
    assert flow.inverse(z)[0].requires_grad
    flow.requires_grad_(False)
    assert not flow.inverse(z)[0].requires_grad
    assert flow.inverse(z, rows(2, 2).requires_grad_())[1].requires_grad
    with torch.no_grad():
        assert not flow.inverse(z.requires_grad_())[0].requires_grad


def test_a_second_derivative_of_a_solution_is_refused_not_wrong() -> None:
    flow, z = transform(3), rows(2, 3).requires_grad_()
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.grad(flow.inverse(z)[0].sum(), z, create_graph=True)


def test_the_context_of_a_row_enters_that_row_both_ways() -> None:
    flow, x, context = transform(4, 3), rows(6, 4), rows(6, 3)
    z, log_det = flow(x, context)
    back, log_det_back = flow.inverse(z, context)
    assert relative_error(back, x) < 1e-10
    assert relative_error(-log_det_back, log_det) < 1e-10
    other = context.clone()
    other[2] += 1
    changed = (flow(x, other)[0] != z).any(1)
    assert changed.tolist() == [row == 2 for row in range(6)]


def test_untrained_it_is_the_identity() -> None:
    flow, x = MaskedAutoregressive(5, [8], 2), torch.randn(4, 5)
    for z, log_det in (flow(x, torch.randn(4, 2)), flow.inverse(x, torch.randn(4, 2))):
        assert torch.equal(z, x)
        assert not log_det.any()


def test_the_other_way_round_twice_is_the_same() -> None:
    flow = Chain([transform(), transform(reverse=True)])
    x = rows(4, 5)
    torch.testing.assert_close(Inverse(Inverse(flow))(x), flow(x))
    torch.testing.assert_close(Inverse(flow).inverse(x), flow(x))
    torch.testing.assert_close(Inverse(flow)(x), flow.inverse(x))


@pytest.mark.parametrize("hidden", [[], [4, 0]])
def test_widths_that_it_refuses(hidden: list[int]) -> None:
    with pytest.raises(InputError, match="hidden needs widths"):
        MaskedAutoregressive(3, hidden)
