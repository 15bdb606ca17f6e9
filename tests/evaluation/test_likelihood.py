"""The ruler itself: known likelihoods, units, kinds and errors."""

import math

import pytest
import torch
from torch import Tensor, nn

from ancestral.data import Split
from ancestral.evaluation import Score, bits_per_dim, evaluate, log_likelihoods
from ancestral.interface import (
    Batch,
    BoundedDensity,
    Event,
    ExactDensity,
    InputError,
    Levels,
    Losses,
    Model,
    Phase,
    Real,
)
from ancestral.registry import find_model

LEVELS = Event((2, 3), Levels(256))


class Uniform(ExactDensity):
    """Every level equally likely."""

    def phases(self) -> list[Phase]:
        return []

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return torch.full((len(x),), -self.event.size * math.log(256))


class LogNormalWeights(BoundedDensity):
    """ln w ~ N(-1/2, 1), so that E w = 1: the exact log-likelihood is 0 and the ELBO is -1/2."""

    def __init__(self, event: Event) -> None:
        super().__init__(event)
        self.drawn: list[int] = []

    def phases(self) -> list[Phase]:
        return []

    def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        self.drawn.append(samples * len(x))
        return torch.randn(samples, len(x)) - 0.5


class StandardNormal(ExactDensity):
    def __init__(self, event: Event) -> None:
        super().__init__(event)
        self.mean = nn.Parameter(torch.zeros(()))

    def phases(self) -> list[Phase]:
        return [Phase("model", [self.mean], lambda batch: Losses(-self._log_prob(batch.x, None).mean()))]

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return torch.distributions.Normal(self.mean, 1.0).log_prob(x).flatten(1).sum(1)


class NoDensity(Model):
    def phases(self) -> list[Phase]:
        return []


def test_a_uniform_model_of_256_levels_scores_exactly_8_bits_per_dim() -> None:
    score = evaluate(Uniform(LEVELS), torch.randint(256, (10, 2, 3)))
    assert score.bits_per_dim == pytest.approx(8, rel=1e-6)
    assert score.nats == pytest.approx(-6 * math.log(256), rel=1e-6)
    assert (score.kind, score.importance_samples, score.n) == ("exact", None, 10)
    assert score.stderr == pytest.approx(0, abs=1e-6)


def test_mean_and_standard_error_are_those_of_the_rows_however_they_are_batched() -> None:
    model = StandardNormal(Event((3,), Real()))
    x = 100 + torch.randn(257, 3)
    rows = log_likelihoods(model, x)
    assert rows.dtype == torch.float64
    for batch_size in (1, 64, 1000):
        score = evaluate(model, x, batch_size=batch_size)
        assert score.nats == pytest.approx(rows.mean().item(), rel=1e-6)
        assert score.stderr == pytest.approx(rows.std().item() / math.sqrt(257), rel=1e-4)
    assert evaluate(model, x, limit=10).nats == pytest.approx(rows[:10].mean().item(), rel=1e-6)


def test_the_bound_rises_from_the_elbo_to_the_exact_value_with_bounded_rows() -> None:
    model = LogNormalWeights(Event((1,), Real()))
    x = torch.zeros(2000, 1)
    values = {k: evaluate(model, x, importance_samples=k, batch_size=500) for k in (1, 5, 100)}
    assert values[1].nats == pytest.approx(-0.5, abs=5 * values[1].stderr)
    assert values[1].nats < values[5].nats < values[100].nats
    # ln of a mean of k weights is low by about var(w) / (2 k) = (e - 1) / (2 k).
    assert values[100].nats == pytest.approx(-(math.e - 1) / 200, abs=5 * values[100].stderr + 1e-3)
    assert values[100].kind == "lower bound"
    assert values[100].importance_samples == 100
    assert max(model.drawn) <= model.rows_at_once
    assert evaluate(model, x, importance_samples=5, seed=3) == evaluate(model, x, importance_samples=5, seed=3)


def test_the_bound_of_a_row_hangs_on_neither_batch_size_nor_limit() -> None:
    model = LogNormalWeights(Event((1,), Real()))
    x = torch.zeros(150, 1)
    rows = log_likelihoods(model, x, importance_samples=3, seed=1)
    assert rows.unique().numel() == 150
    assert not torch.isin(log_likelihoods(model, x, importance_samples=3, seed=2), rows).any()
    for batch_size in (1, 50, 1000):
        assert torch.equal(log_likelihoods(model, x, importance_samples=3, seed=1, batch_size=batch_size), rows)
    for limit in (1, 64, 70, 150, 1000):
        assert torch.equal(log_likelihoods(model, x, importance_samples=3, seed=1, limit=limit), rows[:limit])
    assert evaluate(model, x, importance_samples=3, seed=1, limit=7).n == 7


def test_one_row_has_no_standard_error() -> None:
    score = evaluate(StandardNormal(Event((3,), Real())), torch.zeros(1, 3))
    assert math.isnan(score.stderr)
    assert str(score) == "-2.757 nats, standard error unknown (exact), 1.3257 bits/dim, n = 1"


def test_a_score_worse_than_a_uniform_guess_says_so() -> None:
    event = Event((2,), Levels(8))
    worse = Score.of(torch.full((4,), -6 * math.log(2) - 1e-3), event)
    assert str(worse).endswith("; worse than a uniform guess, of 3.0000 bits/dim: trained too little?")
    assert "uniform" not in str(Score.of(torch.full((4,), -6 * math.log(2) + 1e-3), event))
    assert "uniform" not in str(Score.of(torch.full((4,), -99.0), Event((2,), Real())))


def test_one_sample_is_one() -> None:
    assert "(lower bound, 1 sample)" in str(Score.of(torch.zeros(3), LEVELS, importance_samples=1))
    assert "(lower bound, 1,000 samples)" in str(Score.of(torch.zeros(3), LEVELS, importance_samples=1000))


def test_rows_with_missing_values_are_scored_by_a_model_that_accepts_them() -> None:
    class Patient(StandardNormal):
        accepts_missing = True

        def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
            values = torch.distributions.Normal(self.mean, 1.0).log_prob(x.nan_to_num())
            return torch.where(x.isnan(), 0.0, values).sum(1)

    event = Event((2,), Real())
    split = Split(torch.tensor([[1.0, math.nan], [0.0, 0.0]]), event, missing=True)
    expected = [-0.5 * math.log(2 * math.pi) - 0.5, -math.log(2 * math.pi)]
    assert evaluate(Patient(event), split).nats == pytest.approx(sum(expected) / 2, rel=1e-6)
    with pytest.raises(InputError, match="found nan"):
        evaluate(StandardNormal(event), split)


def test_conditional_rows_are_scored_at_their_own_context() -> None:
    class Shifted(ExactDensity):
        def phases(self) -> list[Phase]:
            return []

        def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
            assert context is not None
            return -(x[:, 0] - context).abs()

    event, context_event = Event((1,), Real()), Event((), Levels(10))
    y = torch.arange(10)
    split = Split(y[:, None].float(), event=event, y=y, context=y)
    assert evaluate(Shifted(event, context_event=context_event), split, batch_size=3).nats == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: evaluate(NoDensity(LEVELS), torch.zeros(3, 2, 3)),
            "NoDensity defines no density$",
        ),
        (
            lambda: evaluate(next(iter(find_model("gan").examples())), torch.zeros(3, 2, 3)),
            "gan defines no density; .ancestral evaluate., or evaluate_samples, judges",
        ),
        (lambda: evaluate(Uniform(LEVELS), torch.zeros(0, 2, 3)), "empty"),
        (lambda: evaluate(Uniform(LEVELS), torch.full((3, 2, 3), math.nan)), "found nan"),
        (lambda: evaluate(Uniform(LEVELS), torch.zeros(3, 6)), "reshape"),
        (lambda: evaluate(Uniform(LEVELS), torch.zeros(3, 2, 3), importance_samples=5), "is exact"),
        (lambda: evaluate(LogNormalWeights(LEVELS), torch.zeros(3, 2, 3), importance_samples=0), "at least 1"),
    ],
)
def test_what_cannot_be_scored_says_why(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_bits_per_dim_of_one_bit() -> None:
    assert bits_per_dim(-7 * math.log(2), Event((7,), Real())) == pytest.approx(1)


def test_batches_carry_what_a_split_holds() -> None:
    split = Split(torch.arange(6.0)[:, None], event=Event((1,), Real()))
    assert isinstance(split.__getitems__([1, 2]), Batch)


class RowWeights(BoundedDensity):
    """ln w ~ N(x - 1/2, 1) where x is the row's value: the bound of many samples is x, that of few below it."""

    def phases(self) -> list[Phase]:
        return []

    def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        return x[:, 0] + torch.randn(samples, len(x)) - 0.5


def test_a_bound_refined_on_some_rows_is_that_of_all() -> None:
    model, x = RowWeights(Event((1,), Real())), 10 * torch.randn(2000, 1)
    whole = evaluate(model, x, importance_samples=500)
    refined = evaluate(model, x, importance_samples=500, refined_rows=400)
    few = evaluate(model, x, importance_samples=4)
    # The rows differ by tens of nats; what is refined is only how far few samples fall short.
    assert refined.nats == pytest.approx(whole.nats, abs=0.1)
    assert whole.nats - few.nats > 0.1
    assert refined.stderr == pytest.approx(whole.stderr, rel=0.1)
    assert (refined.n, refined.refined_rows, refined.importance_samples) == (2000, 400, 500)
    assert "500 samples on 400 random rows and 4 on all" in str(refined)
    # Every row refined: the few samples are of no account.
    all_rows = evaluate(model, x[:50], importance_samples=500, refined_rows=50)
    assert all_rows.nats == pytest.approx(evaluate(model, x[:50], importance_samples=500).nats, abs=1e-4)


def test_what_cannot_be_refined_is_refused() -> None:
    model, x = RowWeights(Event((1,), Real())), torch.randn(20, 1)
    for how, reason in (
        ({"importance_samples": 4, "refined_rows": 5}, "more than 4"),
        ({"refined_rows": 5}, "more than 4"),
        ({"importance_samples": 10, "refined_rows": 21}, "at most the 20 rows"),
        ({"importance_samples": 10, "refined_rows": 11, "limit": 10}, "at most the 10 rows"),
    ):
        with pytest.raises(InputError, match=reason):
            evaluate(model, x, **how)
    with pytest.raises(InputError, match="takes no refined_rows"):
        evaluate(StandardNormal(Event((1,), Real())), x, refined_rows=5)
