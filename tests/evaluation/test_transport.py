"""Wasserstein distances: closed forms against quantiles, programs and each other, estimates against closed forms."""

import itertools
import math
import sys

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MultivariateNormal, Normal

from ancestral.evaluation import wasserstein, wasserstein_from_critic, wasserstein_from_samples
from ancestral.evaluation.two_samples import frechet_distance
from ancestral.interface import Event, InputError, Levels
from ancestral.models.adversarial.wasserstein_gan import WGANGP
from tests.evaluation.known_critics import KnownCritic


def of(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def normal(mean: float, deviation: float) -> Normal:
    return Normal(of(mean)[0], of(deviation)[0])


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 2.0), (1.0, 1.0), (0.4, 1.5), (3.0, 0.2)])
def test_on_the_line_distances_are_between_quantiles(shift: float, scale: float) -> None:
    p, q = normal(0, 1), normal(shift, scale)
    z = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    apart = (z - (shift + scale * z)).abs() * normal(0, 1).log_prob(z).exp()
    assert wasserstein(p, q).value == pytest.approx(float(torch.trapezoid(apart, z)), rel=1e-7)
    assert wasserstein(p, q, order=2).value == pytest.approx(math.hypot(shift, scale - 1), rel=1e-12)
    assert wasserstein(q, p).value == pytest.approx(wasserstein(p, q).value, rel=1e-12)
    if scale != 1:
        assert wasserstein(p, q).value < wasserstein(p, q, order=2).value - 1e-3


def test_w2_of_gaussians_is_the_frechet_distance_of_their_moments() -> None:
    a, b = (torch.randn(50, 3, dtype=torch.float64) @ torch.randn(3, 3, dtype=torch.float64) + i for i in range(2))
    p, q = (MultivariateNormal(x.mean(0), torch.cov(x.T)) for x in (a, b))
    found = wasserstein(p, q, order=2)
    assert found.value**2 == pytest.approx(frechet_distance(a, b), rel=1e-8)
    assert (found.kind, found.stderr) == ("exact", None)
    assert wasserstein(p, p, order=2).value == pytest.approx(0, abs=1e-6)
    # Of covariances that commute it is coordinate by coordinate.
    p, q = (Independent(Normal(of(*mean), of(*scale)), 1) for mean, scale in (((0, 1), (1, 2)), ((2, 0), (3, 1))))
    assert wasserstein(p, q, order=2).value == pytest.approx(math.sqrt(4 + 1 + 4 + 1))


def test_w1_of_gaussians_of_one_covariance_is_their_shift_and_else_has_no_closed_form() -> None:
    covariance = of(2, 1, 1, 3).view(2, 2)
    p, q = MultivariateNormal(of(0, 0), covariance), MultivariateNormal(of(3, 4), covariance)
    assert wasserstein(p, q).value == pytest.approx(5)
    with pytest.raises(InputError, match="W_1 of Gaussians of several dimensions has no closed form"):
        wasserstein(p, MultivariateNormal(of(3, 4), 2 * covariance))


def test_atoms_by_hand_and_by_enumeration() -> None:
    p, q = Categorical(of(0.5, 0.5, 0.0)), Categorical(of(0.0, 0.5, 0.5))
    assert wasserstein(p, q).value == pytest.approx(1)
    assert wasserstein(p, q, order=2).value == pytest.approx(1)
    far = of(0, 1, 10)[:, None]
    # In order of size 0 goes to 1 and 1 to 10.
    assert wasserstein(p, q, points=far).value == pytest.approx(5)
    assert wasserstein(p, q, points=far, order=2).value == pytest.approx(math.sqrt(41))
    # An eighth more on one side, on two more atoms: pieces of mass are cut.
    uneven = wasserstein(Categorical(of(0.5, 0.5)), Categorical(of(0.25, 0.75)))
    assert uneven.value == pytest.approx(0.25)
    x, y = torch.randn(2, 5, 2, dtype=torch.float64)
    for order in (1, 2):
        costs = [
            sum(float((x[i] - y[j]).norm()) ** order for i, j in enumerate(match)) / 5
            for match in itertools.permutations(range(5))
        ]
        assert wasserstein_from_samples(x, y, order=order).value == pytest.approx(min(costs) ** (1 / order))
    # Atoms in the plane, of which each distribution has its own share.
    points, a, b = torch.cat([x, y]), torch.zeros(10), torch.zeros(10)
    a[:5], b[5:] = 0.2, 0.2
    found = wasserstein(Categorical(a), Categorical(b), points=points, order=2)
    assert found.value == pytest.approx(wasserstein_from_samples(x, y, order=2).value, rel=1e-6)
    assert found.kind == "exact"


@pytest.mark.parametrize("order", [1, 2])
def test_sorting_is_the_linear_program_on_a_line(order: int) -> None:
    x, y = torch.randn(40, dtype=torch.float64), 1 + 2 * torch.randn(27, dtype=torch.float64)
    line, plane = (wasserstein_from_samples(*pair, order=order) for pair in ((x, y), (in_plane(x), in_plane(y))))
    assert line.value == pytest.approx(plane.value, rel=1e-10)
    assert line.stderr == pytest.approx(plane.stderr, rel=0.05)


def in_plane(x: Tensor) -> Tensor:
    return torch.stack([0.6 * x, 0.8 * x], dim=1)


@pytest.mark.parametrize("order", [1, 2])
def test_estimates_on_the_line_scatter_as_they_say(order: int) -> None:
    p, q = normal(0, 1), normal(1, 2.5)
    exact = {k: wasserstein(p, q, order=k).value for k in (1, 2)}
    found = [wasserstein_from_samples(p.sample((500,)), q.sample((400,)), order=order) for _ in range(80)]
    z = torch.tensor([(one.value - exact[order]) / (one.stderr or 0) for one in found])
    assert abs(float(z.mean())) < 0.5
    assert 0.7 < float(z.std()) < 1.35
    # The mean of all is far from the distance of the other order.
    other = torch.tensor([(one.value - exact[3 - order]) / (one.stderr or 0) for one in found])
    assert abs(float(other.mean())) > 1.5


def test_estimates_in_the_plane_are_near_the_closed_form() -> None:
    p, shift = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2)), torch.tensor([3.0, 0.0])
    found = [wasserstein_from_samples(p.sample((300,)), p.sample((300,)) + shift, order=order) for order in (1, 2)]
    for one in found:
        assert one.kind == "estimate"
        assert one.stderr is not None
        assert abs(one.value - 3) < 3 * one.stderr < 0.4


def test_a_critic_of_slope_one_measures_the_shift() -> None:
    x, y = torch.randn(5000, 2) + torch.tensor([3.0, 4.0]), torch.randn(5000, 2)
    along = KnownCritic(lambda x: x @ torch.tensor([0.6, 0.8]) + 7, "potential", 2)
    found = wasserstein_from_critic(along, x, y, lipschitz=1.0)
    assert found.stderr is not None
    assert abs(found.value - 5) < 4 * found.stderr < 0.2
    # Of data less samples, so that a critic of the wrong sign is below 0.
    assert wasserstein_from_critic(along, y, x, lipschitz=1.0).value == pytest.approx(-found.value)
    # Another direction is a bound; a steeper slope is divided by, if it is known or looked for.
    other = KnownCritic(lambda x: x[:, 0], "potential", 2)
    assert wasserstein_from_critic(other, x, y, lipschitz=1.0).value == pytest.approx(3, abs=0.1)
    steep = KnownCritic(lambda x: 2.5 * (x @ torch.tensor([0.6, 0.8])), "potential", 2)
    for lipschitz in (2.5, None):
        assert wasserstein_from_critic(steep, x, y, lipschitz=lipschitz).value == pytest.approx(found.value, rel=1e-4)
    assert wasserstein_from_critic(steep, x, y, lipschitz=1.0).value == pytest.approx(2.5 * found.value, rel=1e-4)
    flat = KnownCritic(lambda x: 0 * x[:, 0], "potential", 2)
    assert wasserstein_from_critic(flat, x, y, lipschitz=None).value == 0


def test_a_critic_of_levels_measures_in_levels() -> None:
    """Its networks see 17 levels on [-1, 1]; the distance is that of the data, whatever scale the critic has."""
    model = WGANGP(Event((2,), Levels(17)), latent_dim=2, hidden=[4], critic_hidden=[4])
    x, y = torch.full((50, 2), 11.0), torch.full((50, 2), 3.0)
    x[::2] += 1
    found = abs(wasserstein_from_critic(model, x, y).value)
    assert 0 < found <= wasserstein_from_samples(x, y).value * 1.0001
    with torch.no_grad():
        model.critic.output.weight.mul_(10)
    assert abs(wasserstein_from_critic(model, x, y).value) == pytest.approx(found, rel=1e-4)


def test_the_largest_slope_is_looked_for_between_the_draws() -> None:
    """|x| has slope 1 but in the middle, a step of slope 5 lies between the two sides alone."""
    step = KnownCritic(lambda x: x[:, 0] + 2 * torch.tanh(2 * x[:, 0]), "potential")
    x, y = 4 + 0.1 * torch.randn(400, 1), -4 + 0.1 * torch.randn(400, 1)
    assert wasserstein_from_critic(step, x, y, lipschitz=None).value == pytest.approx(12 / 5, rel=0.05)


def test_without_pot_a_distance_in_the_plane_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(InputError, match=r"POT, which is not installed; pip install ancestral\[quality\]"):
        wasserstein_from_samples(torch.randn(5, 2), torch.randn(5, 2))
    assert wasserstein_from_samples(torch.randn(5, 1), torch.randn(5, 1)).value > 0


def test_bad_input_is_refused(untyped: None) -> None:
    x, logit = torch.randn(5, 1), KnownCritic(lambda x: x[:, 0], "logit")
    with pytest.raises(InputError, match="order must be 1 or 2, got 3"):
        wasserstein_from_samples(x, x, order=3)
    with pytest.raises(InputError, match="of one event"):
        wasserstein_from_samples(x, torch.randn(5, 2))
    with pytest.raises(InputError, match="at least 2 draws"):
        wasserstein_from_samples(x[:1], x)
    with pytest.raises(InputError, match="20,000 and 20,000 points needs 3.2 GB"):
        wasserstein_from_samples(torch.zeros(20_000, 2), torch.zeros(20_000, 2))
    with pytest.raises(InputError, match="KnownCritic outputs a logit, not a potential"):
        wasserstein_from_critic(logit, x, x)
    with pytest.raises(InputError, match="3 points need as many categories of both, got 2 and 2"):
        wasserstein(Categorical(of(0.5, 0.5)), Categorical(of(0.5, 0.5)), points=torch.zeros(3, 2))
    with pytest.raises(InputError, match="points say where the categories"):
        wasserstein(normal(0, 1), normal(0, 1), points=torch.zeros(3, 2))
