"""Completions stand beside the original and what of it was observed."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ancestral.interface import Binary, Categories, Event, InputError, Levels, Real
from ancestral.plots import completions_figure, figure_png


def shown(figure: object) -> np.ndarray:
    """The pixels of the grid, without what is written around it."""
    return np.asarray(figure.axes[0].images[0].get_array())


def test_a_row_an_image_and_what_is_not_observed_is_in_a_colour_of_its_own() -> None:
    event = Event((1, 8, 8), Levels(5))
    x = torch.tensor([0.0, 4.0]).view(2, 1, 1, 1).expand(2, 1, 8, 8)
    observed = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    observed[..., :4] = True
    completions = torch.arange(6).view(2, 3, 1, 1, 1).expand(2, 3, 1, 8, 8).clamp(max=4)
    figure = completions_figure(x, observed, completions, event, title="made with top-half kept: a word " * 9)
    grid = shown(figure)
    scale = len(grid) // 19
    left = [[grid[scale * (5 + 9 * row), scale * (2 + 9 * column), 0] for column in range(5)] for row in range(2)]
    assert left == [[0, 0, 0, 0.25, 0.5], [1, 1, 0.75, 1, 1]]
    right = [grid[scale * (5 + 9 * row), scale * (7 + 9)].tolist() for row in range(2)]
    assert right[0] == right[1]
    assert len(set(right[0][:3])) == 3  # no grey
    words = [text.get_text() for text in figure.texts]
    assert words[:5] == ["original", "observed", "1", "2", "3"]
    assert " ".join(words[5].split()) == ("made with top-half kept: a word " * 9).strip()
    # The title has room of its own.
    height = Image.open(io.BytesIO(figure_png(figure))).height
    assert height == len(grid) + 20 + 15 * len(words[5].splitlines())


def test_values_beyond_the_originals_do_not_make_them_pale_and_holes_have_no_value() -> None:
    event = Event((1, 1, 2), Real())
    x = torch.tensor([[0.0, 1.0], [torch.nan, 0.5]]).view(2, 1, 1, 2)
    far = torch.tensor([-50.0, 70.0]).view(1, 1, 1, 1, 2).expand(2, 1, 1, 1, 2)
    # Of the originals no more is known than what is observed: they do not stand beside it a second time.
    grid = shown(figure := completions_figure(x, ~x.isnan(), far, event))
    assert [text.get_text() for text in figure.texts] == ["observed", "1"]
    scale = grid.shape[0] // 5
    at = [[grid[scale * (1 + 2 * row), scale * column, :3].tolist() for column in (1, 2, 4, 5)] for row in range(2)]
    assert at[0] == [[0] * 3, [1] * 3, [0] * 3, [1] * 3]
    assert len(set(at[1][0])) == 3
    assert at[1][1] == [0.5] * 3


def test_a_clip_has_its_frames_side_by_side() -> None:
    x = torch.tensor([0, 1, 1]).view(1, 3, 1, 1, 1).expand(1, 3, 1, 8, 8)
    observed = torch.tensor([True, False, False]).view(1, 3, 1, 1, 1).expand_as(x)
    figure = completions_figure(x, observed, (1 - x)[:, None], Event((3, 1, 8, 8), Binary()), names=["cat"])
    grid = shown(figure)
    scale = len(grid) // 28
    rows = [[grid[scale * (5 + 9 * row), scale * (5 + 9 * frame), 0] for frame in range(3)] for row in range(3)]
    assert (rows[0], rows[2]) == ([0, 1, 1], [1, 0, 0])
    assert rows[1][0] == 0
    assert rows[1][1] == rows[1][2] != 1
    assert [text.get_text() for text in figure.texts] == ["original", "observed", "cat"]


def test_what_is_not_observed_of_a_sequence_is_left_empty() -> None:
    observed = torch.arange(80) < 30
    wave = torch.sin(torch.arange(80) / 5)[None]
    figure = completions_figure(wave, observed[None], wave[:, None], Event((80,), Real()), title="words")
    heights = [line.get_ydata() for line in figure.axes[0].get_lines()]
    assert np.isnan(heights[1]).tolist() == (~observed).tolist()
    assert not np.isnan(heights[0]).any()
    assert figure.get_suptitle() == "words"
    for support in (Categories(4), Binary()):
        bits = (wave > 0).float()
        cells = shown(completions_figure(bits, observed[None], bits[:, None], Event((80,), support)))
        cell = cells.shape[1] // 80
        assert (cells[18, ::cell, 3] == 0).tolist() == (~observed).tolist()
        assert (cells[4, :, 3] == 1).all()


def test_other_shapes_have_no_picture() -> None:
    x = torch.zeros(1, 2, 3)
    with pytest.raises(InputError, match="choose .npz"):
        completions_figure(x, x == 0, x[:, None], Event((2, 3), Real()))
