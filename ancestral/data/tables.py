"""Data in tables: .csv and .parquet, a row an observation, a column a dimension."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int64
from torch import Tensor

from ancestral.data.assembly import Rows, assemble, encode_labels
from ancestral.data.dataset import Data
from ancestral.data.support import as_tensor
from ancestral.interface import InputError, Support
from ancestral.registry import did_you_mean

if TYPE_CHECKING:
    import pandas


def load_table(
    path: Path, seed: int, support: Support | None, *, label: str | None = None, missing: bool = False
) -> Data:
    """The data set in a .csv or .parquet file; every column but the label must be numeric.

    Args:
        path: The file.
        seed: Draws the split 80/10/10.
        support: By default what the values suggest.
        label: The name of the column with the labels: integers 0, 1, ... or text.
        missing: Keep empty cells as NaN, for a model that accepts them.
    """
    frame = read_table(path)
    y, classes = None, None
    if label is not None:
        y, classes = _labels(frame, label, path)
        frame = frame.drop(columns=[label])
    x = numeric(frame, str(path), missing=missing)
    return assemble(path.name, {"train": Rows(x, y)}, seed=seed, support=support, classes=classes, missing=missing)


def read_table(path: Path) -> "pandas.DataFrame":
    """The table in a .csv or .parquet file."""
    import pandas
    import pyarrow

    try:
        frame = _read_csv(path) if path.suffix.lower() == ".csv" else pandas.read_parquet(path)
    except (OSError, ValueError, KeyError, TypeError, pyarrow.ArrowException) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path} cannot be read as a {path.suffix[1:]} table ({said})") from error
    if frame.empty:
        raise InputError(
            f"{path} has {len(frame)} rows and {len(frame.columns)} columns; there is nothing to learn from"
        )
    return frame


def _read_csv(path: Path) -> "pandas.DataFrame":
    import pandas

    frame = pandas.read_csv(path)
    # A first line of numbers is a row: the file has no names of columns.
    if len(pandas.to_numeric(frame.columns.to_series(), errors="coerce").dropna()) == len(frame.columns):
        return pandas.read_csv(path, header=None)
    return frame


def numeric(frame: "pandas.DataFrame", source: str, *, missing: bool = False) -> Tensor:
    """The columns as one tensor, (rows, columns)."""
    import pandas
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    text = [name for name in frame.columns if not is_numeric_dtype(frame[name])]
    if text or not len(frame.columns):
        what = f"the columns {_list(text)} are not numeric" if text else "there is no column besides the label"
        raise InputError(
            f"{source}: {what}; encode them as numbers or drop them, or name the column of labels with label="
        )
    holes = frame.isna().sum()
    if holes.any() and not missing:
        where = _list([f"{name} ({count})" for name, count in holes[holes > 0].items()])
        raise InputError(
            f"{source} has {int(holes.sum())} empty cells, in the columns {where}; fill them or drop their rows,"
            " or pass missing=True for a model that accepts them (probabilistic PCA)"
        )
    if all(is_bool_dtype(frame[name]) for name in frame.columns) and not holes.any():
        return as_tensor(frame.to_numpy(dtype=bool), source)
    if all(pandas.api.types.is_integer_dtype(kind) or is_bool_dtype(kind) for kind in frame.dtypes) and not holes.any():
        return as_tensor(frame.to_numpy(dtype="int64"), source)
    return as_tensor(frame.to_numpy(dtype="float64", na_value=float("nan")), source)


def _labels(frame: "pandas.DataFrame", label: str, path: Path) -> tuple[Int64[Tensor, " rows"], list[str] | None]:
    names = [str(name) for name in frame.columns]
    if label not in names:
        raise InputError(f"{path} has no column {label!r}{did_you_mean(label, names)}; it has {_list(names)}")
    column = frame[label]
    source = f"the column {label} of {path}"
    known = column.dropna()
    is_text = known.map(lambda value: isinstance(value, str)).all()
    # A row without a label is -1 among numbers; text is numbered first, and then gets its gaps.
    values = known.to_numpy(dtype=str) if is_text else known.to_numpy()
    numbers, classes = encode_labels(values, source)
    y = torch.full((len(column),), -1)
    y[torch.tensor(column.notna().tolist())] = numbers
    return y, classes


def _list(names: list[str]) -> str:
    """At most eight names."""
    shown = ", ".join(str(name) for name in names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
