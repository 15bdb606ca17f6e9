"""What a decoder makes of codes: reconstructions beside their originals, and walks."""

from collections.abc import Sequence
from typing import Literal

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from ancestral.interface import Event, Real
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
    if kind == "strips":
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
) -> Figure:
    """Walks of `steps` observations each, walk after walk, (walks * steps, *event.shape), one a row.

    Of a table each column is a panel, with its values along each walk as a line; two continuous columns are a plane
    with the walks as paths, each with a dot where it starts.
    """
    kind = kind_of(event, names)
    if kind != "table":
        return samples_figure(x, event, columns=steps)
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
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            axes.set_xlabel("step", fontsize=7)

        figure = by_column(columns, draw, shown=SHOWN)
    if len(walks) < len(every):
        note(figure, f"{len(walks)} of {len(every)} walks shown")
    return figure


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
    # A short last band is filled up with its last pair, so that pairs stay above each other.
    return [torch.cat([row, row[-1:].expand(columns - len(row), *row.shape[1:])]) for row in rows]
