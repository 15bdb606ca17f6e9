"""Which rows are shown, and the contexts of rows."""

import torch

from ancestral.data import Split
from ancestral.evaluation import contexts_of, spread_rows
from ancestral.interface import Event, Real


def test_rows_are_spread_from_the_first_to_the_last() -> None:
    assert spread_rows(3, 101).tolist() == [0, 50, 100]
    assert spread_rows(9, 4).tolist() == [0, 1, 2, 3]


def test_contexts_come_in_the_order_of_the_rows_and_over_again() -> None:
    event = Event((1,), Real())
    rows = Split(torch.zeros(3, 1), event, context=torch.tensor([7, 8, 9]))
    assert contexts_of(rows, 5).tolist() == [7, 8, 9, 7, 8]
    assert contexts_of(Split(torch.zeros(3, 1), event), 5) is None
