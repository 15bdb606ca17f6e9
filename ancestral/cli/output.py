"""What the commands write: tables of rows."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
from torch import Tensor

from ancestral.cli.writing import write_table
from ancestral.output import write_bytes

#: A column of what is written, by rows.
Column: TypeAlias = Tensor | np.ndarray


def write_rows(columns: Mapping[str, Column], path: Path) -> None:
    """Columns of one length as .csv, .parquet or .npz, by the ending of the file."""
    if path.suffix == ".npz":
        write_npz(columns, path)
        return
    import pandas as pd  # costs half a second, and few commands write tables

    flat: dict[str, np.ndarray] = {}
    for name, values in columns.items():
        array = _array(values)
        rows = array.reshape(len(array), -1)
        # A column of vectors becomes one column for each entry.
        for i in range(rows.shape[1]):
            flat[name if array.ndim == 1 else f"{name}{i}"] = rows[:, i]
    write_table([pd.DataFrame(flat)], path)


def write_npz(arrays: Mapping[str, Column], path: Path) -> None:
    """Arrays by name as a compressed NPZ; text as arrays of fixed width, which need no unpickling."""
    memory = io.BytesIO()
    # Not by numpy.savez, which has no array by the name of "file".
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in arrays.items():
            array = _array(values)
            with archive.open(f"{name}.npy", "w") as file:
                text = array.dtype == object
                np.lib.format.write_array(file, array.astype(str) if text else array, allow_pickle=False)
    write_bytes(memory.getvalue(), path)


def _array(values: Column) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values
