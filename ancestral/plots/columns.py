"""A column of a table: its name, its values on an axis, and panels for several of them."""

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from ancestral.interface import Binary, Categories, Event, InputError, Real, Support

_DPI = 100
#: Up to so many columns are drawn, in pairs where there are no more.
SHOWN = 8
#: Of real rows, and of what stands beside them; both are seen on white and on black.
REAL, DRAWN = "#8c8c8c", "#2f7fd6"
#: Values of a column that are bars of their own.
_BARS = 30
#: In inches: a panel of a grid.
_PANEL = 1.45


@dataclass(frozen=True)
class Column:
    """One column of a table: its name, its support, and the words of its categories where they are known."""

    name: str
    support: Support
    words: Sequence[str] | None = None

    @property
    def unordered(self) -> bool:
        """Whether its values are names: categories, or the two of `Binary`."""
        return isinstance(self.support, Categories | Binary)

    def word(self, place: int) -> str:
        """What a value is called on an axis."""
        if self.words is not None and 0 <= place < len(self.words):
            return textwrap.shorten(self.words[place], 12, placeholder="…") or self.words[place][:12]
        return str(place)


def columns_of(
    event: Event, names: Sequence[str] | None = None, categories: Sequence[Sequence[str] | None] | None = None
) -> list[Column]:
    """The columns of an event (columns,), by default called "column 0", ...; `categories` holds the words of each."""
    n = event.size
    for given, what in ((names, "names"), (categories, "categories")):
        if given is not None and len(given) != n:
            raise InputError(f"{what} must be given for each of the {n} columns, got {len(given)}")
    names = names or [f"column {i}" for i in range(n)]
    return [Column(*parts) for parts in zip(names, event.supports, categories or [None] * n, strict=True)]


def limits_of(values: np.ndarray, column: Column) -> tuple[float, float]:
    """What an axis spans: all values, without rare ones far outside the rest; half a step more of integers."""
    values = values[np.isfinite(values)]
    if column.unordered:
        count = column.support.values or 1
        return -0.6, count - 0.4
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    inner_low, inner_high = (float(value) for value in np.quantile(values, [0.01, 0.99]))
    inner = inner_high - inner_low
    if inner > 0 and high - low > 8 * inner:
        low, high = max(low, inner_low - inner / 2), min(high, inner_high + inner / 2)
    if not isinstance(column.support, Real):
        return math.floor(low) - 0.6, math.ceil(high) + 0.6
    margin = 0.06 * (high - low) or 0.05 * abs(low) or 0.5
    return low - margin, high + margin


def in_bars(column: Column, limits: tuple[float, float]) -> bool:
    """Whether each value is a bar of its own; a histogram or a point otherwise."""
    return not isinstance(column.support, Real) and (column.unordered or limits[1] - limits[0] <= _BARS)


def note(figure: Figure, words: str) -> None:
    """A line below the figure; nothing where there are no words."""
    if words:
        figure.supxlabel(words, fontsize=8, fontstyle="italic")


def panels(n: int, columns: int = 4) -> tuple[Figure, list[Axes]]:
    """A figure of `n` small axes in a grid, and the axes."""
    columns = min(n, columns)
    rows = math.ceil(n / columns)
    width = max(3.6, 1.5 * _PANEL * columns)
    figure = Figure(figsize=(width, max(2.6, 1.4 * _PANEL * rows)), dpi=_DPI, layout="constrained")
    every = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in every[n:]:
        axes.set_visible(False)
    for axes in every[:n]:
        axes.tick_params(labelsize=7)
    return figure, every[:n]


def by_column(
    columns: Sequence[Column], draw: Callable[[Axes, int, Column], None], *, shown: int = 2 * SHOWN
) -> Figure:
    """A small panel for each of the first columns."""
    figure, every = panels(min(len(columns), shown))
    for i, axes in enumerate(every):
        draw(axes, i, columns[i])
    if len(columns) > shown:
        note(figure, f"{shown} of {len(columns)} columns shown")
    return figure


def name_axis(axes: Axes, which: str, column: Column, limits: tuple[float, float], *, label: bool = True) -> None:
    """The limits, ticks and name of a column along "x" or "y": words where its values have some."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xlim if which == "x" else axes.set_ylim)(*limits)
    if isinstance(column.support, Real):
        axis.set_major_locator(MaxNLocator(3 if max(map(abs, limits)) >= 10_000 else 4))
    else:
        first, last = math.ceil(limits[0]), math.floor(limits[1])
        few = last - first < (12 if column.unordered else 6)
        axis.set_major_locator(FixedLocator(range(first, last + 1)) if few else MaxNLocator(5, integer=True))
        if column.unordered:
            axis.set_major_formatter(FuncFormatter(lambda value, _: column.word(round(value))))
            letters = sum(len(column.word(value)) for value in range(first, min(last, first + 12) + 1))
            if which == "x" and letters > 12:
                axes.tick_params(axis="x", labelrotation=90)
    if label:
        axis.set_label_text(textwrap.fill(column.name, 18, max_lines=2, placeholder="…"), fontsize=8)


def plane(columns: Sequence[Column], limits: Sequence[tuple[float, float]]) -> tuple[Figure, Axes]:
    """Axes for two continuous columns, on one scale unless one would be a thin band."""
    figure = Figure(figsize=(4.2, 4.2), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    axes.tick_params(labelsize=8)
    spans = [high - low for low, high in limits]
    if max(spans) < 3 * min(spans):
        half = max(spans) / 2
        limits = [((low + high) / 2 - half, (low + high) / 2 + half) for low, high in limits]
    axes.set_box_aspect(1)
    name_axis(axes, "x", columns[0], limits[0])
    name_axis(axes, "y", columns[1], limits[1])
    return figure, axes
