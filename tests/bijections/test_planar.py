import torch

from ancestral.bijections import PlanarFlows
from tests.bijections.bijection_cases import perturbed, relative_error


def test_planar_maps_are_the_formula_one_after_the_other() -> None:
    flow = perturbed(PlanarFlows(3, 4, context_size=2)).double()
    x, context = torch.randn(6, 3, dtype=torch.float64), torch.randn(6, 2, dtype=torch.float64)
    z, log_det = flow(x, context)
    w, u, b, _ = flow._maps(context)
    assert bool(((w * u).sum(2) >= -1).all())
    expected, total = x, torch.zeros(6, dtype=torch.float64)
    for k in range(4):
        argument = (w[:, k] * expected).sum(1) + b[:, k]
        psi = (1 - argument.tanh().square())[:, None] * w[:, k]  # equation 11
        total = total + (1 + (psi * u[:, k]).sum(1)).abs().log()
        expected = expected + u[:, k] * argument.tanh()[:, None]
    torch.testing.assert_close(z, expected)
    torch.testing.assert_close(log_det, total)


def test_a_map_that_closes_a_gap_keeps_its_determinant_in_float32() -> None:
    """w . u far below -1: on the hyperplane the volume all but vanishes, and 1 + w . u^ is lost in rounding."""
    for depth in (-8.0, -12.0, -100.0):
        flow = PlanarFlows(8, 1)
        w, u = flow.w.detach(), flow.u.detach()
        flow.b.detach().zero_()
        u.add_(w, alpha=float((depth - (w * u).sum()) / w.square().sum()))
        x = torch.randn(256, 8)
        x = x - (x @ w[0])[:, None] * w / w.square().sum()
        _, log_det = flow(x)
        _, precise = flow.double()(x.double())
        assert relative_error(log_det.double(), precise) < 1e-4
        assert bool((log_det < max(depth + 1, -13)).all())
