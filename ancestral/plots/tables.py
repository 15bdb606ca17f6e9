"""Tables as pictures: every column on its own and against every other, real rows beside samples."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from ancestral.interface import Event, Real
from ancestral.plots.columns import (
    DRAWN,
    REAL,
    SHOWN,
    Column,
    columns_of,
    in_bars,
    limits_of,
    name_axis,
    note,
    panels,
    plane,
)

_DPI = 100
#: Of classes, one after another.
_CLASSES = [
    "#2f7fd6",
    "#e0762a",
    "#2f9e44",
    "#d6394a",
    "#8f63c4",
    "#9a6b52",
    "#d968b0",
    "#8c8c8c",
    "#a8a11f",
    "#1fa6b8",
]
#: Rows of a series in a picture, and the most bins of a histogram.
_ROWS, _BINS = 2000, 30


def table_figure(
    samples: Tensor,
    event: Event,
    *,
    real: Tensor | None = None,
    names: Sequence[str] | None = None,
    categories: Sequence[Sequence[str] | None] | None = None,
) -> Figure:
    """Rows (n, columns) as pairs of columns and marginals; of more than 8 columns the marginals of the first 8.

    With `real` rows (m, columns) both are drawn, on axes that span the real ones. `names` are those of the columns,
    `categories` the words of each column's values 0, 1, ... where it has some.
    """
    series = {"samples": samples} if real is None else {"real": real, "samples": samples}
    return series_figure(series, columns_of(event, names, categories))


def series_figure(series: Mapping[str, Tensor], columns: Sequence[Column]) -> Figure:
    """Several sets of rows (n, columns) by their names, one colour each, on the same axes.

    Where the first is called "real" the axes span it, and a note says what share of the others lies outside.
    """
    rows = {name: x.detach().cpu().double()[:_ROWS].numpy() for name, x in series.items()}
    shown = columns[:SHOWN]
    frame = rows["real"] if "real" in rows else np.concatenate(list(rows.values()))
    limits = [limits_of(frame[:, i], column) for i, column in enumerate(shown)]
    if len(columns) == 2 and not any(in_bars(*both) for both in zip(shown, limits, strict=True)):
        figure = _plane(rows, columns, limits)
    elif len(columns) <= SHOWN:
        figure = _pairs(rows, columns, limits)
    else:
        figure = _marginals(rows, shown, limits)
    if len(series) > 1:
        handles = [
            Line2D([], [], marker="o", linestyle="", markersize=5, color=_colours(rows)[name], label=name)
            for name in rows
        ]
        room = int(figure.get_figwidth() / (0.4 + 0.075 * max(map(len, rows))))
        figure.legend(
            handles=handles, loc="outside upper right", frameon=False, fontsize=8, ncols=max(1, min(room, len(rows)))
        )
    notes = [f"{len(shown)} of {len(columns)} columns shown"] if len(columns) > len(shown) else []
    note(figure, "; ".join([*notes, *_outside(rows, limits)]))
    return figure


def _plane(rows: Mapping[str, np.ndarray], columns: Sequence[Column], limits: Sequence[tuple[float, float]]) -> Figure:
    figure, axes = plane(columns, limits)
    _scatter(axes, *({name: x[:, i] for name, x in rows.items()} for i in range(2)))
    return figure


def _pairs(rows: Mapping[str, np.ndarray], columns: Sequence[Column], limits: Sequence[tuple[float, float]]) -> Figure:
    """The marginals on the diagonal, and below it each column against those before it."""
    n = len(columns)
    side = max(3.6, 1.3 * n + 1.2)
    figure = Figure(figsize=(side, side * (0.75 if n == 1 else 1)), dpi=_DPI, layout="constrained")
    grid = figure.add_gridspec(n, n)
    spread = [_jittered(rows, column, i) for i, column in enumerate(columns)]
    for i in range(n):
        for j in range(i + 1):
            axes = figure.add_subplot(grid[i, j])
            axes.tick_params(labelsize=7)
            if i == j:
                _marginal(axes, rows, i, columns[i], limits[i])
            else:
                _scatter(axes, spread[j], spread[i])
                name_axis(axes, "y", columns[i], limits[i], label=j == 0)
            name_axis(axes, "x", columns[j], limits[j], label=i == n - 1)
            axes.tick_params(labelbottom=i == n - 1, labelleft=j == 0 and i > 0)
    return figure


def _marginals(
    rows: Mapping[str, np.ndarray], columns: Sequence[Column], limits: Sequence[tuple[float, float]]
) -> Figure:
    figure, every = panels(len(columns))
    for i, (axes, column) in enumerate(zip(every, columns, strict=True)):
        _marginal(axes, rows, i, column, limits[i])
        name_axis(axes, "x", column, limits[i])
    return figure


def _marginal(
    axes: Axes, rows: Mapping[str, np.ndarray], place: int, column: Column, limits: tuple[float, float]
) -> None:
    """The share of each value as bars, or of each bin: of the first of several filled, of the others as lines."""
    for i, (name, x) in enumerate(rows.items()):
        values, colour = x[:, place], _colours(rows)[name]
        # Of all rows: what lies outside the axes is missing from the bars as well.
        share = np.full(len(values), 1 / max(1, len(values)))
        if in_bars(column, limits):
            at = np.arange(math.ceil(limits[0]), math.floor(limits[1]) + 1)
            heights = np.array([np.sum(share[values == value]) for value in at])
            width = 0.84 / len(rows)
            axes.bar(at + (i - (len(rows) - 1) / 2) * width, heights, width=width, color=colour)
        else:
            known, bins = np.isfinite(values), _edges(column, limits)
            heights, _ = np.histogram(values[known], bins=bins, weights=share[known])
            filled = i == 0 and len(rows) <= 2
            axes.stairs(heights, bins, fill=filled, alpha=0.55 if filled else 1, linewidth=1.4, color=colour)
    axes.set_ylim(bottom=0)
    axes.set_yticks([])
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)


def _scatter(axes: Axes, x: Mapping[str, np.ndarray], y: Mapping[str, np.ndarray]) -> None:
    """All series in an order of chance: none hides another."""
    colours = np.concatenate([np.tile(to_rgb(_colours(x)[name]), (len(x[name]), 1)) for name in x])
    order = np.random.default_rng(0).permutation(len(colours))
    across, up = (np.concatenate(list(values.values()))[order] for values in (x, y))
    axes.scatter(across, up, s=7, c=colours[order], alpha=0.55, linewidths=0)


def _colours(rows: Iterable[str]) -> dict[str, str]:
    if "real" in rows:
        return {name: REAL if name == "real" else DRAWN for name in rows}
    return {name: _CLASSES[i % len(_CLASSES)] for i, name in enumerate(rows)}


def _edges(column: Column, limits: tuple[float, float]) -> np.ndarray:
    if isinstance(column.support, Real):
        return np.linspace(*limits, _BINS + 1)
    # Bins of whole numbers hold equally many.
    step = max(1, math.ceil((limits[1] - limits[0]) / _BINS))
    return np.arange(math.ceil(limits[0]) - 0.5, limits[1] + step, step)


def _jittered(rows: Mapping[str, np.ndarray], column: Column, place: int) -> Mapping[str, np.ndarray]:
    """The values of a column, moved a little by chance where many rows would lie on one point."""
    if isinstance(column.support, Real):
        return {name: x[:, place] for name, x in rows.items()}
    generator = np.random.default_rng(place)
    return {name: x[:, place] + generator.uniform(-0.3, 0.3, len(x)) for name, x in rows.items()}


def _outside(rows: Mapping[str, np.ndarray], limits: Sequence[tuple[float, float]]) -> list[str]:
    """What to say of rows that the axes leave out."""
    low, high = (np.array([pair[end] for pair in limits]) for end in (0, 1))
    notes = []
    for name, x in rows.items():
        values = x[:, : len(limits)]
        share = np.mean(np.any((values < low) | (values > high), axis=1)) if len(x) else 0.0
        if share > 0:
            notes.append(f"{100 * share:.1f}% of {name} {'rows ' if name == 'real' else ''}outside the axes")
    return notes
