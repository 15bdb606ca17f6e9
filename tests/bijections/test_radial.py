import torch

from ancestral.bijections import RadialFlows
from tests.bijections.bijection_cases import perturbed


def test_a_radial_map_is_the_formula() -> None:
    flow = perturbed(RadialFlows(3, 1)).double()
    x = torch.randn(6, 3, dtype=torch.float64)
    z, log_det = flow(x)
    ((centre, alpha, beta),) = flow._maps(None)
    assert bool((beta >= -alpha).all())
    r = torch.linalg.vector_norm(x - centre, dim=1)
    h, slope = 1 / (alpha + r), -1 / (alpha + r).square()
    torch.testing.assert_close(z, x + (beta * h)[:, None] * (x - centre))
    torch.testing.assert_close(log_det, ((1 + beta * h).pow(2) * (1 + beta * h + beta * slope * r)).log())
