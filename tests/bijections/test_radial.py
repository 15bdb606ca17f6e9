import torch
from torch.nn import functional as F

from ancestral.bijections import RadialFlows
from tests.bijections.bijection_cases import perturbed, relative_error


def test_a_radial_map_is_the_formula() -> None:
    flow = perturbed(RadialFlows(3, 1)).double()
    x = torch.randn(6, 3, dtype=torch.float64)
    z, log_det = flow(x)
    ((centre, alpha, s),) = flow._maps(None)
    beta = s - alpha
    assert bool((beta >= -alpha).all())
    r = torch.linalg.vector_norm(x - centre, dim=1)
    h, slope = 1 / (alpha + r), -1 / (alpha + r).square()
    torch.testing.assert_close(z, x + (beta * h)[:, None] * (x - centre))
    torch.testing.assert_close(log_det, ((1 + beta * h).pow(2) * (1 + beta * h + beta * slope * r)).log())


def test_a_map_that_empties_its_centre_keeps_its_determinant_and_its_inverse_in_float32() -> None:
    """beta next to -alpha: the volume all but vanishes around z_0, and 1 + beta h is lost in rounding."""
    flow = RadialFlows(40, 1)
    flow.bias.detach()[-2:] = torch.tensor([2.0, -20.0])
    flow.bias.detach()[:-2] = 0  # where a centre lies, float32 decides on the distance itself
    for r in (1e-6, 1e-3, 1.0):
        x = r * F.normalize(torch.randn(64, 40))
        z, log_det = flow.float()(x)
        assert relative_error(flow.inverse(z)[0] / r, x / r) < 1e-4
        assert relative_error(log_det.double(), flow.double()(x.double())[1]) < 1e-5
