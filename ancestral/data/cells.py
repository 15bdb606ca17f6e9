"""What the cells of one column of a table hold: text, integers, truth values or reals."""

import re
from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from ancestral.interface import InputError

if TYPE_CHECKING:
    import pandas

#: What the cells of a column hold, and are given back as.
Cells: TypeAlias = Literal["text", "integer", "boolean", "real"]
#: Up to so many rows, values that repeat or differ say nothing.
FEW_ROWS = 20
# Amounts with a unit or with marks of thousands: $1,200.50, 12.3 %, 1.200,50 €.
_MARKED = re.compile(r"[^\w\s.,+-]?\s*[+-]?\d[\d.,' ]*\s*([^\w\s.,+-]|EUR|USD|GBP|CHF|kg|km|cm|mm)?")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([T ].*)?|\d{1,2}([./-])\d{1,2}\2(\d{2}|\d{4})([T ].*)?")


def cells_of(values: "pandas.Series", where: str, *, as_words: bool) -> Cells:
    """What a column holds; refused where it is neither text nor numbers, nor text that was meant otherwise."""
    from pandas import CategoricalDtype
    from pandas.api.types import is_bool_dtype, is_complex_dtype, is_datetime64_any_dtype, is_numeric_dtype

    known = values.dropna()
    if is_bool_dtype(values) or known.map(lambda cell: isinstance(cell, bool | np.bool_)).all():
        return "boolean"
    if is_numeric_dtype(values) and not is_complex_dtype(values):
        numbers = known.to_numpy(dtype="float64")
        return "integer" if np.isfinite(numbers).all() and (numbers == np.round(numbers)).all() else "real"
    if isinstance(values.dtype, CategoricalDtype):
        return "text"
    if not known.map(lambda cell: isinstance(cell, str)).all():
        odd = next(cell for cell in known if not isinstance(cell, str))
        what = "dates" if is_datetime64_any_dtype(values) or isinstance(odd, date) else f"values such as {odd!r}"
        raise InputError(f"{where} holds {what}, which no model takes: convert it to numbers, or drop it")
    if not as_words:
        _check_words(known, where)
    return "text"


def _check_words(known: "pandas.Series", where: str) -> None:
    """Refuse text that is dates, or numbers but for a few cells: as categories it would be wrong in silence."""
    import pandas

    if known.map(lambda word: _DATE.fullmatch(word.strip()) is not None).all():
        raise InputError(
            f"{where} holds dates, such as {known.iloc[0]!r}: convert it to numbers, or drop it"
            " (or take it as categories, if that is meant)"
        )
    numbers = pandas.to_numeric(known, errors="coerce")
    marked = numbers.isna() & known.map(lambda word: _MARKED.fullmatch(word.strip()) is not None)
    if len(known) > FEW_ROWS and marked.mean() > 0.9 and known.nunique() >= 10:
        raise InputError(
            f"{where} holds numbers with marks, such as {known[marked].iloc[0]!r}; write them as plain numbers, or take"
            " the column as categories, or drop it"
        )
    strange = known[numbers.isna()]
    if 0 < len(strange) <= 0.1 * len(known) and numbers.nunique() >= 10:
        raise InputError(
            f"{where} holds numbers, but {strange.iloc[0]!r} in row {strange.index[0]} ({len(strange)} such cells);"
            " correct or empty these cells, or take the column as categories, or drop it"
        )


def words_of(values: "pandas.Series") -> list[str | None]:
    """The cells as text; whole numbers without a point, since a gap in a column of integers makes them floats."""
    return [
        None if empty else str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
        for cell, empty in zip(values, values.isna())
    ]


def numbers_of(values: "pandas.Series", where: str) -> np.ndarray:
    """The cells of a column of numbers or truth values, float64."""
    try:
        return values.to_numpy(dtype="float64", na_value=np.nan)
    except (TypeError, ValueError) as error:
        place = next((i for i, cell in enumerate(values) if isinstance(cell, str) and not _is_number(cell)), None)
        found = f"values of type {values.dtype}" if place is None else f"text, {values.iloc[place]!r} in row {place}"
        raise InputError(f"{where} holds {found}; expected numbers") from error


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def plain(cell: Any) -> str | int | float | bool:
    """A cell as a JSON value."""
    value = cell.item() if isinstance(cell, np.generic) else cell
    return value if isinstance(value, str | int | float | bool) else str(value)


def how_to_convert(content: bytes) -> str:
    """What to do about text that is not in UTF-8."""
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in content
    guess = "UTF-16" if wide else "ISO-8859-1"
    return f"if it is in {guess}, convert it with `iconv -f {guess} -t UTF-8`"


def listed(names: Iterable[object]) -> str:
    """At most eight names."""
    words = [str(name) for name in names]
    return ", ".join(words) if len(words) <= 8 else f"{', '.join(words[:8])} and {len(words) - 8} more"
