"""The densities of the synthetic sets are densities, and the ones that the points come from."""

import math

import pytest
import torch

from ancestral.data import Data, load_data
from ancestral.data.synthetic import TwoMoons
from ancestral.interface import InputError

NAMES = ["two-moons", "rings", "pinwheel", "checkerboard", "gaussian-ring", "gaussian-grid"]
# The side of the square that is integrated over, and its cells on a side.
SIDE, CELLS = 6.4, 320


@pytest.fixture(scope="module", params=NAMES)
def data(request: pytest.FixtureRequest) -> Data:
    return load_data(request.param)


@pytest.fixture(scope="module")
def cells(data: Data) -> torch.Tensor:
    """The log-probability of each cell, by the density at its centre."""
    assert data.density is not None
    centres = (torch.arange(CELLS, dtype=torch.float64) + 0.5) / CELLS * SIDE - SIDE / 2
    return data.density(torch.cartesian_prod(centres, centres)) + 2 * math.log(SIDE / CELLS)


def test_the_density_integrates_to_one(cells: torch.Tensor) -> None:
    # Rings have a pole of their density at the centre, 1 / r, that the cells see less well.
    assert cells.exp().sum().item() == pytest.approx(1, abs=1e-6)


def test_the_points_come_from_the_density(data: Data, cells: torch.Tensor) -> None:
    """Counts in 40x40 squares against their probabilities, by Pearson's chi-squared where 5 or more are expected."""
    squares = 40
    share = CELLS // squares
    probability = cells.exp().view(squares, share, squares, share).sum((1, 3)).flatten()
    x = torch.cat([rows.x for rows in data.splits.values()]).double()
    place = ((x + SIDE / 2) / SIDE * squares).long()
    counts = (place[:, 0] * squares + place[:, 1]).bincount(minlength=squares**2).double()
    often = probability * len(x) >= 5
    counts = torch.cat([counts[often], counts[~often].sum()[None]])
    expected = torch.cat([probability[often], probability[~often].sum()[None]]) * len(x)
    squared = ((counts - expected) ** 2 / expected.clamp(min=1e-9))[expected > 1].sum()
    freedom = int((expected > 1).sum()) - 1
    assert abs(squared - freedom) < 4.5 * math.sqrt(2 * freedom)


def test_the_mean_log_density_is_minus_the_entropy(data: Data, cells: torch.Tensor) -> None:
    assert data.density is not None
    log_density = data.density(torch.cat([rows.x for rows in data.splits.values()]))
    assert log_density.isfinite().all()
    entropy = -torch.where(cells.isfinite(), cells.exp() * (cells - 2 * math.log(SIDE / CELLS)), 0.0).sum()
    error = log_density.std().item() / math.sqrt(len(log_density))
    assert log_density.mean().item() == pytest.approx(-entropy.item(), abs=4 * error + 1e-5)


def test_seeds_and_sizes(data: Data) -> None:
    again, other = load_data(data.name), load_data(data.name, seed=1, n=105)
    assert torch.equal(again.train.x, data.train.x)
    assert [len(rows) for rows in other.splits.values()] == [85, 10, 10]
    assert not torch.equal(other.train.x[:50], data.train.x[:50])
    assert data.train.x.dtype == torch.float32


def test_the_quadrature_of_the_moons_has_converged() -> None:
    x = 3 * torch.rand(50, 2, dtype=torch.float64) - 1
    for noise in (0.05, 0.1, 0.3):
        torch.testing.assert_close(TwoMoons(noise)(x), TwoMoons(noise, nodes=700)(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"n": 9}, "at least 10"), ({"noise": 0.0}, "noise must be at least"), ({"nois": 1.0}, "did you mean 'noise'"),
     ({"n": "many"}, "n must be a whole number, got 'many'"), ({"n": True}, "must be a whole number")],
)  # fmt: skip
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_data("rings", **options)
