"""Posteriors: what they draw has the density that they say, and their parts fit together."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ancestral.bijections import Bijection, MaskedAutoregressive, PlanarFlows, RadialFlows
from ancestral.distributions import DiagonalGaussian, FlowPosterior, LayeredGaussian, Posterior


def gaussian(rows: int = 3) -> Posterior:
    return DiagonalGaussian(torch.randn(rows, 4, dtype=torch.float64), like=torch.zeros((), dtype=torch.float64))


def layered(rows: int = 3) -> Posterior:
    network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)).double()
    first = gaussian(rows)
    assert isinstance(first, DiagonalGaussian)
    return LayeredGaussian(first, [network], [2, 1])


def bent(flow: Bijection, rows: int = 3) -> Posterior:
    first = gaussian(rows)
    assert isinstance(first, DiagonalGaussian)
    module = flow.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return FlowPosterior(first, module, torch.randn(rows, 4, dtype=torch.float64))


KINDS: dict[str, Callable[[], Posterior]] = {
    "diagonal": gaussian,
    "layered": layered,
    "planar": lambda: bent(PlanarFlows(2, 3, 4)),
    "radial": lambda: bent(RadialFlows(2, 3, 4)),
    "inverse autoregressive": lambda: bent(MaskedAutoregressive(2, [8], 4)),
}


@pytest.fixture(params=KINDS)
def posterior(request: pytest.FixtureRequest) -> Posterior:
    torch.manual_seed(3)
    return KINDS[request.param]()


def test_a_draw_comes_with_its_density(posterior: Posterior) -> None:
    z, log_density = posterior.rsample(5)
    assert z.shape == (5, posterior.batch, posterior.size)
    torch.testing.assert_close(posterior.log_prob(z), log_density, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(posterior.distribution.log_prob(z), log_density, rtol=1e-7, atol=1e-7)


def test_the_density_is_normalised_and_that_of_the_draws(posterior: Posterior) -> None:
    """Against a wider density r, importance weights q / r average to 1 and give the mean of the draws."""
    with torch.no_grad():
        drawn = posterior.rsample(20_000)[0]
        wide = DiagonalGaussian(
            torch.cat([drawn.mean(0), (2.5 * drawn.var(0)).log()], dim=1), like=torch.zeros((), dtype=torch.float64)
        )
        z, log_density = wide.rsample(40_000)
        weights = (posterior.log_prob(z) - log_density).exp()
        error = weights.std(0) / 200
        assert bool(((weights.mean(0) - 1).abs() < 5 * error + 1e-9).all())
        difference = weights[..., None] * z - drawn.mean(0)
        noise = (difference.var(0) / 40_000 + drawn.var(0) / 20_000).sqrt()
        assert bool((difference.mean(0).abs() < 5 * noise).all())


def test_a_mean_that_is_estimated_is_the_same_for_a_row_alone(posterior: Posterior) -> None:
    with torch.no_grad():
        before = torch.get_rng_state()
        mean, again = posterior.mean, posterior.mean
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.equal(mean, again)
        drawn = posterior.rsample(20_000)[0]
        assert bool(((mean - drawn.mean(0)).abs() < 5 * drawn.std(0) / 16).all())


def test_frozen_parameters_pass_no_gradient() -> None:
    torch.manual_seed(0)
    outputs = torch.randn(3, 4, requires_grad=True)
    network = nn.Linear(2, 2)
    posterior = LayeredGaussian(DiagonalGaussian(outputs, like=outputs), [network], [2, 1])
    z: Tensor = torch.randn(2, 3, 3, requires_grad=True)
    frozen = posterior.frozen().log_prob(z)
    torch.testing.assert_close(frozen, posterior.log_prob(z))
    (of_z,) = torch.autograd.grad(frozen.sum(), z, retain_graph=True)
    torch.testing.assert_close(of_z, torch.autograd.grad(posterior.log_prob(z).sum(), z)[0])
    of_parameters = torch.autograd.grad(frozen.sum(), [outputs, *network.parameters()], allow_unused=True)
    assert all(gradient is None for gradient in of_parameters)
