"""Figures of exact pixels: grids of images, and sequences as strips of coloured cells."""

import math
import textwrap
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from ancestral.interface import Binary, Event, InputError

_DPI = 100
#: Pixels on the screen for the short side of a small image, and for a letter of a name.
_CELL, _LETTER = 56, 7
#: Of a title: the fewest letters that its lines have room for, and the pixels of a line.
_TITLE, _TITLE_LINE = 60, 15
#: Of strips, in pixels: their width, the height of one, and the most cells in a line, lines in a picture.
_WIDTH, _LINE, _PER_LINE, _LINES = 960, 12, 240, 100
#: Turns of the colour wheel from one category to the next: far from each other for any number of them.
_TURN = (math.sqrt(5) - 1) / 2


def unit_range(x: Tensor, event: Event, like: Tensor | None = None) -> Tensor:
    """Values as brightness in [0, 1]: by the levels of the support, of real ones from the least to the greatest, of
    others (`like`) where those are given."""
    if event.values is not None:
        return (x / (event.values - 1)).clamp(0, 1)
    like = x if like is None else like
    like = like[~like.isnan()]
    low, high = like.min(), like.max()
    return ((x - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)


def image_grid(
    x: Tensor,
    event: Event,
    columns: int | None = None,
    *,
    row_names: Sequence[str] = (),
    column_names: Sequence[str] = (),
    words: str = "",
) -> Figure:
    """Images (n, channels, height, width) in reading order, each pixel a square of whole pixels; `words` are a note."""
    return brightness_grid(unit_range(x, event), columns, row_names=row_names, column_names=column_names, words=words)


def brightness_grid(
    images: Tensor,
    columns: int | None = None,
    *,
    row_names: Sequence[str] = (),
    column_names: Sequence[str] = (),
    words: str = "",
    title: str = "",
) -> Figure:
    """Images (n, 1 or 3, height, width) of values in [0, 1], as `image_grid`, below a title."""
    n, _, height, width = images.shape
    columns = _columns(images, columns)
    scale, gap = _spacing(images)
    centres = [scale * (gap + i * (height + gap) + height / 2) for i in range(math.ceil(n / columns))]
    middles = [scale * (gap + j * (width + gap) + width / 2) for j in range(columns)]
    # Names that would run into each other stand upright.
    upright = _LETTER * max(map(len, column_names), default=0) > scale * (width + gap)
    return pixel_figure(
        grid_pixels(images, columns),
        list(zip(centres, row_names, strict=False)),
        words,
        column_names=list(zip(middles, column_names, strict=False)),
        upright=upright,
        title=title,
    )


def grid_pixels(x: Tensor, columns: int | None = None) -> np.ndarray:
    """Images of values in [0, 1], (n, channels, height, width), in reading order with gaps between them, RGBA.

    The gaps are transparent: white on white paper, dark on a dark page; so is the place of an image that is all NaN.
    """
    n, _, height, width = x.shape
    columns = _columns(x, columns)
    scale, gap = _spacing(x)
    grid = torch.zeros(4, math.ceil(n / columns) * (height + gap) + gap, columns * (width + gap) + gap)
    for i, image in enumerate(x):
        if bool(image.isnan().all()):
            continue
        top, left = gap + i // columns * (height + gap), gap + i % columns * (width + gap)
        grid[:3, top : top + height, left : left + width] = image
        grid[3, top : top + height, left : left + width] = 1
    return grid.permute(1, 2, 0).repeat_interleave(scale, 0).repeat_interleave(scale, 1).numpy()


def _columns(x: Tensor, columns: int | None) -> int:
    """As many as are asked for, or make about a square; not more than there are images."""
    n, _, height, width = x.shape
    return min(columns or math.ceil(math.sqrt(n * height / width)), n)


def _spacing(x: Tensor) -> tuple[int, int]:
    """How many screen pixels a side an image's pixel has, and how many image pixels lie between two images."""
    scale = max(1, round(_CELL / max(x.shape[2:])))
    return scale, 1 if scale > 1 else 2


def strips_figure(x: Tensor, event: Event, *, row_names: Sequence[str] = (), title: str = "") -> Figure:
    """Sequences (n, length) of categories, a colour each, or of bits, dark where 1: one below the other, long ones
    broken into lines, below a title. `row_names` are those of equal parts of the rows. What is NaN is left empty."""
    n, length = x.shape
    per_line = min(length, _PER_LINE)
    lines = math.ceil(length / per_line)
    shown, kept = min(n, max(1, _LINES // lines)), min(lines, _LINES)
    cell, gap = min(16, _WIDTH // per_line), 5 if lines > 1 else 2
    block = kept * _LINE + gap
    colours = _colours(x[:shown, : kept * per_line], event)
    pixels = np.zeros((shown * block, per_line * cell, 4))
    for i in range(shown):
        for line in range(kept):
            part = colours[i, line * per_line : (line + 1) * per_line].repeat(cell, axis=0)
            top = i * block + line * _LINE
            pixels[top : top + _LINE - (lines > 1), : len(part)] = part
    step = n // len(row_names) if row_names else 1
    titles = [((i * step + 0.5) * block, name) for i, name in enumerate(row_names) if i * step < shown]
    notes = [f"{shown} of {n} sequences shown"] if shown < n else []
    notes += [f"the first {kept * per_line} of {length} steps shown"] if kept < lines else []
    return pixel_figure(pixels, titles, "; ".join(notes), title=title)


def pixel_figure(
    pixels: np.ndarray,
    row_names: Sequence[tuple[float, str]] = (),
    words: str = "",
    *,
    column_names: Sequence[tuple[float, str]] = (),
    upright: bool = False,
    title: str = "",
) -> Figure:
    """An RGBA array (height, width, 4) at its own size, with names on the left at heights from the top, names above at
    widths from the left, `upright` or lying, a note, and a title in as many lines as it needs."""
    height, width = pixels.shape[:2]
    left = 12 + _LETTER * max(len(name) for _, name in row_names) if row_names else 0
    right = max(0, 6 * len(words) - width - left)
    below = 22 if words else 0
    above = (12 + _LETTER * max(len(name) for _, name in column_names) if upright else 20) if column_names else 0
    lines = textwrap.wrap(title, max(_TITLE, (left + width + right) // 6), break_on_hyphens=False)
    right = max(right, 6 * max(map(len, lines), default=0) - left - width)
    above += _TITLE_LINE * len(lines)
    whole = (left + width + right, above + height + below)
    figure = Figure(figsize=(whole[0] / _DPI, whole[1] / _DPI), dpi=_DPI)
    axes = figure.add_axes((left / whole[0], below / whole[1], width / whole[0], height / whole[1]))
    axes.set_axis_off()
    axes.imshow(pixels, interpolation="nearest", aspect="auto", vmin=0, vmax=1)
    for top, name in row_names:
        place = (left - 6) / whole[0], 1 - (above + top) / whole[1]
        figure.text(*place, name, ha="right", va="center", fontsize=8)
    for across, name in column_names:
        place = (left + across) / whole[0], 1 - (above - 4) / whole[1]
        figure.text(*place, name, ha="center", va="bottom", fontsize=8, rotation=90 if upright else 0)
    if lines:
        figure.text(4 / whole[0], 1 - 4 / whole[1], "\n".join(lines), ha="left", va="top", fontsize=8)
    if words:
        figure.text(4 / whole[0], 7 / whole[1], words, fontsize=8, fontstyle="italic")
    return figure


def class_rows(x: Tensor, classes: Sequence[str]) -> int:
    """How many observations each class has, where they come class after class."""
    if not classes or not len(x) or len(x) % len(classes):
        raise InputError(f"expected equally many rows for each of {len(classes)} classes, got {len(x)} in all")
    return len(x) // len(classes)


def _colours(x: Tensor, event: Event) -> np.ndarray:
    unknown = x.isnan().numpy()
    values = np.where(unknown, 0, x.numpy())
    if isinstance(event.support, Binary):  # a decoder's mean is a probability
        rgb = np.repeat(0.88 - 0.68 * values.clip(0, 1)[..., None], 3, axis=-1)
    else:
        places = values.round()
        hue, light = places * _TURN % 1, 0.62 + 0.3 * (places // 6 % 2)
        rgb = hsv_to_rgb(np.stack([hue, np.full_like(hue, 0.6), light], -1))
    return np.concatenate([rgb, 1.0 - unknown[..., None]], axis=-1)
