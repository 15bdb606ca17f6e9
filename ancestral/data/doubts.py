"""What deserves a warning in a column: an identifier, numbers that are names, a value that many rows share."""

import re
import shlex
import warnings
from typing import TYPE_CHECKING

import numpy as np

from ancestral.data.cells import FEW_ROWS, Cells
from ancestral.interface import Real, Support

if TYPE_CHECKING:
    import pandas

# Above this share of different values a column may name its rows; above this share of one value a density has an atom.
_UNIQUE, _ATOM = 0.95, 0.05
# Numbers of so few different values may as well be names.
_FEW_VALUES = 50
# So few integers far apart are names.
_FEW_LEVELS = 20
# Of so many values a row, draws by chance would be less than `_UNIQUE` different: k (1 - exp(-1/k)) = 0.952 of k = 10.
_DENSE = 10
_ID = re.compile(r"(?i:(.*[\W_])?(id|uuid|guid|index|key)([\W_].*)?)|.*[a-z]I[Dd]")


def warn_of(values: "pandas.Series", name: str, cells: Cells, support: Support, source: str) -> None:
    """Warn of an identifier, of few numbers far apart, and of an atom in what is modelled by a density."""
    rows, values = len(values), values.dropna()
    few = values.nunique()
    if rows > FEW_ROWS and few > _UNIQUE * rows and _names_rows(values, name, cells):
        warnings.warn(
            f"{source}: nearly every row has a {name} of its own, as an identifier has; drop={shlex.quote(name)} leaves"
            " it out",
            stacklevel=3,
        )
    if cells == "integer" and rows > FEW_ROWS and 2 <= few <= _FEW_LEVELS and _span(values) >= 4 * few:
        warnings.warn(
            f"{source}: {name} has only {few} different values from {values.min():g} to {values.max():g}, and samples"
            f" may lie between; columns={{{name}: categories}} takes them as names",
            stacklevel=3,
        )
    elif isinstance(support, Real):
        warn_of_atoms(values.to_numpy(dtype="float64"), name, source, rows)


def _names_rows(values: "pandas.Series", name: str, cells: Cells) -> bool:
    """Whether values that nearly all differ are an identifier's: words, or integers that are sorted, that lie denser
    than amounts would without repeating, or that are called so."""
    if cells != "integer":
        return cells == "text"
    is_sorted = values.is_monotonic_increasing or values.is_monotonic_decreasing
    return is_sorted or _span(values) <= _DENSE * len(values) or _ID.fullmatch(name) is not None


def _span(values: "pandas.Series") -> float:
    return float(values.max()) - float(values.min()) + 1


def warn_of_atoms(values: np.ndarray, name: str, source: str, rows: int) -> None:
    """Warn where many of the values (rows,) of a real column are the same one."""
    if rows <= FEW_ROWS:
        return
    found, counts = np.unique(values, return_counts=True)
    if len(found) > 1 and counts.max() > _ATOM * rows:
        top = found[counts.argmax()]
        few = f"; as categories its {len(found)} values have none" if len(found) <= _FEW_VALUES else ""
        warnings.warn(
            f"{source}: {counts.max() / rows:.0%} of the rows have {top:g} as {name}, where the density of a real"
            f" column has no bound: its nats reward spikes{few}",
            stacklevel=3,
        )
