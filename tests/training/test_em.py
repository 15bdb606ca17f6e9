"""Closed-form fits: the objective's trace, and when they end."""

import pytest
import torch
from training_toys import PLANE, Halving, points

from ancestral.data import Split
from ancestral.interface import Event, InputError, Real
from ancestral.registry import build
from ancestral.training import fit


def test_iterates_until_the_objective_settles() -> None:
    x = points()
    model = Halving()
    report = fit(model, x, tolerance=1e-8, progress=False)
    torch.testing.assert_close(model.mean, x.mean(0), atol=1e-3, rtol=0)
    objectives = [row["train/objective"] for row in report.history]
    assert objectives == sorted(objectives)
    assert report.ended_by == "converged"
    assert (report.weights, report.best, report.epochs) == ("last", None, len(objectives))
    assert [name for name, _ in report.trace] == ["look", "move"] * len(objectives)
    assert [value for _, value in report.trace[1::2]] == objectives
    # Half of the way each time: a quarter of the squared distance.
    assert objectives[1] == pytest.approx(objectives[0] / 4, rel=1e-4)
    assert objectives[-2] - objectives[-1] == pytest.approx(0, abs=1e-8)


def test_budgets_bound_the_iterations() -> None:
    for settings in ({"max_iterations": 3}, {"epochs": 3}, {"steps": 3, "max_iterations": 50}):
        report = fit(Halving(), points(), tolerance=0.0, progress=False, **settings)
        assert (report.steps, report.ended_by) == (3, "steps")


def test_the_seed_decides_where_it_starts() -> None:
    fitted = [Halving(), Halving(), Halving()]
    for model, seed in zip(fitted, (5, 5, 6), strict=True):
        fit(model, points(), max_iterations=1, seed=seed, progress=False)
    assert torch.equal(fitted[0].mean, fitted[1].mean)
    assert not torch.equal(fitted[0].mean, fitted[2].mean)


def test_settings_of_gradient_descent_are_refused() -> None:
    with pytest.raises(InputError, match="fitted without gradients: leave lr out"):
        fit(Halving(), points(), lr=0.1)


def test_missing_values_only_where_they_are_accepted() -> None:
    x = points()
    x[3, 1] = torch.nan
    split = Split(x, Event((2,), Real()), missing=True)
    with pytest.raises(InputError, match="missing values"):
        fit(Halving(), split)

    class Patient(Halving):
        accepts_missing = True

        def _objective(self, x: torch.Tensor) -> float:
            return 0.0

    assert fit(Patient(), split, progress=False).ended_by == "converged"
    assert fit(Patient(), x, progress=False).ended_by == "converged"


def test_a_mixture_may_have_fewer_components_than_the_labels_have_classes() -> None:
    x, y = points(60), torch.arange(60) % 10
    report = fit(build("gaussian_mixture", PLANE, components=2), Split(x, PLANE, y), progress=False)
    assert report.ended_by == "converged"
