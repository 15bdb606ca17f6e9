"""Kullback-Leibler and Jensen-Shannon: exact against quadrature in float64; estimates and bounds against them."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    Laplace,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)
from torch.distributions import (
    kl_divergence as torch_kl,
)

from ancestral.evaluation import (
    jensen_shannon,
    jensen_shannon_from_densities,
    jensen_shannon_from_discriminator,
    jensen_shannon_from_samples,
    kl_divergence,
    kl_from_densities,
    kl_from_discriminator,
    kl_from_samples,
)
from ancestral.interface import InputError
from tests.evaluation.known_critics import KnownCritic


def of(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


LINE = torch.linspace(-30, 30, 40_001, dtype=torch.float64)
#: The logarithm of their ratio is bounded above.
P, Q = Normal(of(0.0)[0], of(0.7)[0]), Normal(of(1.0)[0], of(1.4)[0])


def integral_kl(p: Distribution, q: Distribution) -> float:
    log_p, log_q = p.log_prob(LINE), q.log_prob(LINE)
    return float(torch.trapezoid(log_p.exp() * (log_p - log_q), LINE))


def integral_js(p: Distribution, q: Distribution) -> float:
    log_p, log_q = p.log_prob(LINE), q.log_prob(LINE)
    middle = (0.5 * (log_p.exp() + log_q.exp())).log()
    of_p, of_q = log_p.exp() * (log_p - middle), log_q.exp() * (log_q - middle)
    return float(0.5 * torch.trapezoid(of_p.nan_to_num() + of_q.nan_to_num(), LINE))


def full(seed: int, d: int = 3) -> MultivariateNormal:
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(d, d, generator=generator, dtype=torch.float64)
    mean = torch.randn(d, generator=generator, dtype=torch.float64)
    return MultivariateNormal(mean, root @ root.T + 0.5 * torch.eye(d, dtype=torch.float64))


# -- In closed form ----------------------------------------------------------------------------------------------------


def test_kl_of_gaussians_is_the_integral_both_ways() -> None:
    there, back = kl_divergence(P, Q), kl_divergence(Q, P)
    assert there.value == pytest.approx(integral_kl(P, Q), rel=1e-12)
    assert back.value == pytest.approx(integral_kl(Q, P), rel=1e-12)
    assert there.value == pytest.approx(math.log(2) + 1.49 / (2 * 1.4**2) - 0.5, rel=1e-12)
    assert abs(there.value - back.value) > 0.5
    assert (there.kind, there.stderr) == ("exact", None)


def test_kl_of_full_and_of_diagonal_covariances() -> None:
    p, q = full(1), full(2)
    assert kl_divergence(p, q).value == pytest.approx(torch_kl(p, q).item(), rel=1e-10)
    diagonal, wide = (
        Independent(Normal(of(*mean), of(*scale)), 1) for mean, scale in (((0, 1), (1, 2)), ((2, 0), (3, 1)))
    )
    assert kl_divergence(diagonal, wide).value == pytest.approx(torch_kl(diagonal, wide).item(), rel=1e-12)
    as_full = MultivariateNormal(wide.mean, wide.variance.diag())
    assert kl_divergence(diagonal, as_full).value == pytest.approx(torch_kl(diagonal, wide).item(), rel=1e-12)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 2.0), (1.0, 1.0), (0.3, 0.05), (40.0, 1.0), (0.0, 1.0)])
def test_js_of_gaussians_is_the_integral(shift: float, scale: float) -> None:
    p, q = Normal(of(0.0)[0], of(1.0)[0]), Normal(of(shift)[0], of(scale)[0])
    found = jensen_shannon(p, q)
    if shift < 20:
        assert found.value == pytest.approx(integral_js(p, q), rel=1e-9, abs=1e-15)
    else:
        assert found.value == pytest.approx(math.log(2), rel=1e-12)
    assert jensen_shannon(q, p).value == pytest.approx(found.value, rel=1e-12, abs=1e-15)


def test_js_of_gaussians_of_many_dimensions_hangs_on_where_they_differ_alone() -> None:
    """An affine map changes nothing, so that equal covariances leave N(0, 1) against N(Mahalanobis distance, 1)."""
    p, shift = full(3, d=6), torch.linspace(-1, 1, 6, dtype=torch.float64)
    q = MultivariateNormal(p.mean + shift, p.covariance_matrix)
    distance = float((shift @ torch.linalg.solve(p.covariance_matrix, shift)).sqrt())
    line = jensen_shannon(Normal(of(0.0)[0], of(1.0)[0]), Normal(of(distance)[0], of(1.0)[0]))
    assert jensen_shannon(p, q).value == pytest.approx(line.value, rel=1e-8)
    plane, other = full(4, d=2), full(5, d=2)
    estimate = jensen_shannon_from_densities(
        plane.sample((200_000,)), other.sample((200_000,)), plane.log_prob, other.log_prob
    )
    assert estimate.stderr is not None
    assert abs(jensen_shannon(plane, other).value - estimate.value) < 4 * estimate.stderr < 0.01
    with pytest.raises(InputError, match="differ in 3 directions has no closed form"):
        jensen_shannon(full(1), full(2))


def test_categorical_divergences_by_hand() -> None:
    p, q = Categorical(of(0.5, 0.5, 0.0)), Categorical(of(0.25, 0.25, 0.5))
    assert kl_divergence(p, q).value == pytest.approx(math.log(2))
    assert kl_divergence(q, p).value == math.inf
    # m = (3/8, 3/8, 1/4).
    by_hand = 0.5 * math.log(4 / 3) + 0.5 * (0.5 * math.log(2 / 3) + 0.5 * math.log(2))
    assert jensen_shannon(p, q).value == pytest.approx(by_hand)
    apart = jensen_shannon(Categorical(of(1.0, 0.0)), Categorical(of(0.0, 1.0)))
    assert apart.value == pytest.approx(math.log(2))
    assert jensen_shannon(p, p).value == 0
    # A mass below the dtype's epsilon is no zero, by its logit or by itself.
    rare = kl_divergence(Categorical(of(0.5, 0.5)), Categorical(logits=of(0.0, -900.0)))
    assert rare.value == pytest.approx(-math.log(2) + 450)
    rare = kl_divergence(Categorical(of(0.5, 0.5)), Categorical(of(1.0, 1e-30)))
    assert rare.value == pytest.approx(-math.log(2) + 15 * math.log(10))


def test_a_categorical_of_cells_is_quadrature() -> None:
    cells = [Categorical(logits=distribution.log_prob(LINE)) for distribution in (P, Q)]
    assert kl_divergence(*cells).value == pytest.approx(kl_divergence(P, Q).value, rel=1e-10)
    assert jensen_shannon(*cells).value == pytest.approx(jensen_shannon(P, Q).value, rel=1e-10)


def test_what_has_no_closed_form_says_what_to_use() -> None:
    mixture = MixtureSameFamily(Categorical(of(0.5, 0.5)), Normal(of(0, 1), of(1, 1)))
    for other in (mixture, Laplace(of(0.0)[0], of(1.0)[0])):
        with pytest.raises(InputError, match="closed forms are of two Gaussians"):
            kl_divergence(P, other)
    with pytest.raises(InputError, match=r"a batch of shape \(2,\).*Independent"):
        kl_divergence(Normal(of(0, 1), of(1, 1)), P)
    with pytest.raises(InputError, match="as many dimensions, got 3 and 2"):
        kl_divergence(full(1), full(1, d=2))
    with pytest.raises(InputError, match="as many categories, got 2 and 3"):
        jensen_shannon(Categorical(of(0.5, 0.5)), Categorical(of(0.2, 0.3, 0.5)))


# -- Estimates ---------------------------------------------------------------------------------------------------------


def z_scores(estimates: list, exact: float) -> Tensor:
    return torch.tensor([(estimate.value - exact) / estimate.stderr for estimate in estimates])


def assert_unbiased(estimates: list, exact: float) -> None:
    """Their mean is right, and they scatter as they say."""
    z = z_scores(estimates, exact)
    assert abs(float(z.mean())) < 3.5 / math.sqrt(len(z))
    assert 0.6 < float(z.std()) < 1.5
    assert {estimate.kind for estimate in estimates} == {"estimate"}


def test_estimates_from_densities_scatter_around_the_closed_forms() -> None:
    kl, js = [], []
    for _ in range(60):
        x, y = P.sample((400, 1)), Q.sample((400, 1))
        densities = [lambda x, of=of: of.log_prob(x)[:, 0] for of in (P, Q)]
        kl.append(kl_from_densities(x, *densities))
        js.append(jensen_shannon_from_densities(x, y, *densities))
    assert_unbiased(kl, kl_divergence(P, Q).value)
    assert_unbiased(js, jensen_shannon(P, Q).value)
    # A reversed divergence, or one without its factor of 1/2, is far off.
    assert z_scores(kl, kl_divergence(Q, P).value).max() < -3
    assert z_scores(js, 2 * jensen_shannon(P, Q).value).max() < -3


def test_where_q_has_no_mass_the_estimate_is_infinite() -> None:
    densities = [lambda x: torch.zeros(len(x)), lambda x: torch.where(x[:, 0] < 0.5, math.log(2), -math.inf)]
    x = torch.rand(100, 1)
    found = kl_from_densities(x, *densities)
    assert (found.value, found.stderr) == (math.inf, None)
    # JS = 1/2 ln 2 + ... by hand: half of p against 1/2 + 1, half against 1/2, q against 3/2 of 2.
    exact = 0.5 * (0.5 * math.log(1 / 1.5) + 0.5 * math.log(2)) + 0.5 * math.log(2 / 1.5)
    found = jensen_shannon_from_densities(torch.rand(20_000, 1), 0.5 * torch.rand(20_000, 1), *densities)
    assert found.stderr is not None
    assert abs(found.value - exact) < 4 * found.stderr < 0.02
    with pytest.raises(InputError, match="not finite under what they are said to be drawn from"):
        kl_from_densities(x, *reversed(densities))


@pytest.mark.parametrize("d", [1, 2])
def test_nearest_neighbours_scatter_around_the_closed_forms(d: int) -> None:
    p, q = (Independent(Normal(torch.full((d,), float(of.mean)), float(of.stddev)), 1) for of in (P, Q))
    kl, js = [], []
    for _ in range(12):
        x, y = p.sample((800,)), q.sample((1200,))
        kl.append(kl_from_samples(x, y))
        js.append(jensen_shannon_from_samples(x, y))
    exact = kl_divergence(p, q).value, jensen_shannon(p, q).value
    for found, right in zip((kl, js), exact, strict=True):
        z = z_scores(found, right)
        assert abs(float(z.mean())) < 1, "the bias exceeds the stated error"
        assert z.abs().max() < 4
    assert abs(z_scores(kl, kl_divergence(q, p).value).mean()) > 5
    assert abs(z_scores(js, 2 * exact[1]).mean()) > 3


def test_nearest_neighbours_see_samples_of_one_distribution_as_one() -> None:
    x, y = torch.randn(2, 2000, 3)
    found = kl_from_samples(x, y)
    assert found.stderr is not None
    assert abs(found.value) < 4 * found.stderr < 0.2


def test_samples_that_no_density_has_are_refused(untyped: None) -> None:
    with pytest.raises(InputError, match="some draws are equal"):
        kl_from_samples(torch.randint(3, (50, 1)), torch.randint(3, (50, 1)))
    with pytest.raises(InputError, match="5 nearest neighbours need more draws than 5 and 50"):
        kl_from_samples(torch.randn(5, 2), torch.randn(50, 2))
    with pytest.raises(InputError, match="of one event"):
        kl_from_samples(torch.randn(50, 2), torch.randn(50, 3))


# -- A discriminator's bounds ------------------------------------------------------------------------------------------


def log_ratio(x: Tensor) -> Tensor:
    return P.log_prob(x[:, 0]) - Q.log_prob(x[:, 0])


def test_the_optimal_logit_reaches_the_divergences() -> None:
    critic, n = KnownCritic(log_ratio, "logit"), 100_000
    x, y = P.sample((n, 1)).float(), Q.sample((n, 1)).float()
    expected = [
        (jensen_shannon_from_discriminator(critic, x, y), jensen_shannon(P, Q)),
        (kl_from_discriminator(critic, x, y), kl_divergence(P, Q)),
        (kl_from_discriminator(critic, x, y, bound="f_gan"), kl_divergence(P, Q)),
    ]
    for found, exact in expected:
        assert found.kind == "lower bound"
        assert found.stderr is not None
        assert abs(found.value - exact.value) < 4 * found.stderr < 0.03
    # Backwards the weights e^-T of P and Q have no variance: here two of one scale, with a KL of 1/2.
    near = KnownCritic(lambda x: 0.5 - x[:, 0], "logit")
    x, y = torch.randn(n, 1), 1 + torch.randn(n, 1)
    for bound in ("donsker_varadhan", "f_gan"):
        back = kl_from_discriminator(near, x, y, reverse=True, bound=bound)
        assert back.stderr is not None
        assert abs(back.value - 0.5) < 4 * back.stderr < 0.05


def test_any_other_logit_stays_below_and_donsker_varadhan_the_least() -> None:
    x, y = P.sample((20_000, 1)).float(), Q.sample((20_000, 1)).float()
    for other in (lambda x: log_ratio(x) + 1, lambda x: 0.5 * log_ratio(x), lambda x: -log_ratio(x).clamp(-3, 3)):
        critic = KnownCritic(other, "logit")
        js = jensen_shannon_from_discriminator(critic, x, y)
        tight, loose = (kl_from_discriminator(critic, x, y, bound=b) for b in ("donsker_varadhan", "f_gan"))
        assert js.value < jensen_shannon(P, Q).value - 0.01
        assert loose.value < tight.value
        assert loose.value < kl_divergence(P, Q).value - 0.01
    # A constant on the logit is no matter to Donsker and Varadhan's.
    shifted = kl_from_discriminator(KnownCritic(lambda x: log_ratio(x) + 1, "logit"), x, y)
    unshifted = kl_from_discriminator(KnownCritic(log_ratio, "logit"), x, y)
    assert shifted.value == pytest.approx(unshifted.value, rel=1e-4)


def test_a_potential_is_no_logit(untyped: None) -> None:
    critic = KnownCritic(lambda x: x[:, 0], "potential")
    for bound in (jensen_shannon_from_discriminator, kl_from_discriminator):
        with pytest.raises(InputError, match="KnownCritic outputs a potential, not a logit; use wasserstein_from"):
            bound(critic, torch.randn(5, 1), torch.randn(5, 1))
    with pytest.raises(InputError, match='bound must be "donsker_varadhan" or "f_gan"'):
        kl_from_discriminator(critic, torch.randn(5, 1), torch.randn(5, 1), bound="chi")
