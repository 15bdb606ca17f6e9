"""What the columns of a table mean: the names, the kinds and the words that its rows are read and written by."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Num
from torch import Tensor

from ancestral.data.cells import Cells, cells_of, listed, numbers_of, plain, words_of
from ancestral.data.doubts import warn_of
from ancestral.data.support import MOST_LEVELS, as_tensor
from ancestral.interface import Binary, Categories, Columns, Event, InputError, Levels, Real, Support, parse_support
from ancestral.suggestions import did_you_mean

if TYPE_CHECKING:
    import pandas

#: What a single column can be taken as.
KINDS = ("real", "levels", "binary", "categories", "drop")


@dataclass(frozen=True)
class Column:
    """A column by its name: the support of its numbers, and what its cells are.

    A cell is its number plus `offset`, of `Categories` the word of that number.
    """

    name: str
    support: Support
    categories: tuple[str, ...] | None = None
    offset: int = 0
    cells: Cells = "real"

    def encode(
        self, values: "pandas.Series", where: str, *, missing: bool = False, impossible: np.ndarray | None = None
    ) -> np.ndarray:
        """The numbers of the cells in float64, (rows,), NaN where there is none; `where` names the table in errors.

        A word or a number that the column does not have is refused; with `impossible`, (rows,) bool, its row is marked
        there instead, and the cell is 0.
        """
        if self.categories is not None:
            words, known = words_of(values), {word: number for number, word in enumerate(self.categories)}
            numbers = np.array([np.nan if word is None else known.get(word, -1) for word in words], dtype=np.float64)
            if impossible is None and (strange := np.flatnonzero(numbers == -1)).size:
                row = int(strange[0])
                raise InputError(
                    f"{where} has {words[row]!r} as {self.name} in row {row}"
                    f"{did_you_mean(words[row] or '', self.categories)}; known are {listed(self.categories)}"
                )
        else:
            numbers = numbers_of(values, f"the column {self.name} of {where}") - self.offset
        good = self.support.contains(torch.from_numpy(numbers)).numpy() | np.isinf(numbers)
        if impossible is not None:
            outside = ~good & ~np.isnan(numbers)
            impossible |= outside
            numbers = np.where(outside, 0.0, numbers)
        elif (bad := np.flatnonzero(~good & ~np.isnan(numbers))).size:
            row = int(bad[0])
            raise InputError(
                f"{where} has {values.iloc[row]} as {self.name} in row {row} ({bad.size} such), but {self.name}"
                f" is {self._in_words()}; correct or drop these rows, or train with a kind that has them"
            )
        if not missing and (holes := np.flatnonzero(np.isnan(numbers))).size:
            raise _empty_cells(where, {self.name: holes.size})
        return numbers

    def decode(self, numbers: Num[Tensor, " rows"]) -> "pandas.Series":
        """The cells of numbers: words, integers, truth values or reals; empty where they are NaN."""
        import pandas

        found = numbers.detach().cpu().double().numpy()
        empty = np.isnan(found)
        if self.categories is not None:
            known: list[Any] = [int(word) if self.cells == "integer" else word for word in self.categories]
            cells = [None if none else known[int(number)] for number, none in zip(found, empty)]
            dtype = "object" if self.cells != "integer" else "Int64" if empty.any() else "int64"
            return pandas.Series(cells, name=self.name, dtype=dtype)
        if self.cells == "real":
            return pandas.Series(found + self.offset, name=self.name)
        whole = pandas.Series(np.round(found) + self.offset, name=self.name).astype("Int64")
        if self.cells == "boolean":
            return whole.astype("boolean" if empty.any() else "bool")
        return whole if empty.any() else whole.astype("int64")

    def to_json(self) -> dict[str, Any]:
        """The column as JSON values."""
        words = None if self.categories is None else list(self.categories)
        return {
            "name": self.name,
            "support": self.support.flag,
            "categories": words,
            "offset": self.offset,
            "cells": self.cells,
        }

    def _in_words(self) -> str:
        match self.support:
            case Levels(count):
                return f"a whole number from {self.offset} to {self.offset + count - 1}"
            case Binary():
                return "0 or 1"
        return self.support.flag


@dataclass(frozen=True)
class Schema:
    """The columns of a table that are modelled, in their order, and those that never vary, with their one value.

    `names` are all of them in the order of the file. A table is taken by these names, in whatever order it has them.
    """

    columns: tuple[Column, ...]
    constants: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.names:
            object.__setattr__(self, "names", (*(column.name for column in self.columns), *self.constants))

    @property
    def event(self) -> Event:
        """One row: of the one support where all columns have the same, otherwise of `Columns`."""
        supports = tuple(column.support for column in self.columns)
        return Event((len(supports),), supports[0] if len(set(supports)) == 1 else Columns(supports))

    @classmethod
    def from_frame(
        cls,
        frame: "pandas.DataFrame",
        overrides: Mapping[str, str] | None = None,
        *,
        support: Support | None = None,
        missing: bool = False,
        source: str = "the table",
    ) -> "Schema":
        """What the cells suggest: text is `Categories`, 0 and 1 `Binary`, integers `Levels`, all else `Real`.

        Warns of columns that never vary, which are left out, of what looks like an identifier, and of single values
        that many rows of a real column share.

        Args:
            frame: The table, without its column of labels.
            overrides: What single columns are taken as: real, levels, binary, categories or drop.
            support: Of the whole table, where the cells' own is not meant; then no column is left out.
            missing: Empty cells are allowed.
            source: What errors and warnings call the table.
        """
        chosen = dict(overrides or {})
        _check_kinds(chosen, [str(name) for name in frame.columns], source)
        frame = frame[[name for name in frame.columns if chosen.get(str(name)) != "drop"]]
        constants = {} if support is not None else _constants(frame, chosen, missing)
        kept = frame[[name for name in frame.columns if str(name) not in constants]]
        if not len(kept.columns):
            what = "no column varies" if constants else "there is no column to model"
            raise InputError(f"{source}: {what}; there is nothing to learn from")
        if not missing:
            _check_filled(kept, source)
        if support is None:
            columns = [_column(kept[name], str(name), chosen.get(str(name)), source) for name in kept.columns]
        else:
            columns = _alike(kept, support, source)
        if constants:
            warnings.warn(f"{source}: never vary, and are left out: {listed(constants)}", stacklevel=2)
        for name, column in zip(kept.columns, columns, strict=True):
            warn_of(kept[name], column.name, column.cells, column.support, source)
        return cls(tuple(columns), constants, tuple(map(str, frame.columns)))

    def encode(
        self,
        frame: "pandas.DataFrame",
        *,
        source: str = "the table",
        missing: bool = False,
        besides: Iterable[str] = (),
        impossible: np.ndarray | None = None,
    ) -> Num[Tensor, "rows columns"]:
        """The numbers of the rows, int64, or float64 where any column is real or any cell is empty.

        Columns are taken by name. One that is missing is refused; one that is not known is ignored with a warning,
        unless it is among `besides`. Of `impossible` see `Column.encode`.
        """
        found = {str(name): frame[name] for name in frame.columns}
        names = [column.name for column in self.columns]
        if absent := [name for name in names if name not in found]:
            hint = did_you_mean(absent[0], [name for name in found if name not in names])
            raise InputError(f"{source} has no column {listed(absent)}{hint}; it has {listed(found)}")
        if extra := [name for name in found if name not in {*self.names, *besides}]:
            warnings.warn(f"{source}: ignored, since the model does not know them: {listed(extra)}", stacklevel=2)
        if not missing:
            _check_filled(frame[[name for name in frame.columns if str(name) in names]], source)
        how: dict[str, Any] = {"missing": missing, "impossible": impossible}
        numbers = [column.encode(found[column.name], source, **how) for column in self.columns]
        x = np.stack(numbers, 1)
        is_whole = all(not isinstance(column.support, Real) for column in self.columns) and np.isfinite(x).all()
        return as_tensor(x.astype(np.int64) if is_whole else x, source)

    def decode(self, x: Num[Tensor, "rows columns"]) -> "pandas.DataFrame":
        """The table of numbers as the file had it: all names in their order, cells of their kinds, constants again."""
        import pandas

        cells: dict[str, Any] = {column.name: column.decode(x[:, i]) for i, column in enumerate(self.columns)}
        for name, value in self.constants.items():
            cells[name] = [value] * len(x)
        return pandas.DataFrame({name: cells[name] for name in self.names})

    def to_json(self) -> dict[str, Any]:
        """The schema as JSON values."""
        columns = [column.to_json() for column in self.columns]
        return {"columns": columns, "constants": dict(self.constants), "names": list(self.names)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Schema":
        """The schema that `to_json` wrote."""
        try:
            columns = [
                Column(
                    **{
                        **column,
                        "support": parse_support(column["support"]),
                        "categories": None if column["categories"] is None else tuple(column["categories"]),
                    }
                )
                for column in stored["columns"]
            ]
            return cls(tuple(columns), dict(stored["constants"]), tuple(stored["names"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"this is no schema of a table ({error!r}): {stored!r}") from error


def columns_in_figures(schema: Schema | None) -> dict[str, Any]:
    """The `names` of a table's columns and the words of their `categories`, as figures take them."""
    if schema is None:
        return {}
    return {
        "names": [column.name for column in schema.columns],
        "categories": [column.categories for column in schema.columns],
    }


def in_units(x: Num[Tensor, "rows *event"], schema: Schema | None) -> Num[Tensor, "rows *event"]:
    """Observations as figures show them: the integers of a table as its file has them, all other data as they are."""
    if schema is None:
        return x
    return x.cpu() + torch.tensor([column.offset for column in schema.columns])


# -- From cells to columns --------------------------------------------------------------------------------------------


def _column(values: "pandas.Series", name: str, kind: str | None, source: str) -> Column:
    where = f"the column {name} of {source}"
    cells = cells_of(values, where, as_words=kind == "categories")
    if kind == "categories" or (kind is None and cells == "text"):
        return Column(name, *_categories(values, cells), cells=cells)
    if cells == "text":
        raise InputError(f"{where} holds text, which is no {kind}; take it as categories, or drop it")
    numbers = numbers_of(values, where)
    known = numbers[np.isfinite(numbers)]
    low, high = int(np.floor(known.min())), int(np.ceil(known.max()))
    is_binary = bool(np.isin(known, (0, 1)).all())
    if kind == "binary" or (kind is None and is_binary):
        if not is_binary:
            raise InputError(f"{where} is to be binary, but holds values from {low} to {high}; expected 0 and 1")
        return Column(name, Binary(), cells=cells)
    is_levels = cells == "integer" and 2 <= high - low + 1 <= MOST_LEVELS
    if kind == "levels" and not is_levels:
        found = f"integers from {low} to {high}" if cells == "integer" else "fractions"
        raise InputError(f"{where} is to be levels, but holds {found}; expected at most {MOST_LEVELS} integers")
    if kind == "levels" or (kind is None and is_levels):
        return Column(name, Levels(high - low + 1), offset=low, cells=cells)
    return Column(name, Real(), cells=cells)


def _categories(values: "pandas.Series", cells: Cells) -> tuple[Support, tuple[str, ...]]:
    words = {word for word in words_of(values) if word is not None}
    # Of numbers the order is theirs, of all else the alphabet's.
    ordered = sorted(words, key=float if cells in ("integer", "real") else None)
    return Categories(max(2, len(ordered))), tuple(ordered)


def _constants(frame: "pandas.DataFrame", chosen: Mapping[str, str], missing: bool) -> dict[str, Any]:
    """The columns of one value, or of none, with it; not those that are said to be real or binary."""
    constants: dict[str, Any] = {}
    for name in frame.columns:
        values, known = frame[name], frame[name].dropna()
        has_gaps = 0 < len(known) < len(values)
        if chosen.get(str(name)) in ("real", "binary") or (has_gaps and not missing):
            continue
        try:
            if known.nunique() > 1:
                continue
        except TypeError:  # lists, which `cells_of` refuses
            continue
        constants[str(name)] = None if known.empty else plain(known.iloc[0])
    return constants


def _alike(frame: "pandas.DataFrame", support: Support, source: str) -> list[Column]:
    """All columns of the one support that was asked for."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    text = [name for name in frame.columns if not is_numeric_dtype(frame[name]) and not is_bool_dtype(frame[name])]
    if text:
        raise InputError(
            f"{source}: the columns {listed(text)} are not numeric, so the table is not {support.flag} altogether;"
            " encode or drop them, or leave the support to the columns"
        )
    kinds = {
        str(name): cells_of(frame[name], f"the column {name} of {source}", as_words=False) for name in frame.columns
    }
    return [Column(name, support, cells="real" if support == Real() else cells) for name, cells in kinds.items()]


# -- What is wrong with cells -----------------------------------------------------------------------------------------


def _check_kinds(chosen: Mapping[str, str], names: Sequence[str], source: str) -> None:
    for name, kind in chosen.items():
        if name not in names:
            raise InputError(f"{source} has no column {name!r}{did_you_mean(name, names)}; it has {listed(names)}")
        if kind not in KINDS:
            raise InputError(f"the column {name} can be {', '.join(KINDS)}, got {kind!r}{did_you_mean(kind, KINDS)}")


def _check_filled(frame: "pandas.DataFrame", source: str) -> None:
    holes = frame.isna().sum()
    if holes.any():
        raise _empty_cells(source, {str(name): int(count) for name, count in holes[holes > 0].items()})


def _empty_cells(source: str, holes: Mapping[str, int]) -> InputError:
    where = listed(f"{name} ({count})" for name, count in holes.items())
    return InputError(
        f"{source} has {sum(holes.values())} empty cells, in the columns {where}; fill them or drop their rows,"
        " or pass missing=True for a model that accepts them (probabilistic PCA)"
    )
