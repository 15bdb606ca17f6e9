"""Reconstructions and walks, such that a reader sees which value became which."""

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ancestral.interface import Binary, Categories, Columns, Event, Levels, Real
from ancestral.plots import reconstruction_figure, walks_figure

EVENT = Event((3,), Columns((Real(), Categories(3), Levels(50))))
NAMES = ["height", "colour", "age"]
WORDS = [None, ["red", "green", "blue"], None]


def test_of_a_table_each_column_is_drawn_against_its_reconstruction() -> None:
    x = torch.tensor([[1.0, 0, 3], [2.0, 0, 40], [3.0, 2, 20], [4.0, 2, 10]])
    back = torch.tensor([[1.5, 0, 4], [2.0, 1, 38], [2.5, 2, 21], [3.5, 2, 12]])
    height, colour, age = reconstruction_figure(x, back, EVENT, names=NAMES, categories=WORDS).axes[:3]
    assert [axes.get_xlabel() for axes in (height, colour, age)] == NAMES
    for axes, i in ((height, 0), (age, 2)):
        assert np.allclose(axes.get_lines()[1].get_xydata(), torch.stack([x[:, i], back[:, i]], 1))
        assert axes.get_lines()[0].get_slope() == 1
        assert axes.get_xlim() == axes.get_ylim()
    assert colour.get_title() == "75% agree"
    bars = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in colour.patches}
    assert bars == {0: 0.5, 2: 1.0}


def test_of_images_and_of_waves_reconstructions_stand_below_their_originals() -> None:
    event = Event((100,), Real())
    x = torch.rand(10, 100)
    figure = reconstruction_figure(x, -x, event)
    lines = figure.axes[0].get_lines()
    assert len(lines) == 2 * 8 + 2 * 8  # the last band is filled up
    first, below = lines[0].get_xydata(), lines[8].get_xydata()
    assert np.allclose(first[:, 0], below[:, 0])
    assert np.corrcoef(first[:, 1], below[:, 1])[0, 1] == pytest.approx(-1)
    bits = reconstruction_figure(torch.ones(5, 30), torch.zeros(5, 30), Event((30,), Binary()))
    shades = bits.axes[0].images[0].get_array()[5::14, 0, 0]
    assert (np.diff(shades) != 0).all()


def test_of_a_table_each_column_is_followed_along_the_walks() -> None:
    x = torch.rand(4 * 6, 3) * torch.tensor([1.0, 2.0, 49.0])
    x[:, 1:] = x[:, 1:].round()
    figure = walks_figure(x, EVENT, 6, names=NAMES, categories=WORDS)
    FigureCanvasAgg(figure).draw()
    height, colour, age = figure.axes[:3]
    assert [axes.get_ylabel() for axes in (height, colour, age)] == NAMES
    assert [label.get_text() for label in colour.get_yticklabels()] == ["red", "green", "blue"]
    for axes, i in ((height, 0), (age, 2)):
        paths = np.stack([line.get_ydata() for line in axes.get_lines()])
        assert np.allclose(paths, x[:, i].view(4, 6))
    assert len({line.get_color() for line in height.get_lines()}) == 4


def test_two_numbers_are_a_plane_and_walks_without_room_are_counted() -> None:
    x = torch.randn(12 * 5, 2)
    figure = walks_figure(x, Event((2,), Real()), 5, names=["height", "weight"])
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("height", "weight")
    assert np.allclose(axes.get_lines()[0].get_xydata(), x[:5])
    assert figure.get_supxlabel() == "8 of 12 walks shown"
