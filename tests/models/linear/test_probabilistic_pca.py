"""Probabilistic PCA: closed form against EM, theory, scikit-learn and missing values."""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from ancestral.interface import Event, InputError, Real
from ancestral.models.linear.probabilistic_pca import ProbabilisticPCA


def data(n: int = 500, size: int = 8, latent: int = 3, noise: float = 0.5) -> Tensor:
    return torch.randn(n, latent) @ (2 * torch.randn(latent, size)) + noise * torch.randn(n, size) + torch.randn(size)


def fit(x: Tensor, latent: int, method: str, iterations: int = 1) -> tuple[ProbabilisticPCA, list[float]]:
    model = ProbabilisticPCA(Event(tuple(x.shape[1:]), Real()), latent_dim=latent, method=method)
    model.fit_start(x, generator=torch.Generator().manual_seed(0))
    trace: list[float] = []
    for _ in range(iterations):
        step = model.fit_step(x)
        trace += [value for _, value in step.trace] or [step.objective]
    return model, trace


def covariance(model: ProbabilisticPCA) -> Tensor:
    return model.loadings @ model.loadings.T + model.noise_variance * torch.eye(model.event.size).double()


def test_closed_form_is_tipping_and_bishops_and_scores_as_scikit_learn() -> None:
    x = data()
    model, (objective,) = fit(x, 3, "svd")
    values, vectors = torch.linalg.eigh(x.double().T.cov(correction=0))
    assert float(model.noise_variance) == pytest.approx(float(values[:5].mean()), rel=1e-10)
    values[:5] = values[:5].mean()
    torch.testing.assert_close(covariance(model), vectors * values @ vectors.T)
    assert objective == pytest.approx(float(model.log_prob(x).mean()), abs=1e-10)
    # scikit-learn divides the covariance by n - 1: the scores differ by the order of size / n^2.
    assert objective == pytest.approx(PCA(3).fit(x.double().numpy()).score(x.double().numpy()), rel=1e-5)


def test_density_and_posterior_are_those_of_the_joint_gaussian() -> None:
    model = list(ProbabilisticPCA.examples())[-1]
    x = torch.randn(6, 1, 2, 3, dtype=torch.float64)
    direct = MultivariateNormal(model.mean, covariance(model)).log_prob(x.flatten(1))
    torch.testing.assert_close(model.log_prob(x), direct)
    # Bayes: p(z) p(x | z) / p(z | x) is p(x) at any z.
    posterior = model.encode(x)
    z = posterior.sample()
    torch.testing.assert_close(model.log_joint(x, z) - posterior.log_prob(z), direct)
    samples = model.sample(200_000).flatten(1)
    torch.testing.assert_close(samples.T.cov(), covariance(model), atol=0.05, rtol=0)


def test_em_climbs_to_the_closed_form() -> None:
    x = data()
    exact, (best,) = fit(x, 3, "svd")
    model, trace = fit(x, 3, "em", 100)
    assert all(later >= earlier - 1e-10 for earlier, later in itertools.pairwise(trace))
    assert trace[-1] == pytest.approx(best, abs=1e-8)
    torch.testing.assert_close(covariance(model), covariance(exact), rtol=1e-4, atol=1e-4)


def test_em_trace_is_the_elbo() -> None:
    x = data(200)
    x[torch.rand_like(x) < 0.2] = torch.nan
    model, _ = fit(x, 2, "em", 2)
    seen = ~x.isnan()
    q, likelihood = [], []
    for row, mask in zip(x.double(), seen, strict=True):
        w = model.loadings[mask]
        m = w.T @ w + model.noise_variance * torch.eye(2).double()
        z = torch.linalg.solve(m, w.T @ (row - model.mean)[mask])
        q.append(MultivariateNormal(z, precision_matrix=m / model.noise_variance))
        likelihood.append(MultivariateNormal(model.mean[mask], covariance(model)[mask][:, mask]).log_prob(row[mask]))
    expectation = model._expect_missing(x.double())
    step = model.fit_step(x)
    assert step.trace[0][1] == pytest.approx(float(torch.stack(likelihood).mean()), abs=1e-10)
    # F(theta_new, q) by its definition, -KL(q || p(z)) + E_q[ln p(observed x | z)], where q moves with the change of z
    # that gives it zero mean and unit covariance over all rows, and W orthogonal columns.
    means = torch.stack([part.mean for part in q])
    spread = torch.stack([part.covariance_matrix for part in q]).mean(0) + means.T.cov(correction=0)
    scale = torch.linalg.cholesky(spread)
    inverse = torch.linalg.inv(scale @ torch.linalg.lstsq(expectation.loadings @ scale, model.loadings).solution)
    prior = MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    total = 0.0
    for row, mask, part in zip(x.double(), seen, q, strict=True):
        mean = inverse @ (part.mean - means.mean(0))
        moved = MultivariateNormal(mean, inverse @ part.covariance_matrix @ inverse.T)
        w, noise = model.loadings[mask], model.noise_variance
        residual = (row[mask] - model.mean[mask] - w @ moved.mean).square().sum()
        residual = residual + (w @ moved.covariance_matrix @ w.T).trace()
        total -= 0.5 * float(int(mask.sum()) * torch.log(2 * torch.pi * noise) + residual / noise)
        total -= float(kl_divergence(moved, prior))
    assert step.objective == pytest.approx(total / len(x), abs=1e-10)


def test_loadings_are_orthogonal_and_ordered() -> None:
    x = data()
    for method in ("svd", "em"):
        model, _ = fit(x, 3, method, 40)
        gram = model.loadings.T @ model.loadings
        torch.testing.assert_close(gram, gram.diagonal().diag(), atol=1e-9, rtol=0)
        assert gram.diagonal().tolist() == sorted(gram.diagonal().tolist(), reverse=True)


def test_without_missing_values_both_em_paths_agree() -> None:
    x = data(300).double()
    plain, _ = fit(x, 3, "em", 3)
    general, _ = fit(x, 3, "em", 3)
    for _ in range(5):
        traces = plain._em(x, plain._expect(x)).trace, general._em(x, general._expect_missing(x)).trace
        assert dict(traces[0]) == pytest.approx(dict(traces[1]), abs=1e-10)
    torch.testing.assert_close(plain.loadings, general.loadings)
    torch.testing.assert_close(plain.mean, general.mean)


def test_missing_values_are_survived() -> None:
    x = data(4000, noise=0.3)
    truth, _ = fit(x, 3, "svd")
    holes = x.clone()
    holes[torch.rand_like(x) < 0.3] = torch.nan
    holes[0] = torch.nan
    model, trace = fit(holes, 3, "em", 60)
    assert all(later >= earlier - 1e-10 for earlier, later in itertools.pairwise(trace))
    scale = float(covariance(truth).diagonal().mean())
    torch.testing.assert_close(covariance(model), covariance(truth), rtol=0, atol=0.05 * scale)
    assert float(model.noise_variance) == pytest.approx(0.09, rel=0.05)
    # With holes there is no closed form: both methods are EM.
    assert fit(holes, 3, "svd", 3)[1] == fit(holes, 3, "em", 3)[1]


def test_more_dimensions_than_rows() -> None:
    x = data(40, 90, 3)
    model, (objective,) = fit(x, 3, "svd")
    assert objective == pytest.approx(float(model.log_prob(x).mean()), abs=1e-8)
    _, trace = fit(x, 3, "em", 100)
    assert trace[-1] == pytest.approx(objective, abs=1e-6)


@pytest.mark.parametrize("method", ["svd", "em"])
def test_rank_deficient_data(method: str) -> None:
    x = data(200, 8, 4, noise=0.0)
    x[:, 2] = 1.0
    model, _ = fit(x, 2, method, 30)
    assert torch.isfinite(model.log_prob(x)).all()
    with pytest.raises(InputError, match="below the rank"):
        fit(x, 5, method, 200)
    with pytest.raises(InputError, match="do not vary"):
        fit(torch.ones(10, 4), 2, method)


def test_a_dimension_never_observed() -> None:
    x = data(20)
    x[:, 3] = torch.nan
    with pytest.raises(InputError, match="dimension 3"):
        fit(x, 2, "em")


def test_latent_dim_must_be_below_the_size() -> None:
    with pytest.raises(InputError, match="from 1 to 3"):
        ProbabilisticPCA(Event((4,), Real()), latent_dim=4)
    assert ProbabilisticPCA(Event((4,), Real())).latent_dim == 3
    assert np.prod(ProbabilisticPCA(Event((3, 8, 8), Real())).loadings.shape) == 192 * 10


def test_completion_draws_from_the_conditional_gaussian() -> None:
    model = ProbabilisticPCA(Event((4,), Real()), latent_dim=2)
    x = torch.tensor([[1.0, math.nan, -2.0, math.nan]], dtype=torch.float64).expand(50_000, 4)
    known = ~x[0].isnan()
    filled = model.complete(x, known, generator=torch.Generator().manual_seed(0))
    assert torch.equal(filled[:, known], x[:, known])
    whole, seen, unseen = covariance(model), known.nonzero()[:, 0], (~known).nonzero()[:, 0]
    gain = whole[unseen][:, seen] @ whole[seen][:, seen].inverse()
    mean = model.mean[unseen] + gain @ (x[0, seen] - model.mean[seen])
    spread = whole[unseen][:, unseen] - gain @ whole[seen][:, unseen]
    torch.testing.assert_close(filled[:, unseen].mean(0), mean, atol=0.03, rtol=0)
    torch.testing.assert_close(filled[:, unseen].T.cov(), spread, atol=0.05, rtol=0)
    # With nothing known it is a sample, with all known the observation itself.
    torch.testing.assert_close(model.complete(x, ~known & known).T.cov(), whole, atol=0.06, rtol=0)
    assert torch.equal(model.complete(filled, known | ~known), filled)


def test_a_code_is_the_posterior_given_what_of_its_row_is_observed() -> None:
    """By conditioning z in the joint Gaussian of (z, x), rows with other holes side by side."""
    model, hole = ProbabilisticPCA(Event((4,), Real()), latent_dim=2), math.nan
    model.mean.copy_(torch.tensor([1.0, -2.0, 0.5, 0.0]))
    x = torch.tensor([[1.5, hole, 0.2, -1.0], [hole, hole, 1.0, 2.0], [0.0, -1.0, hole, 0.3], [1.0, 1.0, 1.0, 1.0]])
    found = model.encode(x.double())
    covariance = model.loadings @ model.loadings.T + model.noise_variance * torch.eye(4).double()
    for row, mean, spread in zip(x.double(), found.mean, found.covariance_matrix, strict=True):
        seen = ~row.isnan()
        gain = torch.linalg.solve(covariance[seen][:, seen], model.loadings[seen]).T
        torch.testing.assert_close(mean, gain @ (row - model.mean)[seen])
        torch.testing.assert_close(spread, torch.eye(2).double() - gain @ model.loadings[seen])
