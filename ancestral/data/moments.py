"""Means and deviations of each dimension, in float64, part by part: no copy of a large data set is made."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from jaxtyping import Float, Num
from torch import Tensor

# Values that are looked at together.
_AT_ONCE = 2**22


def moments_of(parts: Iterable[Num[Tensor, "_ *event"]]) -> tuple[Float[Tensor, "*event"], Float[Tensor, "*event"]]:
    """The mean and the standard deviation of each dimension over the rows of all parts that are not NaN.

    The parts' moments are merged one after another (Chan et al. 1983), so that each part is asked for once and no
    digits are lost where the mean is large against the deviation.
    """
    count = mean = squares = torch.zeros((), dtype=torch.float64)
    for part in parts:
        x = part.double()
        n = (~x.isnan()).sum(0)
        part_mean = x.nanmean(0).nan_to_num()
        total, delta = count + n, part_mean - mean
        share = n / total.clamp(min=1)
        squares = squares + (x - part_mean).square().nansum(0) + delta.square() * count * share
        count, mean = total, mean + delta * share
    return mean, (squares / count.clamp(min=1)).sqrt()


def fit_float32(parts: Sequence[Tensor]) -> bool:
    """Whether float32 keeps the rows apart: its rounding moves no value by a thousandth of its column's deviation."""
    if all(x.dtype in (torch.float32, torch.float16, torch.bfloat16, torch.uint8, torch.bool) for x in parts):
        return True
    mean, deviation = moments_of(piece for x in parts for piece in _pieces(x))
    # What does not vary, but for the rounding of float64, has nothing to lose.
    constant = deviation <= 1e-12 * mean.abs()
    return not any(
        bool((((piece.double() - piece.float().double()).abs() > 1e-3 * deviation) & ~constant).any())
        for x in parts
        for piece in _pieces(x)
    )


def rows_at_once(row_size: int) -> int:
    """How many rows of so many values to look at together."""
    return max(1, _AT_ONCE // max(1, row_size))


def _pieces(x: Tensor) -> Iterator[Tensor]:
    return iter(x.split(rows_at_once(x[:1].numel())))
