"""Distances and tests of two samples against closed forms, brute force, and what holds under equal distributions."""

import math
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from ancestral.evaluation.two_samples import (
    copying,
    frechet_distance,
    kernel_distance,
    precision_recall,
    two_sample_test,
)
from ancestral.interface import InputError


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


# -- Fréchet -----------------------------------------------------------------------------------------------------------


def test_the_frechet_distance_of_gaussians_is_the_closed_form() -> None:
    x = normal(1000, 3)
    x = (x - x.mean(0)) @ torch.linalg.cholesky(torch.linalg.inv(torch.cov(x.T)))
    # N(0, I) against N(m, diag(s^2)): |m|^2 + sum (1 - s)^2.
    mean, scale = torch.tensor([1.0, 0.0, -2.0]).double(), torch.tensor([1.0, 2.0, 0.5]).double()
    assert frechet_distance(x, x * scale + mean) == pytest.approx(5 + 1 + 0.25, rel=1e-8)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-12)
    # Of covariances that do not commute tr (A B)^(1/2) is that of the roots of the eigenvalues of A B; of unlike sizes.
    a, b = (normal(n, 3) @ normal(3, 3) for n in (7, 50))
    product = torch.cov(a.T) @ torch.cov(b.T)
    expected = (a.mean(0) - b.mean(0)).square().sum() + a.var(0).sum() + b.var(0).sum()
    expected -= 2 * torch.linalg.eigvals(product).real.sqrt().sum()
    assert frechet_distance(a, b) == pytest.approx(expected.item(), rel=1e-8)
    assert frechet_distance(b, a) == pytest.approx(expected.item(), rel=1e-8)


def test_fewer_samples_than_features_are_no_special_case() -> None:
    """A distance does not change where both samples are turned into more dimensions."""
    a, b = normal(9, 3), 2 * normal(6, 3) + 1
    turn = torch.linalg.qr(normal(40, 3)).Q
    assert frechet_distance(a @ turn.T, b @ turn.T) == pytest.approx(frechet_distance(a, b), rel=1e-10)
    constant = torch.zeros(5, 40).double()
    assert frechet_distance(constant, constant + 1) == pytest.approx(40)


def test_it_takes_float32_features_in_float64() -> None:
    """Float32 would leave nothing of so small a difference beside so large a mean."""
    x = (1e3 + torch.randn(500, 4)).float()
    assert frechet_distance(x, x + 2**-10) == pytest.approx(4 * 2**-20, rel=1e-3)


def test_ten_thousand_rows_of_64_features_take_less_than_two_seconds() -> None:
    a, b = normal(10_000, 64), normal(10_000, 64)
    started = time.process_time()
    frechet_distance(a, b)
    assert time.process_time() - started < 2


# -- Kernel ------------------------------------------------------------------------------------------------------------


def test_the_kernel_distance_is_that_of_the_first_three_moments() -> None:
    """In one dimension (x y + 1)^3 is the sum of binomial(3, j) x^j y^j, so the discrepancy is that of moments."""
    n = 20_000
    x, y = normal(n, 1), 0.5 + 1.5 * normal(n, 1)
    moments = ((1, 0.5), (1.0, 0.25 + 2.25), (0.0, 0.125 + 3 * 0.5 * 2.25))
    exact = 3 * (0 - 0.5) ** 2 + 3 * (1 - 2.5) ** 2 + 1 * (0 - moments[2][1]) ** 2
    found = kernel_distance(x, y)
    assert found.blocks == 20
    assert abs(found.value - exact) < 4 * found.stderr
    assert found.stderr < 0.1 * exact


def test_the_kernel_distance_is_the_mean_of_unbiased_estimates_of_blocks() -> None:
    x, y = normal(40, 5), normal(43, 5) + 1

    def block(rows: slice) -> float:
        a, b = x[rows].numpy(), y[rows].numpy()
        m, kernel = len(a), lambda u, v: (np.dot(u, v) / 5 + 1) ** 3
        apart = [(i, j) for i in range(m) for j in range(m) if i != j]
        within = np.mean([kernel(a[i], a[j]) + kernel(b[i], b[j]) for i, j in apart])
        return float(within - 2 * np.mean([[kernel(u, v) for v in b] for u in a]))

    blocks = torch.tensor([block(slice(4 * i, 4 * i + 4)) for i in range(10)], dtype=torch.float64)
    found = kernel_distance(x, y)
    assert found.value == pytest.approx(float(blocks.mean()))
    assert found.stderr == pytest.approx(float(blocks.std()) / math.sqrt(10))


def test_the_kernel_distance_is_zero_on_average_where_distributions_are_equal() -> None:
    values = torch.tensor([kernel_distance(normal(20, 3), normal(20, 3)).value for _ in range(150)])
    assert abs(float(values.mean())) < 4 * float(values.std()) / math.sqrt(150)
    assert (values < 0).double().mean() > 0.3
    errors = torch.tensor([kernel_distance(normal(40, 3), normal(40, 3)).stderr for _ in range(100)])
    spread = torch.tensor([kernel_distance(normal(40, 3), normal(40, 3)).value for _ in range(150)]).std()
    assert float(errors.square().mean().sqrt()) == pytest.approx(float(spread), rel=0.25)


# -- Manifolds ---------------------------------------------------------------------------------------------------------


def by_brute_force(points: Tensor, of: Tensor, k: int) -> float:
    radii = [sorted(float((u - v).norm()) for j, v in enumerate(of) if j != i)[k - 1] for i, u in enumerate(of)]
    inside = [any(float((p - u).norm()) <= r for u, r in zip(of, radii, strict=True)) for p in points]
    return sum(inside) / len(points)


@pytest.mark.parametrize("k", [1, 3])
def test_precision_and_recall_are_those_of_brute_force(k: int) -> None:
    real, fake = normal(40, 2), 0.9 * normal(25, 2) + 1.5
    found = precision_recall(real, fake, k)
    assert found.precision == by_brute_force(fake, real, k)
    assert found.recall == by_brute_force(real, fake, k)
    assert found.recall != found.precision
    # A distance of the whole from the origin is nothing.
    assert precision_recall(real + 1e4, fake + 1e4, k) == found


def test_a_dropped_mode_costs_recall_and_a_wrong_one_precision() -> None:
    modes = 20 * torch.arange(4).repeat_interleave(50)[:, None] + normal(200, 2)
    half = precision_recall(modes, normal(100, 2) + 20 * torch.arange(2).repeat_interleave(50)[:, None])
    assert half.precision > 0.85
    assert 0.4 < half.recall < 0.5
    stray = precision_recall(modes, torch.cat([modes[:100] + 0.01, 1000 + normal(100, 2)]))
    assert 0.49 < stray.precision <= 0.5


def test_copies_lie_in_their_own_manifold_whatever_is_rounded() -> None:
    rows = torch.randint(2, (60, 30)).double()  # many repeat, with balls of no radius
    rows = torch.cat([rows, rows, rows, rows, rows])
    found = precision_recall(rows, rows[torch.randperm(300)])
    assert (found.precision, found.recall) == (1, 1)


# -- Tests -------------------------------------------------------------------------------------------------------------


def test_a_classifier_tells_nothing_of_equal_distributions_and_all_of_disjoint_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    found = [two_sample_test(normal(60, 2), normal(60, 2), generator) for _ in range(30)]
    share = torch.tensor([test.accuracy for test in found], dtype=torch.float64)
    assert abs(float(share.mean()) - 0.5) < 4 * 0.5 / math.sqrt(30 * 60)
    # So do the probabilities spread: about a tenth of them is below a tenth.
    assert 0 <= sum(test.p < 0.1 for test in found) <= 9
    assert sum(test.p < 0.5 for test in found) == pytest.approx(15, abs=10)
    apart = two_sample_test(normal(200, 2), normal(210, 2) + 12, generator)
    assert (apart.accuracy, apart.n) == (1, 200)
    # Ten and more standard deviations of a Gaussian of variance 1 / (4 n).
    assert apart.p == pytest.approx(0.5 * math.erfc(math.sqrt(200 / 2)), rel=1e-6, abs=0)


def test_it_is_tested_on_rows_that_it_has_not_learned_from() -> None:
    """In more dimensions than there are rows, rows that were learned are told apart without a mistake."""
    found = two_sample_test(normal(60, 400), normal(60, 400), torch.Generator().manual_seed(0))
    assert 0.2 < found.accuracy < 0.8
    # Means and covariances are equal: what is learned is no line.
    ring = torch.nn.functional.normalize(normal(600, 2), dim=1) * math.sqrt(2)
    assert two_sample_test(normal(600, 2), ring, torch.Generator().manual_seed(0)).accuracy > 0.7
    again = [two_sample_test(ring[:40], ring[40:80], torch.Generator().manual_seed(3)) for _ in range(2)]
    assert again[0] == again[1]


def test_copies_have_training_rows_as_their_nearest_more_often_than_chance() -> None:
    fresh = [copying(normal(300, 3), normal(100, 3), normal(70, 3)) for _ in range(60)]
    shares = torch.tensor([found.share for found in fresh], dtype=torch.float64)
    assert abs(float(shares.mean()) - 0.75) < 4 * float(shares.std()) / math.sqrt(60)
    assert sum(found.p < 0.05 for found in fresh) <= 9
    train = normal(300, 3)
    copies = copying(train, normal(100, 3), train[:70] + 1e-6)
    assert (copies.share, copies.chance, copies.n) == (1, 0.75, 70)
    assert copies.p < 1e-5
    # Every other sample is a copy.
    some = copying(train, normal(100, 3), torch.cat([train[:150], normal(150, 3)]))
    assert some.share == pytest.approx(0.875, abs=0.06)
    assert some.p < 1e-4


@pytest.mark.parametrize(
    "samples", [lambda: 0.01 * normal(500, 30), lambda: normal(500, 30) + 10, lambda: normal(9, 30)]
)
def test_dull_samples_and_samples_off_the_data_are_no_copies(samples: Callable[[], Tensor]) -> None:
    """All of them may have the same few nearest rows, whose luck they share."""
    found = [copying(normal(240, 30), normal(60, 30), samples()).p for _ in range(60)]
    assert sum(p < 0.02 for p in found) <= 5


def test_the_significance_is_that_of_rows_dealt_out_anew() -> None:
    """Of real rows on a line, which are training rows by chance, and samples near the first few of them."""
    real = torch.arange(40.0).double()[:, None]
    fake = torch.cat([real[:4].repeat_interleave(3, 0), real[4:16]]) + 0.1
    weights, z = torch.tensor([3.0] * 4 + [1.0] * 12), []
    for _ in range(400):
        dealt = torch.randperm(40)
        train, test = real[dealt[:30]], real[dealt[30:]]
        is_train = torch.isin(torch.arange(16), dealt[:30])
        found = copying(train, test, fake)
        assert found.share == pytest.approx(float((weights * is_train).sum() / weights.sum()))
        z.append(math.sqrt(2) * float(torch.special.erfinv(torch.tensor(1 - 2 * found.p, dtype=torch.float64))))
    # 16 of 40 rows drawn without replacement vary less: (40 - 16) / 39 of it if all weighed alike.
    assert 0.6 < torch.tensor(z).var() < 1.05


def test_a_tie_says_nothing() -> None:
    rows = torch.randint(2, (40, 2)).double()
    same = copying(rows[:20], rows[:20], rows)
    assert (same.share, same.p) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("measure", "words"),
    [
        (lambda x: kernel_distance(x, x), "at least 4 rows of each sample, got 3"),
        (lambda x: precision_recall(x, x), "3 neighbours, of at least 1, need more rows of each sample, got 3 and 3"),
        (lambda x: two_sample_test(x, x), "at least 4 rows of each sample, got 3 and 3"),
    ],
)
def test_too_few_rows_are_refused(measure: Callable[[Tensor], object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        measure(normal(3, 2))
