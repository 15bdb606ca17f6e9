"""Closed-form fits of tables: what they find does not hang on the units of the columns."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ancestral.data import Data, Split
from ancestral.evaluation import count_parameters, evaluate
from ancestral.interface import Encoder, Event, ExactDensity, InputError, MeanDecoder, Model, Real, Sampler
from ancestral.models.linear.gaussian_mixture import GaussianMixture
from ancestral.models.linear.kmeans import KMeans
from ancestral.models.linear.probabilistic_pca import ProbabilisticPCA
from ancestral.persistence import load, save
from ancestral.registry import build
from ancestral.training import Report, fit

#: A temperature in kelvin, a length in metres, a price: their shifts and deviations.
SHIFT, SCALE = torch.tensor([300.0, 0.02, 1e6]).double(), torch.tensor([1.0, 1e-3, 1e5]).double()

MODELS: list[tuple[str, dict[str, Any]]] = [
    ("kmeans", {"components": 3}),
    ("gaussian_mixture", {"components": 2}),
    ("gaussian_mixture", {"components": 3, "covariance": "diagonal"}),
    ("ppca", {"latent_dim": 1}),
    ("ppca", {"latent_dim": 2, "method": "em"}),
]


def clusters(n: int = 600) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 3, dtype=torch.float64, generator=generator)
    x[:, 1] = 0.8 * x[:, 0] + 0.6 * x[:, 1]
    x[: n // 2] += torch.tensor([3.0, 3.0, -2.0])
    return x[torch.randperm(n, generator=generator)]


def data_of(x: Tensor) -> Data:
    event = Event(tuple(x.shape[1:]), Real())
    third = len(x) // 3
    missing = bool(x.isnan().any())
    parts = [Split(x[i * third : (i + 1) * third], event, missing=missing) for i in range(3)]
    return Data("table", event, *parts)


def fitted(name: str, x: Tensor, settings: dict[str, Any]) -> tuple[Model, Report]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build(name, data_of(x), **settings)
    return model, fit(model, data_of(x), progress=False, max_iterations=500, tolerance=1e-12)


@pytest.mark.parametrize(("name", "settings"), MODELS)
def test_a_change_of_units_changes_the_numbers_by_the_units_alone(name: str, settings: dict[str, Any]) -> None:
    x = clusters()
    (plain, _), (model, report) = fitted(name, x, settings), fitted(name, SHIFT + SCALE * x, settings)
    test = SHIFT + SCALE * x[-200:]
    assert isinstance(model, Encoder)
    assert isinstance(plain, Encoder)
    codes = model.encode(test).mean
    torch.testing.assert_close(codes.abs(), plain.encode(x[-200:]).mean.abs(), rtol=1e-5, atol=1e-5)
    assert isinstance(model, MeanDecoder)
    assert isinstance(plain, MeanDecoder)
    decoded = plain.decode_mean(plain.encode(x[-200:]).mean)
    torch.testing.assert_close(((model.decode_mean(codes) - SHIFT) / SCALE), decoded, rtol=1e-5, atol=1e-5)
    values = [value for _, value in report.trace if math.isfinite(value)]
    assert all(later >= earlier - 1e-6 for earlier, later in itertools.pairwise(values))
    if isinstance(model, ExactDensity):
        assert isinstance(plain, ExactDensity)
        volume = SCALE.log().sum()
        torch.testing.assert_close(model.log_prob(test) + volume, plain.log_prob(x[-200:]), rtol=1e-5, atol=1e-5)
        # The objective is the mean log-likelihood of the training rows, in their units.
        train = evaluate(model, data_of(SHIFT + SCALE * x).train)
        assert report.history[-1]["train/objective"] == pytest.approx(train.nats, abs=1e-3)
        assert isinstance(model, Sampler)
        samples = (model.sample(5000, generator=torch.Generator().manual_seed(0)) - SHIFT) / SCALE
        torch.testing.assert_close(samples.mean(0), x.mean(0), rtol=0, atol=0.3)


def test_a_floor_of_variances_is_no_floor_of_the_datas_own() -> None:
    x = 1e-3 * torch.randn(3000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    model, _ = fitted("gaussian_mixture", x, {"components": 1})
    expected = float(torch.distributions.Normal(x[:1000].mean(), x[:1000].std()).log_prob(x[2000:]).mean())
    assert evaluate(model, x[2000:]).nats == pytest.approx(expected, abs=1e-3)
    # Of an event alone the units are the caller's, and so is the floor.
    raw = GaussianMixture(Event((1,), Real()), components=1)
    fit(raw, x[:1000], progress=False)
    assert evaluate(raw, x[2000:]).nats < expected - 0.05


def test_completions_and_missing_values_are_in_the_datas_units() -> None:
    x = clusters()
    x[torch.rand(len(x), 3, generator=torch.Generator().manual_seed(1)) < 0.2] = math.nan
    settings: dict[str, Any] = {"latent_dim": 1}
    (plain, _), (model, report) = fitted("ppca", x, settings), fitted("ppca", SHIFT + SCALE * x, settings)
    assert isinstance(model, ProbabilisticPCA)
    assert isinstance(plain, ProbabilisticPCA)
    test = x[-200:]
    seen = ~test.isnan()
    found = model.log_prob(SHIFT + SCALE * test) + (seen * SCALE.log()).sum(1)
    torch.testing.assert_close(found, plain.log_prob(test), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        model.encode(SHIFT + SCALE * test).mean.abs(), plain.encode(test).mean.abs(), rtol=1e-5, atol=1e-5
    )
    filled = model.complete(SHIFT + SCALE * test, seen, generator=torch.Generator().manual_seed(0))
    deviation = ((filled - SHIFT) / SCALE)[~seen].std()
    assert 0.3 < float(deviation / x.flatten()[~x.flatten().isnan()].std()) < 2
    train = data_of(SHIFT + SCALE * x).train
    assert report.history[-1]["train/objective"] == pytest.approx(evaluate(model, train).nats, abs=1e-3)


def test_the_likelihood_of_missing_values_is_that_of_the_marginal() -> None:
    x = clusters()
    model, _ = fitted("ppca", SHIFT + SCALE * x, {"latent_dim": 1})
    assert isinstance(model, ProbabilisticPCA)
    row = (SHIFT + SCALE * x[:1]).expand(20_001, 3).clone()
    row[:, 2] = SHIFT[2] + SCALE[2] * torch.linspace(-40, 40, 20_001)
    marginal = (model.log_prob(row).exp() * 80 * SCALE[2] / 20_000).sum().log()
    hole = (SHIFT + SCALE * x[:1]).clone()
    hole[:, 2] = math.nan
    torch.testing.assert_close(model.log_prob(hole)[0], marginal, rtol=1e-5, atol=0)
    nothing = torch.full((1, 3), math.nan, dtype=torch.float64)
    torch.testing.assert_close(model.log_prob(nothing), torch.zeros(1).double())
    torch.testing.assert_close(model.encode(nothing).mean, torch.zeros(1, 1).double())
    with pytest.raises(InputError, match="found nan"):
        build("gaussian_mixture", data_of(x)).log_prob(hole)


def test_k_means_counts_distances_in_standard_deviations(tmp_path: Any) -> None:
    x = SHIFT + SCALE * clusters()
    model, report = fitted("kmeans", x, {"components": 3})
    assert isinstance(model, KMeans)
    train = data_of(x).train.x
    centres = model.decode(torch.eye(3))[model.encode(train).mean.argmax(1)]
    squares = ((train - centres) / train.std(0, correction=0)).square().sum()
    assert float(model.inertia(train)) == pytest.approx(float(squares), rel=1e-9)
    assert report.history[-1]["train/objective"] == pytest.approx(-float(squares) / len(train), rel=1e-9)
    assert count_parameters(model) == 9
    again = load(save(model, tmp_path / "run"))
    assert isinstance(again, KMeans)
    assert torch.equal(again.inertia(train), model.inertia(train))
