"""Reconstructions and walks, such that a reader sees which value became which."""

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ancestral.interface import Binary, Categories, Columns, Event, Levels, Real
from ancestral.plots import manifold_figure, place_name, reconstruction_figure, walks_figure

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
    assert len(lines) == 2 * 8 + 2 * 8  # the last band is filled up, with nothing
    assert [bool(np.isnan(line.get_ydata()).all()) for line in lines[-8:]] == [False] * 2 + [True] * 6
    images = Event((1, 4, 4), Real())
    shown = (
        reconstruction_figure(torch.rand(10, 1, 4, 4), torch.rand(10, 1, 4, 4), images).axes[0].images[0].get_array()
    )
    alpha = np.asarray(shown)[..., 3]
    half, last = alpha.shape[0] // 2, alpha[-alpha.shape[0] // 8]
    assert 0 < last.mean() < 0.4 < alpha[half // 4].mean()
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


def test_walks_and_steps_are_called_by_their_names_whatever_is_walked() -> None:
    x = torch.rand(2 * 3, 3)
    table = walks_figure(x, EVENT, 3, names=NAMES, categories=WORDS, walk_names=["axis 4", "axis 0"], step_names="abc")
    FigureCanvasAgg(table).draw()
    assert [text.get_text() for text in table.legends[0].get_texts()] == ["axis 4", "axis 0"]
    colours = [line.get_color() for line in table.axes[0].get_lines()]
    assert [line.get_color() for line in table.legends[0].get_lines()] == colours
    assert [label.get_text() for label in table.axes[0].get_xticklabels()] == ["a", "b", "c"]
    images = walks_figure(torch.rand(6, 1, 8, 8), Event((1, 8, 8), Real()), 3, walk_names=["p", "q"], step_names="abc")
    placed = {text.get_text(): text.get_position() for text in images.texts}
    assert placed["p"][1] > placed["q"][1]
    assert placed["p"][0] == placed["q"][0] < placed["a"][0] < placed["b"][0] < placed["c"][0]
    assert len({placed[name][1] for name in "abc"}) == 1
    waves = walks_figure(torch.rand(6, 90), Event((90,), Real()), 3, walk_names=["p", "q"], step_names="abc")
    assert [label.get_text() for label in waves.axes[0].get_xticklabels()] == ["a", "b", "c"]
    assert [label.get_text() for label in waves.axes[0].get_yticklabels()] == ["p", "q"]


def test_names_above_images_stand_upright_where_they_would_run_into_each_other() -> None:
    def turned(names: list[str]) -> list[float]:
        figure = walks_figure(torch.rand(3, 1, 8, 8), Event((1, 8, 8), Real()), 3, step_names=names)
        return [text.get_rotation() for text in figure.texts]

    assert turned(["0", "1", "2"]) == [0, 0, 0]
    assert turned(["0", "an occupation", "2"]) == [90, 90, 90]


def test_of_a_table_a_manifold_is_a_map_of_each_column_over_the_plane() -> None:
    across, up = [-1.0, 0.0, 2.0], [1.0, -1.0]
    first, second = torch.meshgrid(torch.tensor(up), torch.tensor(across), indexing="ij")
    event = Event((3,), Columns((Real(), Categories(3), Binary())))
    x = torch.stack([10 * second + first, (second > 0) + (second >= 0.0), 0.1 + 0.3 * (first > 0)], -1).view(6, 3)
    figure = manifold_figure(x, event, across, up, labels=("axis 2", "axis 5"), names=["a", "b", "c"], categories=WORDS)
    FigureCanvasAgg(figure).draw()
    a, b, c = (axes for axes in figure.axes if axes.get_title())
    assert (a.get_xlabel(), a.get_ylabel()) == ("axis 2", "axis 5")
    for axes, column in ((a, 0), (b, 1), (c, 2)):
        mesh = axes.collections[0]
        corners = mesh.get_coordinates()
        middles = (corners[:-1, :-1] + corners[1:, 1:]) / 2
        assert np.allclose(mesh.get_array().reshape(2, 3), x.view(2, 3, 3)[..., column])
        assert (middles[0, :, 1] > middles[1, :, 1]).all()  # the first row is the upper one
        assert (np.diff(middles[..., 0]) > 0).all()
    assert b.collections[0].get_clim() == (-0.5, 2.5)
    assert c.collections[0].get_clim() == (0, 1)  # the share of the second value
    bars = [axes for axes in figure.axes if not axes.get_title() and axes.get_visible()]
    assert [label.get_text() for label in bars[1].get_yticklabels()] == ["red", "green", "blue"]


def test_two_numbers_are_the_lines_of_the_grid_in_their_own_plane() -> None:
    x = torch.randn(4 * 3, 2)
    figure = manifold_figure(x, Event((2,), Real()), [0.0, 1.0, 2.0], [3.0, 2.0, 1.0, 0.0], labels=("axis 0", "axis 1"))
    lines = [line.get_xydata() for line in figure.axes[0].get_lines()]
    assert len(lines) == 4 + 3
    assert np.allclose(lines[0], x[:3])  # along a row: the first axis moves
    assert np.allclose(lines[4], x[::3])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["along axis 0", "along axis 1"]


def test_places_are_short() -> None:
    assert [place_name(place) for place in (-1e-7, -3.0, 0.6, 1.2815)] == ["0", "-3", "0.6", "1.3"]
