"""Modes hit and samples at none, where all is known."""

import math

import pytest
import torch

from ancestral.evaluation import mode_coverage
from ancestral.interface import InputError

CENTRES = torch.cartesian_prod(torch.arange(5.0), torch.arange(5.0)).double()


def test_modes_and_samples_of_high_quality_are_counted() -> None:
    x = torch.tensor([[0.0, 0.29], [0.0, 0.31], [4.0, 4.0], [3.9, 4.1], [2.5, 2.5], [1.0, 0.6]])
    found = mode_coverage(x, CENTRES, 0.1)
    # Three deviations from a mode are still its own; the mode next to a sample of low quality is not hit by it.
    assert (found.hit, found.modes, found.missed, found.n) == (2, 25, 23, 6)
    assert found.low_quality == pytest.approx(3 / 6)
    assert mode_coverage(x, CENTRES, 0.1, deviations=4.5).hit == 3
    assert str(found) == "2 of 25 modes, 50.0% of 6 samples at none"


def test_samples_of_the_mixture_hit_all_modes_and_few_are_of_low_quality() -> None:
    x = CENTRES[torch.randint(25, (20_000,))] + 0.1 * torch.randn(20_000, 2)
    found = mode_coverage(x, CENTRES, 0.1)
    assert found.missed == 0
    assert found.low_quality == pytest.approx(math.exp(-4.5), abs=4 * math.sqrt(math.exp(-4.5) / 20_000))


def test_what_is_not_finite_is_of_no_mode_and_what_is_wrong_is_refused() -> None:
    found = mode_coverage(torch.tensor([[math.nan, 0.0], [0.0, math.inf], [1.0, 1.0]]), CENTRES, 0.1)
    assert (found.hit, found.low_quality) == (1, pytest.approx(2 / 3))
    nothing = mode_coverage(torch.full((3, 2), math.nan), CENTRES, 0.1)
    assert (nothing.hit, nothing.low_quality) == (0, 1)
    with pytest.raises(InputError, match="points of their own space"):
        mode_coverage(torch.zeros(4, 3), CENTRES, 0.1)
    with pytest.raises(InputError, match="above 0, got 0.0 and 3.0"):
        mode_coverage(torch.zeros(4, 2), CENTRES, 0.0)
