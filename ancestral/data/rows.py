"""The rows of a table or of a file of one array in their own order, as new observations of a known event."""

from pathlib import Path

import torch
from torch import Tensor

from ancestral.data.arrays import as_images, read_arrays
from ancestral.data.dataset import Split
from ancestral.data.support import as_tensor, storage_dtype
from ancestral.data.tables import numeric, read_table
from ancestral.interface import Event, InputError, Real


def load_rows(path: Path, event: Event, *, label: str | None = None, window: int | None = None) -> Split | None:
    """All rows of a table or a file of one array, in their order; None for a source of another kind.

    `label` is the column of labels, left out where there is one. With a `window`, longer rows are cut into windows that
    lie side by side.
    """
    x: Tensor | None = None
    if path.suffix in (".csv", ".parquet"):
        frame = read_table(path)
        x = numeric(frame if label is None else frame.drop(columns=[label], errors="ignore"), str(path))
    elif path.suffix in (".npy", ".npz"):
        arrays = read_arrays(path)
        names = [name for name in ("", "x", "X", "images", "data") if name in arrays]
        if "train" not in arrays and (names or len(arrays) == 1):
            x = as_images(as_tensor(arrays[names[0] if names else next(iter(arrays))], str(path)))
    if x is None:
        return None
    if tuple(x.shape[1:]) == (event.size,):  # images as rows of a table
        x = x.reshape(-1, *event.shape)
    whole = Event(tuple(x.shape[1:]), event.support)
    whole.check(x, f"x of {path}")
    # As they came where they are real: a few rows do not say what a float32 of all of them would lose.
    keep = isinstance(event.support, Real) and x.dtype == torch.float64
    rows = Split(x if keep else x.to(storage_dtype(event.support, [x])), whole, name=path.name)
    if window is not None:
        rows = rows.windowed(window, drawn=False)
    if rows.event.shape != event.shape:
        raise InputError(f"{path} has rows of shape {rows.event.shape}, but the model takes {event.shape}")
    return rows
