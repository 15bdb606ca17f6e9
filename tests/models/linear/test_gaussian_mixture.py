"""The Gaussian mixture against scikit-learn, EM as coordinate ascent, and each way a component can die."""

import itertools
from typing import get_args

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture as SklearnMixture
from torch.distributions import MultivariateNormal

from ancestral.interface import Event, InputError, Levels, Real
from ancestral.models.linear.gaussian_mixture import Covariance, GaussianMixture
from ancestral.models.linear.quadratic import Matrices, Pairs, Quadratic
from ancestral.registry import build

KINDS = get_args(Covariance)
SKLEARN = {"spherical": "spherical", "diagonal": "diag", "tied": "tied", "full": "full"}


def clusters(n: int = 900, size: int = 5, offset: float = 0.0) -> torch.Tensor:
    x = torch.randn(n, size) @ torch.randn(size, size) + 2 * torch.randn(4, size)[torch.randint(0, 4, (n,))]
    return x + offset


def unit_start(model: GaussianMixture, x: torch.Tensor) -> None:
    """The first rows as means, unit covariances."""
    model.means.copy_(x[: model.components].flatten(1))
    size = model.event.size
    units = {
        "spherical": torch.ones(model.components),
        "diagonal": torch.ones(model.components, size),
        "tied": torch.eye(size),
        "full": torch.eye(size).expand(model.components, -1, -1),
    }
    model.covariances.copy_(units[model.covariance])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_score_and_parameters_equal_scikit_learns_from_the_same_start(kind: Covariance) -> None:
    x = clusters(offset=100.0)
    model = GaussianMixture(Event((5,), Real()), components=4, covariance=kind)
    model.rows_at_once = 200  # several chunks, and a remainder
    unit_start(model, x)
    # A unit covariance is its own precision.
    start = {"weights_init": model.weights, "means_init": model.means, "precisions_init": model.covariances}
    numpy_start = {name: value.numpy().copy() for name, value in start.items()}
    peer = SklearnMixture(4, covariance_type=SKLEARN[kind], max_iter=7, tol=0, **numpy_start).fit(x.double().numpy())
    for _ in range(7):
        model.fit_step(x)
    assert float(model.log_prob(x).mean()) == pytest.approx(peer.score(x.double().numpy()), rel=1e-9)
    np.testing.assert_allclose(model.weights, peer.weights_, rtol=1e-6)
    np.testing.assert_allclose(model.means, peer.means_, rtol=1e-6)
    np.testing.assert_allclose(model.covariances, peer.covariances_, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(
        model.class_log_probs(x).exp(), peer.predict_proba(x.double().numpy()), rtol=1e-5, atol=1e-9
    )


@pytest.mark.parametrize("kind", KINDS)
def test_em_is_coordinate_ascent_on_the_elbo(kind: Covariance) -> None:
    x = clusters(400, 4)
    model = GaussianMixture(Event((2, 2), Real()), components=3, covariance=kind, variance_floor=0.0)
    x = x.unflatten(1, (2, 2))
    model.fit_start(x, generator=torch.Generator().manual_seed(0))
    trace: list[float] = []
    for _ in range(15):
        likelihood = float(model.log_prob(x).mean())
        joint = model._log_joints(x.double())
        q = joint.softmax(1)
        step = model.fit_step(x)
        assert [name for name, _ in step.trace] == ["E", "M"]
        # After an exact E step the gap to ln p(x) is zero.
        assert step.trace[0][1] == pytest.approx(likelihood, abs=1e-11)
        # After the M step: F(theta_new, q) by its definition.
        direct = float((q * (model._log_joints(x.double()) - q.log().clamp(min=-1e4))).sum(1).mean())
        assert step.objective == step.trace[1][1] == pytest.approx(direct, abs=1e-10)
        trace += [value for _, value in step.trace]
    assert all(later >= earlier - 1e-11 for earlier, later in itertools.pairwise(trace))


@pytest.mark.parametrize("kind", [Pairs, Matrices])
@pytest.mark.parametrize("size", [1, 7, 50])
def test_quadratic_forms_and_scatter(kind: type[Quadratic], size: int) -> None:
    forms = kind(size)
    a = torch.randn(3, size, size, dtype=torch.float64)
    x, weights = torch.randn(size, 11, dtype=torch.float64), torch.rand(3, 11, dtype=torch.float64)
    a = a + a.mT
    with torch.no_grad():
        features = forms.features(x)
        values, sums = forms.form(forms.pack(a), features), forms.scatter(weights, features)
    torch.testing.assert_close(values, torch.einsum("in,kij,jn->kn", x, a, x))
    torch.testing.assert_close(forms.unpack(sums), torch.einsum("kn,in,jn->kij", weights, x, x))
    torch.testing.assert_close(weights @ forms.outer(x.T), sums)


@pytest.mark.parametrize("kind", ["tied", "full"])
def test_many_dimensions_give_the_same(kind: Covariance) -> None:
    x = clusters(300, 5)
    models = [GaussianMixture(Event((5,), Real()), components=3, covariance=kind) for _ in range(2)]
    models[1].forms = Matrices(5)
    for model in models:
        unit_start(model, x)
        for _ in range(3):
            model.fit_step(x)
    torch.testing.assert_close(models[0].log_prob(x), models[1].log_prob(x))
    x = x.double().requires_grad_()
    gradients = [torch.autograd.grad(model.log_prob(x).sum(), x)[0] for model in models]
    torch.testing.assert_close(*gradients)


def test_density_and_samples_are_the_mixtures() -> None:
    torch.manual_seed(3)
    model = next(m for m in GaussianMixture.examples() if m.covariance == "full")
    x = torch.randn(7, 2, dtype=torch.float64)
    parts = MultivariateNormal(model.means, model.covariances).log_prob(x[:, None])
    torch.testing.assert_close(model.log_prob(x), (parts + model.weights.log()).logsumexp(1))
    samples = model.sample(200_000)
    mean = model.weights @ model.means
    centred = model.means - mean
    covariance = (model.weights[:, None, None] * (model.covariances + centred[:, :, None] * centred[:, None])).sum(0)
    torch.testing.assert_close(samples.mean(0), mean, atol=0.02, rtol=0)
    torch.testing.assert_close(samples.T.cov(), covariance, atol=0.03, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_dead_components_restart_at_the_least_likely_rows(kind: Covariance) -> None:
    x = torch.cat([torch.randn(200, 2), torch.tensor([[30.0, 0.0], [0.0, 40.0]])])
    model = GaussianMixture(Event((2,), Real()), components=3, covariance=kind)
    unit_start(model, x)
    model.means[1:] = 1e6
    first = model.fit_step(x).objective
    assert {tuple(mean) for mean in model.means[1:].round().tolist()} == {(30.0, 0.0), (0.0, 40.0)}
    assert float(model.weights.sum()) == pytest.approx(1)
    for _ in range(30):
        last = model.fit_step(x).objective
    assert last > first
    assert float(model.weights.min()) > 1e-3
    assert torch.isfinite(model.log_prob(x)).all()


def test_constant_dimensions_and_duplicate_rows_are_held_by_the_floor() -> None:
    x = torch.randn(300, 3).round()
    x[:, 1] = 7.0
    for kind in KINDS:
        model = GaussianMixture(Event((3,), Real()), components=4, covariance=kind)
        model.fit_start(x)
        for _ in range(20):
            model.fit_step(x)
        assert torch.isfinite(model.log_prob(x)).all(), kind
    model = GaussianMixture(Event((3,), Real()), components=2, variance_floor=0.0)
    model.fit_start(x)
    with pytest.raises(InputError, match="raise variance_floor"):
        model.fit_step(x)


def test_far_from_the_origin_nothing_is_lost() -> None:
    near = clusters(300, 3).double()
    scores = []
    for x in (near, near + 1e6):
        model = GaussianMixture(Event((3,), Real()), components=3)
        model.fit_start(x, generator=torch.Generator().manual_seed(0))
        for _ in range(5):
            model.fit_step(x)
        scores.append(float(model.log_prob(x).mean()))
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_levels_come_dequantized() -> None:
    model = build("gaussian_mixture", Event((2,), Levels(8)), components=2)
    x = torch.randint(0, 8, (200, 2))
    model.fit_start(x)
    values = [model.fit_step(x).objective for _ in range(5)]
    assert values == sorted(values)
    # A fitted mixture cannot be far below the uniform distribution over the levels.
    assert values[-1] > 2 * np.log(1 / 8) - 0.5
