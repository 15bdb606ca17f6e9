"""Observations as a picture, by what they are: images, videos, waveforms, sounds, strips, or rows of a table."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ancestral.interface import Binary, Categories, Columns, Event
from ancestral.plots.columns import SHOWN, columns_of
from ancestral.plots.pixels import class_rows, image_grid, strips_figure
from ancestral.plots.sequences import waveforms_figure
from ancestral.plots.sounds import spectrograms_figure
from ancestral.plots.tables import series_figure, table_figure

#: More values than this, of one support and without names, are a sequence and no row of a table.
_LONGEST_ROW = 64

Kind: TypeAlias = Literal["images", "videos", "table", "waveforms", "strips"]


def samples_figure(
    x: Tensor,
    event: Event,
    *,
    columns: int | None = None,
    real: Tensor | None = None,
    names: Sequence[str] | None = None,
    categories: Sequence[Sequence[str] | None] | None = None,
    sample_rate: int | None = None,
    row_names: Sequence[str] = (),
    column_names: Sequence[str] = (),
) -> Figure:
    """Draw observations (n, *event.shape), whatever they are.

    Images and waveforms stand in a grid of `columns`, videos too, by default of one, each as its frames side by side;
    sequences of categories and of bits are strips, and rows of a table are pairs of columns and marginals (see
    `table_figure`, which `real`, `names` and `categories` are for). Sounds, which have a `sample_rate`, are
    spectrograms. `row_names` and `column_names` are those of the grid; of strips the former name equal parts of them.
    """
    x = x.detach().cpu()
    match kind_of(event, names):
        case "images":
            return image_grid(x.float(), event, columns, row_names=row_names, column_names=column_names)
        case "videos":
            names_of_frames = [part for name in column_names for part in (name, *[""] * (event.shape[0] - 1))]
            return _frames_figure(x, event, columns, row_names=row_names, column_names=names_of_frames)
        case "table":
            flat, whole = x.flatten(1), Event((event.size,), event.support)
            beside = None if real is None else real.flatten(1)
            return table_figure(flat, whole, real=beside, names=names, categories=categories)
        case "waveforms":
            flat = x.float().flatten(1)
            if sample_rate is None:
                return waveforms_figure(flat, event, columns, row_names=row_names, column_names=column_names)
            return spectrograms_figure(
                flat, event, sample_rate, columns, row_names=row_names, column_names=column_names
            )
        case "strips":
            return strips_figure(x.float().flatten(1), event, row_names=row_names)


def class_grid_figure(
    x: Tensor,
    event: Event,
    classes: Sequence[str],
    *,
    names: Sequence[str] | None = None,
    categories: Sequence[Sequence[str] | None] | None = None,
    sample_rate: int | None = None,
) -> Figure:
    """Observations that come class after class, equally many of each: a row a class with its name at the left, of a
    table a colour a class."""
    each, x = class_rows(x, classes), x.detach().cpu().float()
    match kind_of(event, names):
        case "images":
            return image_grid(x, event, each, row_names=classes)
        case "videos":
            return _frames_figure(x, event, row_names=[name for name in classes for _ in range(each)])
        case "table":
            parts = x.flatten(1).split(each)
            whole = Event((event.size,), event.support)
            return series_figure(dict(zip(classes, parts, strict=True)), columns_of(whole, names, categories))
        case "waveforms":
            return samples_figure(x, event, columns=each, sample_rate=sample_rate, row_names=classes)
        case "strips":
            return strips_figure(x.flatten(1), event, row_names=classes)


def predictions_figure(real: Tensor, predicted: Tensor, event: Event, given: int) -> Figure:
    """Videos (n, *event.shape), and below each what a model predicts after its first `given` frames."""
    names = ["given"] * given + ["drawn"] * (event.shape[0] - given)
    rows = torch.stack([real, predicted], dim=1).flatten(0, 1).detach().cpu()
    return _frames_figure(rows, event, row_names=["real", "model"] * len(real), column_names=names)


def number_shown(event: Event) -> int:
    """How many observations of that kind a picture shows, where nobody says: of videos, a row each, fewer."""
    return 8 if kind_of(event) == "videos" else 64


def kind_of(event: Event, names: Sequence[str] | None = None) -> Kind:
    """What an observation is to the eye. What has columns with names is a table; so is a short vector."""
    if len(event.shape) in (3, 4) and event.shape[-3] in (1, 3):
        return "images" if len(event.shape) == 3 else "videos"
    if isinstance(event.support, Columns) or names is not None or event.size <= SHOWN:
        return "table"
    if isinstance(event.support, Binary | Categories):
        return "strips"
    return "table" if event.size <= _LONGEST_ROW else "waveforms"


def _frames_figure(
    x: Tensor,
    event: Event,
    columns: int | None = None,
    *,
    row_names: Sequence[str] = (),
    column_names: Sequence[str] = (),
) -> Figure:
    """Videos, so many in a row, frame beside frame; `column_names` are those of the frames."""
    frames, frame = event.shape[0], Event(event.shape[1:], event.support)
    per_row = frames * (columns or 1)
    return image_grid(x.flatten(0, 1).float(), frame, per_row, row_names=row_names, column_names=column_names)
