"""A score that only spikes on repeated values explain is called one."""

import math

import torch

from ancestral.data import Split
from ancestral.evaluation import spike
from ancestral.evaluation.spikes import resolution
from ancestral.interface import Categories, Columns, Event, Real


def test_the_resolution_is_the_least_step_between_values() -> None:
    x = torch.tensor([[0.5, 7.0, 1.0], [0.25, 7.0, math.nan], [0.5, 7.0, 3.5], [1.5, 7.0, 3.5]]).double()
    assert resolution(x).nan_to_num(-1.0).tolist() == [0.25, -1.0, 2.5]


def test_more_nats_than_certainty_at_the_resolution_are_spikes() -> None:
    event = Event((2,), Columns((Real(), Categories(3))))
    # Recorded to a tenth: a density cannot fairly exceed ten, ln 10 nats, however sure it is of the category.
    x = torch.stack([(torch.randn(500) * 10).round() / 10, torch.randint(3, (500,))], 1).double()
    rows = Split(x, event)
    assert spike(math.log(10) - 0.05, rows) is None
    assert "more than 2.30 nats" in (spike(math.log(10) + 0.05, rows) or "")
    # What repeats nowhere has no such ceiling within reach.
    assert spike(5.0, Split(torch.randn(500, 2).double(), Event((2,), Real()))) is None
    assert spike(1e9, Split(x[:, 1:], Event((1,), Categories(3)))) is None


def test_empty_cells_have_no_part_in_the_ceiling() -> None:
    """Of a row whose only wide column is empty the fair score is 0, more than the wide cells of other rows allow."""
    x = (torch.arange(500).double() % 40 * 10)[:, None]
    x[50:] = math.nan
    rows = Split(x, Event((1,), Real()), missing=True)
    fair = -math.log(400) * 50 / 500
    assert spike(fair, rows) is None
    assert spike(-math.log(10) * 50 / 500 + 0.01, rows) is not None
