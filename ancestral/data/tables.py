"""Data in tables: .csv, .tsv and .parquet, a row an observation, a column a dimension."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from ancestral.data.assembly import Rows, assemble, encode_labels
from ancestral.data.cells import how_to_convert, listed
from ancestral.data.dataset import Data
from ancestral.data.schema import Schema
from ancestral.interface import InputError, Support
from ancestral.suggestions import did_you_mean

if TYPE_CHECKING:
    import pandas

#: What `Split.origin` calls whether a row has a cell that no row of a schema can have.
IMPOSSIBLE = "impossible"
#: A pandas.DataFrame; its import costs half a second, which few need.
Frame: TypeAlias = Any
#: The endings of tables; of them the ones that are text.
TABLES = (".csv", ".tsv", ".parquet")
_TEXT = (".csv", ".tsv")

# In the order in which they are believed: a comma may be a decimal, the others are seldom inside numbers.
_SEPARATORS = ("\t", ";", "|", ",")
# Lines that are looked at to find the separator and the decimal mark.
_LOOKED_AT = 200
_WITH_COMMA = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*")
_WITH_POINT = re.compile(r"\s*[+-]?\d*\.\d+([eE][+-]?\d+)?\s*")
_IN_THOUSANDS = re.compile(r"\s*[+-]?[1-9]\d{0,2}(,\d{3})+\s*")
_ZEROS = re.compile(r"\s*0\d+\s*")
# 1.234.567,89, as much of Europe writes it.
_POINTS_AND_COMMA = re.compile(r"\s*[+-]?[1-9]\d{0,2}(\.\d{3})+,\d+\s*")


def load_table(
    path: Path | Frame,
    seed: int | None,
    support: Support | None,
    *,
    label: str | int | None = None,
    missing: bool = False,
    columns: Mapping[str, str] | None = None,
    drop: str | int | Sequence[str | int] | None = None,
    keep: str | int | Sequence[str | int] | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    schema: Schema | None = None,
    carry: Sequence[str] = (),
    mark: bool = False,
) -> Data:
    """The data set in a .csv, .tsv or .parquet file, or a DataFrame; every column but the label is a dimension.

    Each is of its own kind: text columns become categories, 0 and 1 binary, integers levels, all else real. Columns
    that never vary are left out, with a warning.


    Args:
        path: The file, or the DataFrame itself.
        seed: Draws the split 80/10/10; None takes all rows in their order.
        support: Of the whole table, where the columns' own is not meant.
        label: The name of the column with the labels: integers 0, 1, ... or text.
        missing: Keep empty cells as NaN, for a model that accepts them.
        columns: What single columns are taken as: real, levels, binary, categories or drop, as in
            "{age: real, income: categories, zip: drop}".
        drop: The names of columns to leave out, with commas between.
        keep: The names of the only columns to take, with commas between.
        separator: What stands between two fields, where it is not the one that the file suggests: ',', ';' or tab.
        decimal: The decimal mark, where it is not the one that the file suggests: '.' or ','.
        schema: The columns of another table, by whose names and words this one is taken.
        carry: The names of columns that each row keeps beside its values, in `Split.origin`.
        mark: Rows with words or numbers that the columns of `schema` do not have are not refused: they are marked as
            `IMPOSSIBLE` in `Split.origin`.
    """
    frame = read_table(path, separator, decimal) if isinstance(path, Path) else path.rename(columns=str)
    path = path if isinstance(path, Path) else Path("the DataFrame")
    names = [str(name) for name in frame.columns]
    origin = {name: frame[_known(name, names, path)].to_numpy() for name in carry}
    y, classes = None, None
    label = None if label is None else str(label)
    if label is not None and (schema is None or label in names):
        y, classes = _labels(frame, label, path)
        frame = frame.drop(columns=[label])
    dropped, kept = _names(drop), _names(keep)
    if schema is None:
        for name in (*dropped, *kept):
            _known(name, names, path)
        frame = frame[[name for name in frame.columns if name not in dropped and (not kept or name in kept)]]
        if not len(frame.columns):
            raise InputError(f"{path}: no column is left to model; there is no column besides the label")
        schema = Schema.from_frame(frame, columns, support=support, missing=missing, source=str(path))
        besides = list(frame.columns)
    else:
        taken_out = [name for name in names if kept and name not in kept]
        besides = [*dropped, *taken_out, *carry, *(name for name, kind in (columns or {}).items() if kind == "drop")]
    if mark:
        origin[IMPOSSIBLE] = np.zeros(len(frame), dtype=bool)
    impossible = origin.get(IMPOSSIBLE)
    x = schema.encode(frame, source=str(path), missing=missing, besides=besides, impossible=impossible)
    rows = Rows(x, y, origin)
    return assemble(
        path.name,
        {"train": rows},
        seed=seed,
        support=schema.event.support,
        classes=classes,
        missing=missing,
        schema=schema,
    )


def read_table(
    path: Path, separator: str | None = None, decimal: str | None = None, *, as_text: bool = False
) -> "pandas.DataFrame":
    """The table in a .csv, .tsv or .parquet file, its columns named by text; the cells of a file that is text
    `as_text`, just as they are written."""
    import pandas
    import pyarrow

    try:
        is_text = path.suffix.lower() in _TEXT
        frame = _read_text(path, separator, decimal, as_text) if is_text else pandas.read_parquet(path)
    except InputError:
        raise
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is no text in UTF-8 ({error.reason} at byte {error.start}); {how_to_convert(error.object)}"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, csv.Error, pyarrow.ArrowException) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path} cannot be read as a {path.suffix[1:]} table ({said})") from error
    frame.columns = frame.columns.map(lambda name: str(name).strip())
    if frame.empty:
        raise InputError(
            f"{path} has {len(frame)} rows and {len(frame.columns)} columns; there is nothing to learn from"
        )
    return frame


# -- Tables in text ---------------------------------------------------------------------------------------------------


class _Layout(NamedTuple):
    """How a table is written as text."""

    separator: str
    decimal: str
    has_names: bool


def _read_text(path: Path, separator: str | None, decimal: str | None, as_text: bool) -> "pandas.DataFrame":
    import pandas

    layout = _layout(path, separator, "." if as_text else decimal)
    _check_lines(path, layout)
    with _records(path, layout.separator) as records:
        some = [fields for _, fields in islice(records, 1 if layout.has_names else 0, _LOOKED_AT)]
    # Numbers that begin with 0 are names, as zip codes are.
    names = [place for place, cells in enumerate(zip(*some)) if any(map(_ZEROS.fullmatch, cells))]
    return pandas.read_csv(
        path,
        sep=layout.separator,
        dtype=str if as_text else dict.fromkeys(names, str),
        keep_default_na=not as_text,
        decimal=layout.decimal,
        thousands="." if layout.decimal == "," else None,
        header=0 if layout.has_names else None,
        index_col=False,
        skipinitialspace=True,
        low_memory=False,
        encoding="utf-8-sig",
    )


def _layout(path: Path, separator: str | None, decimal: str | None) -> _Layout:
    """The separator by which most lines have as many fields as the first, the decimal mark of its numbers, and whether
    the first line is names."""
    separator = "\t" if separator in ("tab", "\\t") else separator
    for mark, what in ((separator, "separator"), (decimal, "decimal")):
        if mark is not None and len(mark) != 1:
            raise InputError(f"{what} must be one character, got {mark!r}")
    if separator is None:
        found = {mark: _agreement(path, mark) for mark in _SEPARATORS}
        # The first of the best, in the order of trust.
        separator = max(_SEPARATORS, key=lambda mark: found[mark]) if any(found.values()) else ","
    with _records(path, separator) as records:
        first, *rest = [fields for _, fields in islice(records, _LOOKED_AT)] or [[]]
    if decimal is None:
        decimal = _decimal([first, *rest], separator, path)
    # Names 0, 1, 2, ... are those that pandas gives to columns without any.
    counted = first == [str(number) for number in range(len(first))] and len(first) > 1
    return _Layout(separator, decimal, counted or not all(_is_number(field, decimal) for field in first))


def _agreement(path: Path, separator: str) -> float:
    """The share of lines that have as many fields as the first, by a separator; 0 where the first has one."""
    with _records(path, separator) as records:
        counts = [len(fields) for _, fields in islice(records, _LOOKED_AT)]
    return counts.count(counts[0]) / len(counts) if counts and counts[0] > 1 else 0.0


def _decimal(records: Sequence[Sequence[str]], separator: str, path: Path) -> str:
    cells = [field for fields in records for field in fields if field]
    if any(map(_POINTS_AND_COMMA.fullmatch, cells)):
        return ","
    commas = [field for field in cells if _WITH_COMMA.fullmatch(field) or _IN_THOUSANDS.fullmatch(field)]
    if not commas or any(_WITH_POINT.fullmatch(field) for field in cells):
        return "."
    if separator != ";" and all(_IN_THOUSANDS.fullmatch(field) for field in commas):
        raise InputError(
            f"{path} has numbers such as {commas[0].strip()!r}, with a comma for decimals or for thousands; say which:"
            " pass decimal=',' for decimals, or write the numbers without it"
        )
    return ","


def _check_lines(path: Path, layout: _Layout) -> None:
    """Refuse a table with names that occur twice, or with a line that has more or fewer fields than the first."""
    with _records(path, layout.separator) as records:
        _, first = next(records, (1, [""]))
        twice = [name for name, count in Counter(map(str.strip, first)).items() if name and count > 1]
        if layout.has_names and twice:
            raise InputError(f"{path} has more than one column named {listed(twice)}; give each a name of its own")
        for line, fields in records:
            if len(fields) != len(first):
                expected = "names" if layout.has_names else "fields in the first line"
                raise InputError(
                    f"{path} has {len(fields)} fields in line {line}, but {len(first)} {expected} (the separator is"
                    f" {layout.separator!r}); correct the line, or name the separator"
                )


@contextmanager
def _records(path: Path, separator: str) -> Iterator[Iterator[tuple[int, list[str]]]]:
    """The lines that are not blank as their fields, each with the number of its last line."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, delimiter=separator, skipinitialspace=True)
        yield ((reader.line_num, fields) for fields in reader if fields and (len(fields) > 1 or fields[0].strip()))


def _is_number(field: str, decimal: str) -> bool:
    try:
        float(field.replace(decimal, ".") if decimal != "." else field)
    except ValueError:
        return False
    return "_" not in field


# -- Columns by name --------------------------------------------------------------------------------------------------


def _names(given: str | int | Sequence[str | int] | None) -> list[str]:
    """Names with commas between, or in a list."""
    if given is None:
        return []
    if isinstance(given, str):
        return [name.strip() for name in given.split(",") if name.strip()]
    return [str(given)] if isinstance(given, int) else [str(name) for name in given]


def _known(name: str, names: list[str], path: Path) -> str:
    if name not in names:
        raise InputError(f"{path} has no column {name!r}{did_you_mean(name, names)}; it has {listed(names)}")
    return name


def _labels(frame: "pandas.DataFrame", label: str, path: Path) -> tuple[Int64[Tensor, " rows"], list[str] | None]:
    column = frame[_known(label, list(frame.columns), path)]
    # Among words, too, -1 is no label.
    column = column.mask(column.map(lambda value: isinstance(value, str) and value.strip() == "-1"))
    source = f"the column {label} of {path}"
    known = column.dropna()
    classes: list[str] | None
    if known.map(lambda value: isinstance(value, bool | np.bool_)).all():
        known = known.map(str)
    different = (
        sorted(known.unique()) if known.map(lambda value: isinstance(value, int | float | np.number)).all() else []
    )
    if different and {*different, -1} != {-1, *range(int(different[-1]) + 1)}:  # numbers as names, not 0, 1, 2, ...
        classes = [f"{value:.15g}" for value in different]
        numbers = torch.tensor([different.index(value) for value in known])
    else:
        # A row without a label is -1 among numbers; text is numbered first, and then gets its gaps.
        is_text = known.map(lambda value: isinstance(value, str)).all()
        values: np.ndarray[Any, Any] = known.to_numpy(dtype=str) if is_text else known.to_numpy()
        numbers, classes = encode_labels(values, source)
    y = torch.full((len(column),), -1)
    y[torch.tensor(column.notna().tolist())] = numbers
    return y, classes
