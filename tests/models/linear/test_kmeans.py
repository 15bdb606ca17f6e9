"""K-means against scikit-learn, and what Lloyd's algorithm guarantees."""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans as SklearnKMeans

from ancestral.interface import Binary, Event, InputError, Real
from ancestral.models.linear.gaussian_mixture import GaussianMixture
from ancestral.models.linear.kmeans import KMeans


def fitted(model: KMeans, x: torch.Tensor, iterations: int = 100) -> list[float]:
    trace: list[float] = []
    for _ in range(iterations):
        trace += [value for _, value in model.fit_step(x).trace]
        if len(trace) > 2 and trace[-1] == trace[-3]:
            break
    return trace


def test_inertia_and_centres_equal_scikit_learns_from_the_same_start() -> None:
    x = torch.randn(600, 3, 2) + 3 * torch.randint(0, 3, (600, 1, 1))
    model = KMeans(Event((3, 2), Real()), components=5)
    model.fit_start(x, generator=torch.Generator().manual_seed(1))
    peer = SklearnKMeans(5, init=model.centres.flatten(1).numpy(), n_init=1, tol=0, max_iter=500)
    peer.fit(x.flatten(1).double().numpy())
    trace = fitted(model, x)
    assert float(model.inertia(x)) == pytest.approx(peer.inertia_, rel=1e-10)
    np.testing.assert_allclose(model.centres.flatten(1).numpy(), peer.cluster_centers_, atol=1e-8)
    np.testing.assert_array_equal(model.encode(x).mean.argmax(1).numpy(), peer.labels_)
    assert all(later >= earlier - 1e-12 for earlier, later in itertools.pairwise(trace))
    assert trace[-1] == pytest.approx(-peer.inertia_ / len(x), rel=1e-10)


def test_empty_clusters_take_the_farthest_rows() -> None:
    x = torch.tensor([[0.0], [0.1], [10.0], [20.0]])
    model = KMeans(Event((1,), Real()), components=3)
    model.centres.copy_(torch.tensor([[0.0], [500.0], [600.0]]))
    # They leave their old cluster: its centre is the mean of those that stay.
    assert model.fit_step(x).objective == pytest.approx(-2 * 0.05**2 / 4)
    fitted(model, x)
    torch.testing.assert_close(model.centres.sort(0).values, torch.tensor([[0.05], [10.0], [20.0]]).double())


def test_fewer_distinct_rows_than_clusters_leave_no_nan() -> None:
    x = torch.tensor([[0, 0], [1, 1]]).repeat(5, 1)
    model = KMeans(Event((2,), Binary()), components=4)
    model.fit_start(x)
    fitted(model, x)
    assert torch.isfinite(model.centres).all()
    assert float(model.inertia(x)) == 0


def test_k_means_plus_plus_prefers_far_rows() -> None:
    x = torch.cat([torch.randn(200, 2) * 0.01, torch.randn(2, 2) * 0.01 + 100])
    model = KMeans(Event((2,), Real()), components=2)
    for seed in range(20):
        model.fit_start(x, generator=torch.Generator().manual_seed(seed))
        # Uniform seeding would nearly always draw both centres from the large cluster.
        assert float((model.centres[0] - model.centres[1]).norm()) > 50


def test_each_centre_of_the_start_is_drawn_by_the_squared_distance_to_the_nearest_before_it() -> None:
    x = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    squares = torch.cdist(x, x).square()
    model = KMeans(Event((1,), Real()), components=3)
    expected, found = torch.zeros(4), torch.zeros(4)
    for first, second, third in itertools.permutations(range(4), 3):
        nearest = squares[first].minimum(squares[second])
        chance = 0.25 * squares[first, second] / squares[first].sum() * nearest[third] / nearest.sum()
        expected[6 - first - second - third] += chance  # by the row that is left out
    generator = torch.Generator().manual_seed(0)
    for _ in range(2000):
        model.fit_start(x, generator=generator)
        found[int(torch.isin(x, model.centres.float()).logical_not().nonzero()[0, 0])] += 1 / 2000
    torch.testing.assert_close(found, expected, rtol=0, atol=4 * 0.5 / math.sqrt(2000))


def test_it_is_the_limit_of_a_gaussian_mixture() -> None:
    x = torch.randn(100, 2)
    model = KMeans(Event((2,), Real()), components=4)
    model.fit_start(x)
    mixture = GaussianMixture(Event((2,), Real()), components=4, covariance="spherical")
    mixture.means.copy_(model.centres)
    mixture.covariances.fill_(1e-7)
    torch.testing.assert_close(mixture.encode(x).mean, model.encode(x).mean)


def test_too_few_rows() -> None:
    with pytest.raises(InputError, match="at least as many rows, got 2"):
        KMeans(Event((2,), Real()), components=3).fit_start(torch.zeros(2, 2))
