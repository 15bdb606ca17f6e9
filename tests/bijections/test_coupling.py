import pytest
import torch
from torch import Tensor, nn

from ancestral.bijections import AffineCoupling, AlternatingCouplings, Chain, CheckerboardCoupling
from tests.bijections.bijection_cases import alternating, checkerboard, perturbed


class _Fixed(nn.Module):
    """Shifts the second half by 3 times the first and scales it with raw log-scale equal to the first."""

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        return torch.cat([3 * x, x], dim=1)


def test_one_coupling_is_the_formula_written_by_hand() -> None:
    x = torch.randn(6, 4)
    a, b = x[:, :2], x[:, 2:]
    z, log_det = AffineCoupling(_Fixed(), first=False)(x)
    scale = torch.tanh(a)
    torch.testing.assert_close(z, torch.cat([a, b * torch.exp(scale) + 3 * a], dim=1))
    torch.testing.assert_close(log_det, scale.sum(1))
    z, log_det = AffineCoupling(_Fixed(), first=True)(x)
    scale = torch.tanh(b)
    torch.testing.assert_close(z, torch.cat([a * torch.exp(scale) + 3 * b, b], dim=1))
    torch.testing.assert_close(log_det, scale.sum(1))


@pytest.mark.parametrize("couplings", [2, 3])
def test_alternating_couplings_are_a_chain_of_couplings(couplings: int) -> None:
    model = perturbed(alternating(5, couplings))
    x = torch.randn(6, 5)
    steps = [AffineCoupling(network, first=i % 2 == 1) for i, network in enumerate(model.conditioners)]
    plain = AlternatingCouplings(list(model.conditioners))
    torch.testing.assert_close(plain(x), Chain(steps)(x))


def test_a_checkerboard_keeps_every_other_pixel_and_sees_only_those() -> None:
    x = torch.randn(1, 2, 3, 4)
    for even in (False, True):
        coupling = perturbed(checkerboard(2, 3, 4, even=even))
        assert isinstance(coupling, CheckerboardCoupling)
        moves = torch.tensor([[(row + column) % 2 == (not even) for column in range(4)] for row in range(3)])
        z, _ = coupling(x)
        torch.testing.assert_close(z[..., ~moves], x[..., ~moves], rtol=0, atol=0)
        assert (z[..., moves] != x[..., moves]).all()
        jacobian = torch.func.jacrev(lambda image: coupling(image[None])[0][0])(x[0])  # noqa: B023
        of_moved_by_moved = jacobian[:, moves][..., moves].reshape(12, 12)
        assert torch.equal(of_moved_by_moved, of_moved_by_moved.diag().diag())


def test_outside_the_box_that_conditioners_see_a_coupling_is_affine() -> None:
    coupling = perturbed(checkerboard(1, 4, 4, even=True))
    x = 100 * torch.sign(torch.randn(1, 1, 4, 4))
    steps = torch.stack([coupling(x * factor)[0] for factor in (1.0, 2.0, 3.0)])
    torch.testing.assert_close(steps[2] - steps[1], steps[1] - steps[0])
