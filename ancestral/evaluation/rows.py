"""Which rows are shown, and at the contexts of which a conditional model draws."""

import torch
from jaxtyping import Int64, Num
from torch import Tensor

from ancestral.data import Split


def spread_rows(n: int, rows: int) -> Int64[Tensor, " shown"]:
    """The indices of at most `n` of so many rows, evenly from all of them: some sets lie sorted by class."""
    return torch.linspace(0, rows - 1, min(n, rows)).long()


def contexts_of(rows: Split, n: int) -> Num[Tensor, "n *context_event"] | None:
    """The contexts of the first `n` rows, from the first row on again where there are fewer; None without any."""
    return rows.__getitems__(torch.arange(n) % len(rows)).context
