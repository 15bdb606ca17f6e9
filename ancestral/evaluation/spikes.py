"""Whether a likelihood of real columns is one of spikes on values that repeat."""

import math

import torch
from torch import Tensor

from ancestral.data import Split
from ancestral.interface import Real

#: Rows that the resolution is read from, at most.
_ROWS = 10_000


def resolution(x: Tensor) -> Tensor:
    """The least distance between different values of each column, (rows, columns) -> (columns,); NaN for one value."""
    gaps = [column[~column.isnan()].double().unique().diff() for column in x.T]
    return torch.stack([gap.min() if len(gap) else torch.tensor(math.nan).double() for gap in gaps])


def spike(nats: float, rows: Split) -> str | None:
    """Why a mean of `nats` cannot be a fair score of the rows of a table, or None.

    Values that were recorded to a resolution stand for cells of that width, and a density that scores more than minus
    the logarithm of the cells' volume gives them a probability above 1. Cells that are empty have no part in either.
    """
    event = rows.event
    if len(event.shape) != 1 or event.densities == 0:
        return None
    real = [place for place, support in enumerate(event.supports) if isinstance(support, Real)]
    x = rows.x[:_ROWS][:, real]
    gaps = resolution(x)
    seen = (~x.isnan()).double().mean(0)
    ceiling = -float((seen * gaps.log())[gaps.isfinite()].sum())
    if not nats > ceiling:
        return None
    step = float(gaps.nanmedian())
    return (
        f"{nats:.2f} nats are spikes, no fit: values are recorded in steps (of {step:.3g}, the median of the columns),"
        f" and a density of more than {ceiling:.2f} nats gives such steps a probability above 1; take columns whose"
        " values repeat as levels"
    )
