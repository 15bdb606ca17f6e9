"""Figures show what they are given: pixels land where they should, and files are whole."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from ancestral.interface import Binary, Event, Levels, Real
from ancestral.plots import (
    em_trace,
    figure_png,
    learning_curves,
    panels_figure,
    samples_figure,
    save_figure,
    transfer_figure,
)


def _pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_an_image_grid_shows_each_image_in_reading_order_at_its_own_pixels() -> None:
    x = torch.tensor([0, 60, 120, 180, 240, 250]).view(6, 1, 1, 1).expand(6, 1, 8, 8)
    picture = _pixels(figure_png(samples_figure(x, Event((1, 8, 8), Levels(256)), columns=3)))
    scale = picture.shape[0] // (2 * 9 + 1)
    assert picture.shape == (scale * (2 * 9 + 1), scale * (3 * 9 + 1), 3)
    centres = [(scale * (5 + 9 * row), scale * (5 + 9 * column)) for row in range(2) for column in range(3)]
    assert [picture[at][0] for at in centres] == [0, 60, 120, 180, 240, 250]
    assert picture[0, 0].tolist() == [255, 255, 255]


def test_colour_images_keep_their_channels() -> None:
    x = torch.tensor([255, 128, 0]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    picture = _pixels(figure_png(samples_figure(x, Event((3, 64, 64), Levels(256)))))
    assert picture[30, 30].tolist() == [255, 128, 0]


@pytest.mark.parametrize(
    ("shape", "support"), [((2,), Real()), ((1,), Real()), ((5,), Real()), ((20,), Real()), ((30,), Binary())]
)
def test_vectors_of_any_size_have_a_figure(shape: tuple[int, ...], support: object, tmp_path: Path) -> None:
    event = Event(shape, support)
    save_figure(samples_figure(support.project(torch.randn(50, *shape)), event), tmp_path / "x.png")
    assert _pixels((tmp_path / "x.png").read_bytes()).std() > 0
    assert [file.name for file in tmp_path.iterdir()] == ["x.png"]


def test_curves_and_traces_are_drawn() -> None:
    curve = learning_curves({"vae": [(1.0, 5.0), (2.0, 3.0), (3.0, 2.5)], "empty": []})
    assert [line.get_label() for line in curve.axes[0].get_lines()] == ["vae"]
    trace = em_trace([("E", -3.0), ("M", -2.5), ("E", -2.4)])
    assert trace.axes[0].get_lines()[0].get_ydata().tolist() == [-3.0, -2.5, -2.4]
    assert len(figure_png(curve)) > 1000


@pytest.mark.parametrize(
    "shapes", [[(2, 2)], [(3, 2), (1, 1), (6, 2)], [(1, 1)] * 5, [(1, 1)] * 3 + [(8, 2), (7, 4)], [(1, 3), (3, 1)]]
)
def test_panels_fill_the_picture_whatever_their_number(shapes: list[tuple[int, int]]) -> None:
    """Of dark panels little white is left: gaps and titles."""
    panels = {f"panel {i}": Figure(figsize=shape, facecolor="black") for i, shape in enumerate(shapes)}
    whole = panels_figure(panels)
    assert [axes.get_title() for axes in whole.axes] == list(panels)
    assert (_pixels(figure_png(whole)) < 128).mean() > 0.75
    for axes, (width, height) in zip(whole.axes, shapes, strict=True):
        box = axes.get_window_extent()
        assert box.width / box.height == pytest.approx(width / height, rel=0.02)


def test_a_long_title_is_broken_to_the_width_of_its_panel() -> None:
    panels = {"a long title " * 8: Figure(figsize=(1, 3)), "wide": Figure(figsize=(9, 3))}
    whole = panels_figure(panels)
    renderer = FigureCanvasAgg(whole).get_renderer()
    for axes in whole.axes:
        title = axes.title.get_window_extent(renderer)
        assert title.width <= axes.get_window_extent().width + 10
        assert title.y1 <= whole.bbox.y1


def test_errors_over_labels_have_bars_and_a_line_each() -> None:
    curves = {"model": [(100, 0.2, 0.01), (1000, 0.1, math.nan)], "PCA": [(100, 0.3, 0.02), (1000, 0.15, 0.0)]}
    (axes,) = transfer_figure(curves).axes
    lines = {container.get_label(): container for container in axes.containers}
    assert list(lines) == ["model", "PCA"]
    assert lines["PCA"][0].get_ydata().tolist() == [30, 15]
    (bars,) = lines["PCA"][2]
    assert bars.get_segments()[0][:, 1].tolist() == pytest.approx([28, 32])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["100", "1,000"]
