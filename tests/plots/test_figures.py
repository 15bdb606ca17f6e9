"""A figure is whole: nothing of it is cut at its edges, and it can be read on a light and on a dark page."""

import io

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from ancestral.interface import Binary, Categories, Columns, Event, Levels, Real
from ancestral.plots import (
    class_grid_figure,
    em_trace,
    learning_curves,
    manifold_figure,
    page_pngs,
    reconstruction_figure,
    samples_figure,
    text_figure,
    walks_figure,
)

_TABLE = Event((4,), Columns((Real(), Levels(2100), Categories(5), Binary())))
_NAMES = ["a name of a column that is rather long", "year", "occupation", "married"]
_WORDS = [None, None, ["a clerk of the court", "farmer", "teacher", "entrepreneur", "none"], None]

_STEPS = [f"{i} of a name that is long" for i in range(9)]


def _table(n: int) -> torch.Tensor:
    return torch.stack([1e5 * torch.randn(n), torch.randint(1990, 2000, (n,)), *torch.randint(0, 2, (2, n))], 1)


FIGURES = {
    "pairs": lambda: samples_figure(_table(90), _TABLE, real=_table(90), names=_NAMES, categories=_WORDS),
    "plane": lambda: samples_figure(1e6 * torch.randn(50, 2), Event((2,), Real()), real=1e6 * torch.randn(50, 2)),
    "marginals": lambda: samples_figure(torch.randn(50, 20), Event((20,), Real()), real=torch.randn(50, 20)),
    "classes": lambda: class_grid_figure(torch.randn(30, 2), Event((2,), Real()), [f"class {i}" for i in range(10)]),
    "waves": lambda: samples_figure(torch.randn(3, 500), Event((500,), Real())),
    "strips": lambda: samples_figure(torch.randint(0, 9, (200, 300)), Event((300,), Categories(9))),
    "images": lambda: class_grid_figure(torch.rand(8, 1, 8, 8), Event((1, 8, 8), Real()), ["first", "second"]),
    "text": lambda: text_figure(["mmmmwwww" * 30, *map(str, range(90))]),
    "reconstructions": lambda: reconstruction_figure(_table(9), _table(9), _TABLE, names=_NAMES, categories=_WORDS),
    "walks": lambda: walks_figure(_table(90), _TABLE, 9, names=_NAMES, categories=_WORDS),
    "traversals": lambda: walks_figure(
        _table(36), _TABLE, 9, names=_NAMES, categories=_WORDS, walk_names=_STEPS[:4], step_names=_STEPS
    ),
    "traversals of images": lambda: walks_figure(
        torch.rand(18, 1, 8, 8), Event((1, 8, 8), Real()), 9, walk_names=["axis 0", "axis 17"], step_names=_STEPS
    ),
    "traversals of waves": lambda: walks_figure(
        torch.randn(18, 90), Event((90,), Real()), 9, walk_names=["axis 0", "axis 17"], step_names=_STEPS
    ),
    "manifold": lambda: manifold_figure(
        _table(12),
        _TABLE,
        [-1.0, 0.0, 1.0],
        [2.0, 1.0, 0.0, -1.0],
        labels=("axis 0", "axis 7"),
        names=_NAMES,
        categories=_WORDS,
    ),
    "manifold of a plane": lambda: manifold_figure(
        torch.randn(12, 2), Event((2,), Real()), [-1.0, 0.0, 1.0], [2.0, 1.0, 0.0, -1.0], labels=("axis 0", "axis 7")
    ),
    "manifold of images": lambda: manifold_figure(
        torch.rand(6, 1, 8, 8), Event((1, 8, 8), Real()), [-1.0, 0.0, 1.0], [1.0, -1.0]
    ),
    "curves": lambda: learning_curves({"a model": [(1.0, 2.0), (2.0, 1.0)]}),
    "trace": lambda: em_trace([("E", -3.0), ("M", -2.5)]),
}


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES)
def test_nothing_is_cut_at_the_edges(make: object) -> None:
    figure = make()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    box, (width, height) = figure.get_tightbbox(canvas.get_renderer()), figure.get_size_inches()
    assert min(box.x0, box.y0) > -0.02
    assert box.x1 < width + 0.02
    assert box.y1 < height + 0.02


@pytest.mark.parametrize("make", [FIGURES[name] for name in ("pairs", "plane", "text", "curves", "images")])
def test_words_and_axes_stand_out_from_a_light_and_from_a_dark_page(make: object) -> None:
    light, dark = (np.asarray(Image.open(io.BytesIO(png)).convert("RGBA")).astype(int) for png in page_pngs(make()))
    for pixels in (light, dark):
        assert pixels[0, 0, 3] == 0  # the page itself shows through
    inked = (np.abs(light - dark).max(-1) > 0) & (light[..., 3] > 200)
    assert inked.sum() > 50
    # All but where words lie on the data.
    assert np.quantile(light[inked, :3], 0.95) < 100
    assert np.quantile(dark[inked, :3], 0.05) > 150


def test_an_image_needs_no_second_version() -> None:
    light, dark = page_pngs(samples_figure(torch.rand(9, 1, 8, 8), Event((1, 8, 8), Real())))
    assert light == dark
