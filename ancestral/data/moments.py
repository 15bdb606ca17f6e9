"""Means and deviations of each dimension, in float64, part by part: no copy of a large data set is made."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from jaxtyping import Float, Num
from torch import Tensor

# Values that are looked at together.
_AT_ONCE = 2**22
# A deviation of less than this share of the mean is a few digits of rounding.
_ROUNDING = 32 * torch.finfo(torch.float64).eps


def moments_of(parts: Iterable[Num[Tensor, "_ *event"]]) -> tuple[Float[Tensor, "*event"], Float[Tensor, "*event"]]:
    """The mean and the standard deviation of each dimension over the rows of all parts that are not NaN.

    The deviation is 0 of what does not vary, but for the rounding of float64. The parts' moments are merged one after
    another (Chan et al. 1983), as distances from the first row, so that each part is asked for once and no digits are
    lost where the mean is large against the deviation.
    """
    count = mean = squares = torch.zeros((), dtype=torch.float64)
    origin: Tensor | None = None
    for part in parts:
        origin = part[0].double().nan_to_num() if origin is None else origin
        x = part.double() - origin
        n = (~x.isnan()).sum(0)
        part_mean = x.nanmean(0).nan_to_num()
        total, delta = count + n, part_mean - mean
        share = n / total.clamp(min=1)
        squares = squares + (x - part_mean).square().nansum(0) + delta.square() * count * share
        count, mean = total, mean + delta * share
    mean, deviation = mean if origin is None else mean + origin, (squares / count.clamp(min=1)).sqrt()
    return mean, torch.where(deviation <= _ROUNDING * mean.abs(), 0.0, deviation)


def fit_float32(parts: Sequence[Tensor]) -> bool:
    """Whether float32 keeps the rows apart: its rounding moves no value by a thousandth of its column's deviation."""
    if all(x.dtype in (torch.float32, torch.float16, torch.bfloat16, torch.uint8, torch.bool) for x in parts):
        return True
    _, deviation = moments_of(piece for x in parts for piece in _pieces(x))
    # What does not vary has nothing to lose.
    return not any(
        bool((((piece.double() - piece.float().double()).abs() > 1e-3 * deviation) & (deviation > 0)).any())
        for x in parts
        for piece in _pieces(x)
    )


def rows_at_once(row_size: int) -> int:
    """How many rows of so many values to look at together."""
    return max(1, _AT_ONCE // max(1, row_size))


def _pieces(x: Tensor) -> Iterator[Tensor]:
    return iter(x.split(rows_at_once(x[:1].numel())))
