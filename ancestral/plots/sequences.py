"""Sequences as pictures: waveforms, and text as text."""

import math
import textwrap
from collections.abc import Sequence
from functools import cache
from typing import Any

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from torch import Tensor

from ancestral.interface import Event
from ancestral.plots.columns import DRAWN, note

_DPI = 100
#: The most waveforms in a picture, and lines of text.
_WAVES, _LINES = 100, 60
#: In inches: of a waveform's cell, of the whole picture, of a line of text and of a letter in it.
_CELL, _WIDE, _LINE, _LETTER = (1.9, 0.75), 13.0, 0.17, 0.081


def waveforms_figure(
    x: Tensor,
    event: Event,
    columns: int | None = None,
    *,
    row_names: Sequence[str] = (),
    column_names: Sequence[str] = (),
    title: str = "",
) -> Figure:
    """Sequences (n, length) of levels or of reals as lines in a grid, in reading order and all on one scale, below a
    title. What is NaN is left empty."""
    n, length = x.shape
    shown = x[:_WAVES]
    columns = min(columns or math.ceil(math.sqrt(len(shown) / 2)), len(shown))
    rows = math.ceil(len(shown) / columns)
    finite = shown[shown.isfinite()]
    if event.values is not None:
        low, high = 0.0, float(event.values - 1)
    else:
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    heights = (shown - (low + high) / 2) / max(high - low, 1e-12)
    left = 0.1 + 0.08 * max(map(len, row_names)) if row_names else 0.0
    width = max(3.6, min(_WIDE, _CELL[0] * columns))
    figure = Figure(figsize=(left + width, max(1.2, _CELL[1] * rows)), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    steps = [0.46 * (2 * i / max(1, length - 1) - 1) for i in range(length)]
    for i, wave in enumerate(heights.numpy()):
        column, row = i % columns, i // columns
        axes.plot([column + step for step in steps], 0.9 * wave - row, linewidth=0.7, color=DRAWN)
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(0.5 - rows, 0.5))
    axes.set_yticks([-i for i in range(rows)][: len(row_names)], row_names[:rows], fontsize=8)
    axes.set_xticks(range(columns)[: len(column_names)], column_names[:columns], fontsize=8)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if title:
        wrapped = textwrap.fill(title, int(13 * figure.get_figwidth()), break_on_hyphens=False)
        figure.suptitle(wrapped, fontsize=8, x=0.01, ha="left")
    kept = f"{len(shown)} of {n} sequences shown, " if len(shown) < n else ""
    note(figure, f"{kept}{length} steps each, between {low:.4g} and {high:.4g}")
    return figure


def text_figure(texts: Sequence[str], *, width: int = 96) -> Figure:
    """Texts one below the other, broken at `width` letters; a note says how many of them have room."""
    lines: list[str] = []
    shown = 0
    for text in texts:
        broken = [
            part for line in text.split("\n") for part in textwrap.wrap(line, width, drop_whitespace=False) or [""]
        ]
        if shown and len(lines) + len(broken) > _LINES:
            break
        # An empty text has a line too; texts of several lines stand apart.
        lines += [*broken[:_LINES], ""] if len(broken) > 1 else broken
        shown += 1
    words = f"{shown} of {len(texts)} texts shown" if shown < len(texts) else ""
    height = 0.2 + _LINE * (len(lines) + 2 * bool(words))
    figure = Figure(figsize=(0.3 + _LETTER * max([30, *map(len, lines)]), height), dpi=_DPI)
    for i, line in enumerate(lines):
        figure.text(0.015, 1 - (0.1 + _LINE * i) / height, _drawable(line), va="top", **_FONT)
    if words:
        figure.text(0.015, 0.1 / height, words, fontsize=8, fontstyle="italic")
    return figure


#: A "$" is a "$": no formulas.
_FONT: dict[str, Any] = {"fontfamily": "DejaVu Sans Mono", "fontsize": 9, "parse_math": False}


def _drawable(line: str) -> str:
    """The line with a sign in place of every letter that the font lacks."""
    return "".join(letter if _has(letter) else "\N{REPLACEMENT CHARACTER}" for letter in line)


@cache
def _has(letter: str) -> bool:
    font = get_font(findfont(FontProperties(family="DejaVu Sans Mono")))
    return bool(font.get_char_index(ord(letter)))
