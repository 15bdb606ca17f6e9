"""What a decoder makes of codes: reconstructions beside their originals, walks, and planes."""

import math
import textwrap
from collections.abc import Sequence
from typing import Literal

import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from ancestral.interface import Categories, Event, Real
from ancestral.plots.columns import (
    DRAWN,
    REAL,
    SHOWN,
    Column,
    by_column,
    columns_of,
    limits_of,
    name_axis,
    note,
    plane,
)
from ancestral.plots.samples import kind_of, samples_figure

#: Pairs side by side in one band of the picture.
_COLUMNS = 8
#: Walks in one picture of a table: more lines cannot be told apart.
_WALKS = 8
#: Letters below a panel of a table, and of a note below a plane.
_LETTERS, _NOTE = 26, 60
_BY_WALK = ["#2f7fd6", "#e0762a", "#2f9e44", "#d6394a", "#8f63c4", "#9a6b52", "#d968b0", "#1fa6b8"]


def reconstruction_figure(
    x: Tensor,
    back: Tensor,
    event: Event,
    *,
    names: Sequence[str] | None = None,
    categories: Sequence[Sequence[str] | None] | None = None,
) -> Figure:
    """Observations (n, *event.shape) above what their codes decode to.

    Of a table each column is a panel: the reconstruction against the original, with the line on which they agree; of
    categories the share of rows that agree, for each original value.
    """
    x, back = x.detach().cpu().double(), back.detach().cpu().double()
    kind = kind_of(event, names)
    if kind in ("strips", "videos"):
        return samples_figure(torch.stack([x, back], 1).flatten(0, 1), event)
    if kind != "table":
        columns = min(_COLUMNS, len(x))
        bands = [row for start in range(0, len(x), columns) for row in _band(x, back, start, columns)]
        return samples_figure(torch.cat(bands), event, columns=columns)
    x, back = x.flatten(1), back.flatten(1)

    def draw(axes: Axes, i: int, column: Column) -> None:
        first, second = x[:, i], back[:, i]
        limits = limits_of(first.numpy(), column)
        if column.unordered:
            _agreement(axes, first, second.round(), column)
        else:
            axes.axline((0, 0), slope=1, linewidth=0.8, color=REAL)
            axes.plot(first, second, "o", markersize=3, markeredgewidth=0, alpha=0.5, color=DRAWN)
            name_axis(axes, "y", column, limits, label=False)
            axes.set_ylabel("reconstruction", fontsize=7)
        name_axis(axes, "x", column, limits)

    return by_column(columns_of(Event((event.size,), event.support), names, categories), draw)


def walks_figure(
    x: Tensor,
    event: Event,
    steps: int,
    *,
    names: Sequence[str] | None = None,
    categories: Sequence[Sequence[str] | None] | None = None,
    walk_names: Sequence[str] = (),
    step_names: Sequence[str] = (),
) -> Figure:
    """Walks of `steps` observations each, walk after walk, (walks * steps, *event.shape), one a row.

    Of a table each column is a panel, with its values along each walk as a line; two continuous columns are a plane
    with the walks as paths, each with a dot where it starts. What the walks and the steps are called is given by
    `walk_names` and `step_names`.
    """
    kind = kind_of(event, names)
    if kind != "table":
        return samples_figure(x, event, columns=steps, row_names=walk_names, column_names=step_names)
    columns = columns_of(Event((event.size,), event.support), names, categories)
    every = x.detach().cpu().double().flatten(1).unflatten(0, (-1, steps))
    walks = every[:_WALKS]
    if len(columns) == 2 and all(isinstance(column.support, Real) for column in columns):
        figure, axes = plane(columns, [limits_of(walks[..., i].numpy(), column) for i, column in enumerate(columns)])
        for colour, walk in zip(_BY_WALK, walks, strict=False):
            axes.plot(walk[:, 0], walk[:, 1], "-", linewidth=1, color=colour)
            axes.plot(walk[:1, 0], walk[:1, 1], "o", markersize=5, color=colour)
    else:

        def draw(axes: Axes, i: int, column: Column) -> None:
            style: Literal["steps-mid", "default"] = "steps-mid" if column.unordered else "default"
            for place, (colour, walk) in enumerate(zip(_BY_WALK, walks, strict=False)):
                # Lines on the same category stand beside each other.
                shift = 0.05 * (place - (len(walks) - 1) / 2) if column.unordered else 0.0
                axes.plot(range(1, steps + 1), walk[:, i] + shift, linewidth=1.2, color=colour, drawstyle=style)
            name_axis(axes, "y", column, limits_of(walks[..., i].numpy(), column))
            if step_names:
                kept = range(0, steps, max(1, math.ceil(sum(map(len, step_names)) / _LETTERS)))
                axes.set_xticks([1 + step for step in kept], [step_names[step] for step in kept])
            else:
                axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
                axes.set_xlabel("step", fontsize=7)

        figure = by_column(columns, draw, shown=SHOWN)
    if walk_names:
        lines = [Line2D([], [], color=colour, label=name) for colour, name in zip(_BY_WALK, walk_names, strict=False)]
        room = max(1, int(figure.get_figwidth() / (0.5 + 0.075 * max(map(len, walk_names)))))
        figure.legend(handles=lines, loc="outside upper right", frameon=False, fontsize=8, ncols=room)
    notes = [f"{len(walks)} of {len(every)} walks shown"] if len(walks) < len(every) else []
    if step_names and len(figure.axes) == 1 and sum(map(len, step_names)) < _NOTE:
        notes = [f"from the dot: {', '.join(step_names)}", *notes]
    note(figure, "; ".join(notes))
    return figure


def manifold_figure(
    x: Tensor,
    event: Event,
    across: Sequence[float],
    up: Sequence[float],
    *,
    labels: tuple[str, str] = ("", ""),
    names: Sequence[str] | None = None,
    categories: Sequence[Sequence[str] | None] | None = None,
) -> Figure:
    """What the points of a plane in latent space decode to, row after row from the top, (rows * columns, *event.shape).

    `across` are the places of the columns from the left, `up` those of the rows from the top. Images and sequences are
    a mosaic. Of a table each column is a panel, with its value as a colour over the plane; two continuous columns are
    a plane of their own, into which the lines of the grid are mapped. `labels` say what the two axes are called.
    """
    kind = kind_of(event, names)
    if kind != "table":
        rows, over = ([place_name(place) for place in places] for places in (up, across))
        return samples_figure(x, event, columns=len(across), row_names=rows, column_names=over)
    columns = columns_of(Event((event.size,), event.support), names, categories)
    grid = x.detach().cpu().double().flatten(1).unflatten(0, (len(up), len(across)))
    if len(columns) == 2 and all(isinstance(column.support, Real) for column in columns):
        figure, axes = plane(columns, [limits_of(grid[..., i].numpy(), column) for i, column in enumerate(columns)])
        for lines, colour, label in ((grid, _BY_WALK[0], labels[0]), (grid.transpose(0, 1), _BY_WALK[1], labels[1])):
            for i, line in enumerate(lines):
                axes.plot(line[:, 0], line[:, 1], linewidth=0.8, color=colour, label=f"along {label}" if not i else "")
        figure.legend(loc="outside upper right", frameon=False, fontsize=8, ncols=2)
        return figure

    def draw(axes: Axes, i: int, column: Column) -> None:
        values = grid[..., i]
        if isinstance(column.support, Categories):
            count = column.support.categories
            colours = ListedColormap([_BY_WALK[j % len(_BY_WALK)] for j in range(count)])
            painted = axes.pcolormesh(across, up, values.round(), cmap=colours, vmin=-0.5, vmax=count - 0.5)
            ticks = range(count) if count <= len(_BY_WALK) else []
            bar = axes.figure.colorbar(painted, ax=axes, ticks=list(ticks))
            bar.ax.set_yticklabels([column.word(j) for j in ticks])
        else:
            # Of two values the mean is the share of the second one.
            low, high = (0, 1) if column.unordered else (None, None)
            painted = axes.pcolormesh(across, up, values, cmap="viridis", vmin=low, vmax=high)
            bar = axes.figure.colorbar(painted, ax=axes)
            if column.unordered:
                bar.set_ticks([0, 1], labels=[column.word(0), column.word(1)])
        bar.ax.tick_params(labelsize=6)
        axes.set_title(textwrap.fill(column.name, 24, max_lines=1, placeholder="…"), fontsize=8)
        axes.set_xlabel(labels[0], fontsize=7)
        axes.set_ylabel(labels[1], fontsize=7)

    return by_column(columns, draw)


def place_name(place: float) -> str:
    """A place on a latent axis in two digits."""
    return f"{round(place, 3) + 0.0:.2g}"


def _agreement(axes: Axes, first: Tensor, second: Tensor, column: Column) -> None:
    """For each original value the share of its rows that come back as they were; of all rows in the title."""
    agree = (first == second).double()
    for value in first.unique().tolist():
        axes.bar(value, float(agree[first == value].mean()), width=0.7, color=DRAWN)
    axes.set_ylim(0, 1)
    axes.set_ylabel("share that agrees", fontsize=7)
    axes.set_title(f"{100 * float(agree.mean()):.0f}% agree", fontsize=8)


def _band(x: Tensor, back: Tensor, start: int, columns: int) -> list[Tensor]:
    rows = [x[start : start + columns], back[start : start + columns]]
    # A short last band is filled up with nothing (NaN), so that pairs stay above each other.
    return [torch.cat([row, row.new_full((columns - len(row), *row.shape[1:]), torch.nan)]) for row in rows]
