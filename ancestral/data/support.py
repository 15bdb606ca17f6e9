"""From the values of a file to the support of an event, and to the tensors that are stored."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Num
from torch import Tensor

from ancestral.data.moments import fit_float32
from ancestral.interface import Binary, Columns, Event, InputError, Levels, Real, Support

# Above this, integers are amounts or identifiers rather than levels of one quantity.
MOST_LEVELS = 2**16


def as_tensor(array: np.ndarray, source: str) -> Tensor:
    """The tensor of a numeric array: bool, uint8, int64, float32, or float64 as it came."""
    kind = array.dtype.kind
    if kind == "b":
        return torch.from_numpy(np.array(array))
    if kind in "iu":
        if array.dtype == np.uint64 and array.size and int(array.max()) > np.iinfo(np.int64).max:
            raise InputError(f"{source} holds integers beyond 64 bits with a sign; scale them or store them as floats")
        return torch.from_numpy(np.array(array, dtype=np.uint8 if array.dtype == np.uint8 else np.int64))
    if kind == "f":
        values = np.array(array, dtype=np.float64 if array.dtype.itemsize > 4 else np.float32)
        largest = np.nanmax(np.abs(values), initial=0)
        if np.finfo(np.float32).max < largest < np.inf:
            raise InputError(f"{source} holds values beyond the range of float32 (3e38); scale them")
        return torch.from_numpy(values)
    raise InputError(
        f"{source} holds values of type {array.dtype}; expected numbers or booleans: convert them, for text to classes"
    )


def infer_support(parts: Sequence[Num[Tensor, "..."] | Tensor], source: str) -> Support:
    """`Binary` if every value is 0 or 1, otherwise `Real` for floats and `Levels(max + 1)` for integers.

    Images of bytes, (n, height, width) and more, have 256 levels whether or not all of them occur.
    """
    if all(x.dtype == torch.bool or bool(((x == 0) | (x == 1)).all()) for x in parts):
        return Binary()
    if any(x.is_floating_point() for x in parts):
        return Real()
    if all(x.dtype == torch.uint8 and x.dim() > 2 for x in parts):
        return Levels(256)
    low, high = (min(int(x.min()) for x in parts), max(int(x.max()) for x in parts))
    if low < 0:
        raise InputError(
            f"{source} holds negative integers (the least is {low}), which are no levels 0, 1, ...;"
            " pass support=real to take them as real numbers, or shift them"
        )
    if high >= MOST_LEVELS:
        raise InputError(
            f"{source} holds integers up to {high}, too many for levels; pass support=real to take them as real"
            f" numbers, or support=levels:{high + 1} if that is meant"
        )
    return Levels(high + 1)


def storage_dtype(support: Support, parts: Sequence[Tensor]) -> torch.dtype:
    """The smallest dtype that stores every value of `support`: uint8, or int64 beyond 256 values.

    For `Real`, for `Columns` with some of it, and for missing values (NaN) it is float32, and float64 where float32
    could not tell the values in `parts` apart. `Columns` without are stored in the smallest integers.
    """
    kinds = support.supports if isinstance(support, Columns) else (support,)
    if any(isinstance(kind, Real) for kind in kinds) or any(x.is_floating_point() and x.isnan().any() for x in parts):
        return torch.float32 if fit_float32(parts) else torch.float64
    count = max(Event((), kind).values or 0 for kind in kinds)
    wider = (torch.int16, torch.int32) if isinstance(support, Columns) else ()
    return next(dtype for dtype in (torch.uint8, *wider, torch.int64) if count - 1 <= torch.iinfo(dtype).max)


def check_values(event: Event, x: Tensor, name: str, *, missing: bool = False) -> None:
    """`event.check`, in one pass over `x` where that will do: integers lie in a support if their extremes do."""
    whole = not x.is_floating_point() and x.numel() > 0 and tuple(x.shape[1:]) == event.shape
    each_column = isinstance(event.support, Columns)
    if whole and bool(event.support.contains(torch.stack(x.aminmax(dim=0) if each_column else x.aminmax())).all()):
        return
    event.check(x, name, missing=missing)
