"""Observations as a picture: a grid of images, a scatter of points, or rows of values."""

import math

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ancestral.interface import Event

_DPI = 100
#: Pixels on the screen for the short side of a small image.
_CELL = 56


def samples_figure(x: Tensor, event: Event, *, columns: int | None = None) -> Figure:
    """Draw observations (n, *event.shape): images in a grid, 2-D points as a scatter, other vectors as marginals."""
    x = x.detach().cpu().float()
    if len(event.shape) == 3 and event.shape[0] in (1, 3):
        return _image_grid(x, event, columns)
    flat = x.flatten(1)
    if event.size == 2:
        return _scatter(flat)
    if event.values is not None:
        return _image_grid(flat[:, None, None, :], Event((1, 1, event.size), event.support), columns=1)
    return _marginals(flat)


def _image_grid(x: Tensor, event: Event, columns: int | None) -> Figure:
    n, channels, height, width = x.shape
    columns = columns or math.ceil(math.sqrt(n * height / width))
    columns = min(columns, n)
    rows = math.ceil(n / columns)
    scale = max(1, round(_CELL / max(height, width)))
    gap = 1 if scale > 1 else 2
    grid = torch.ones(channels, rows * (height + gap) + gap, columns * (width + gap) + gap)
    for i, image in enumerate(_unit_range(x, event)):
        top, left = gap + i // columns * (height + gap), gap + i % columns * (width + gap)
        grid[:, top : top + height, left : left + width] = image
    figure = Figure(figsize=(grid.shape[2] * scale / _DPI, grid.shape[1] * scale / _DPI), dpi=_DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    pixels = grid.permute(1, 2, 0).expand(-1, -1, 3).numpy()
    axes.imshow(pixels, interpolation="nearest", aspect="auto", vmin=0, vmax=1)
    return figure


def _unit_range(x: Tensor, event: Event) -> Tensor:
    if event.values is not None:
        return (x / (event.values - 1)).clamp(0, 1)
    low, high = x.min(), x.max()
    return (x - low) / (high - low).clamp(min=1e-12)


def _scatter(points: Tensor) -> Figure:
    figure = Figure(figsize=(3.6, 3.6), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    axes.scatter(points[:, 0].numpy(), points[:, 1].numpy(), s=4, alpha=0.5, linewidths=0)
    axes.set_aspect("equal", adjustable="datalim")
    return figure


def _marginals(values: Tensor) -> Figure:
    shown = min(values.shape[1], 8)
    columns = min(shown, 4)
    rows = math.ceil(shown / columns)
    figure = Figure(figsize=(1.8 * columns, 1.5 * rows), dpi=_DPI, layout="constrained")
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set_visible(i < shown)
        if i < shown:
            axes.hist(values[:, i].numpy(), bins=40)
            axes.set_title(f"dimension {i}", fontsize=8)
            axes.tick_params(labelsize=7)
            axes.set_yticks([])
    return figure
