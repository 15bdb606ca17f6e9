"""Windows of long sequences: sound, text, a series of measurements."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from jaxtyping import Int64, Num
from torch import Tensor

from ancestral.interface import InputError


class Windows:
    """Windows of one length, each at a place between its `first` and its `last`, drawn whenever it is asked for.

    `values` are all sequences one after another, along the first axis; the places are drawn from the global torch
    generator. Indexed by rows, or by a slice, it gives the windows (rows, *rest, window).
    """

    def __init__(
        self, values: Num[Tensor, "time *rest"], window: int, first: Int64[Tensor, " n"], last: Int64[Tensor, " n"]
    ) -> None:
        self.values, self.window, self.first, self.last = values, window, first, last

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, rows: slice | Int64[Tensor, " rows"]) -> Num[Tensor, "rows *rest window"]:
        first, last = self.first[rows], self.last[rows]
        start = first + (torch.rand(len(first), dtype=torch.float64) * (last - first + 1)).long()
        return _cut(self.values, start, self.window)

    def take(self, rows: Int64[Tensor, " rows"]) -> "Windows":
        """The windows of these rows alone, of the same sequences."""
        return Windows(self.values, self.window, self.first[rows], self.last[rows])

    def to(self, dtype: torch.dtype) -> "Windows":
        return Windows(self.values.to(dtype), self.window, self.first, self.last)


def windows_of(
    sequences: Sequence[Tensor], window: int, *, drawn: bool, name: str
) -> tuple[Windows | Tensor, Int64[Tensor, " n"]]:
    """As many windows of the last axis of each sequence as fit side by side, and the sequence that each is of.

    They lie side by side, from the start of each sequence; `drawn`, anywhere in it, anew each time. Sequences are
    (*rest, length) and may differ in length.
    """
    if window < 1:
        raise InputError(f"window must be at least 1, got {window}")
    lengths = [sequence.shape[-1] for sequence in sequences]
    if window > max(lengths):
        raise InputError(f"no sequence of {name} is as long as a window of {window}: the longest has {max(lengths)}")
    counts = torch.tensor(lengths) // window
    source = torch.repeat_interleave(torch.arange(len(lengths)), counts)
    begins = torch.tensor([0, *accumulate(lengths)])
    values = torch.cat([sequence.movedim(-1, 0) for sequence in sequences])
    if drawn:
        return Windows(values, window, begins[source], begins[source + 1] - window), source
    place = torch.cat([torch.arange(int(count)) for count in counts]) * window
    return _cut(values, begins[source] + place, window).contiguous(), source


def _cut(values: Tensor, start: Tensor, window: int) -> Tensor:
    return values[start[:, None] + torch.arange(window)].movedim(1, -1)
