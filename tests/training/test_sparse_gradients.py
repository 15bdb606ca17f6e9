"""Descent along sparse gradients: the sum of few, a bounded number of times the mean of many."""

import torch
from torch import nn

from ancestral.interface import SparseSGD


def test_rows_move_by_the_sum_of_their_gradients_and_by_so_many_means_of_many() -> None:
    table, start = nn.Embedding(5, 3, sparse=True), torch.randn(5, 3)
    table.weight.data.copy_(start)
    rows = torch.tensor([0, 2, 2, 4, 4, 4, 4, 4, 4])
    gradients = torch.randn(len(rows), 3)
    (table(rows) * gradients).sum().backward()
    SparseSGD(lr=0.5, most=2).build([table.weight]).step()
    expected = start.clone()
    expected[0] -= 0.5 * gradients[0]
    expected[2] -= 0.5 * gradients[1:3].sum(0)
    expected[4] -= 0.5 * 2 * gradients[3:].mean(0)
    assert torch.allclose(table.weight, expected)
