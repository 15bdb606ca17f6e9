"""Videos in a picture and in an animation: every pixel of every frame where it belongs."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageSequence

from ancestral.interface import Binary, Event, InputError, Levels
from ancestral.plots import class_grid_figure, kind_of, predictions_figure, samples_figure, save_animation

EVENT = Event((3, 1, 8, 8), Levels(256))
#: The side of a pixel on the screen, of a frame, and from one frame to the next.
PIXEL, FRAME, STEP = 7, 56, 63


def clips(n: int) -> torch.Tensor:
    return torch.randint(0, 256, (n, *EVENT.shape), generator=torch.Generator().manual_seed(0))


def shown(figure: Figure) -> np.ndarray:
    """The array of the grid, without names."""
    return np.asarray(figure.axes[0].images[0].get_array())


def assert_at(grid: np.ndarray, row: int, column: int, frame: torch.Tensor) -> None:
    top, left = PIXEL + row * STEP, PIXEL + column * STEP
    found = grid[top : top + FRAME : PIXEL, left : left + FRAME : PIXEL, 0]
    np.testing.assert_allclose(found, frame[0] / 255, atol=1e-6)


def test_a_row_is_a_video_and_a_column_a_time() -> None:
    x = clips(2)
    figure = samples_figure(x, EVENT)
    for i in range(2):
        for t in range(3):
            assert_at(shown(figure), i, t, x[i, t])
    beside = shown(samples_figure(x, EVENT, columns=2, column_names=["first", "second"]))
    assert_at(beside, 0, 4, x[1, 1])
    assert kind_of(EVENT) == "videos"


def test_classes_name_the_rows_of_their_videos() -> None:
    figure = class_grid_figure(clips(4), EVENT, ["a", "b"])
    heights = {text.get_text(): text.get_position()[1] for text in figure.texts}
    assert [text.get_text() for text in figure.texts] == ["a", "a", "b", "b"]
    assert heights["a"] > heights["b"]


def test_each_prediction_is_below_its_video() -> None:
    real, predicted = clips(2), clips(4)[2:]
    figure = predictions_figure(real, predicted, EVENT, given=1)
    for i in range(2):
        assert_at(shown(figure), 2 * i, 2, real[i, 2])
        assert_at(shown(figure), 2 * i + 1, 2, predicted[i, 2])
    assert [text.get_text() for text in figure.texts] == ["real", "model"] * 2 + ["given", "drawn", "drawn"]


def test_an_animation_has_one_frame_of_all_videos_at_a_time(tmp_path) -> None:
    event = Event((3, 1, 8, 8), Binary())
    x = clips(4) // 128
    save_animation(x, event, tmp_path / "new" / "x.gif", columns=2)
    with Image.open(tmp_path / "new" / "x.gif") as gif:
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(gif)]
        assert gif.info["loop"] == 0
    assert len(frames) == 3
    for t, grid in enumerate(frames):
        for i in range(4):
            assert_at(grid / 255, i // 2, i % 2, 255 * x[i, t])
        assert (abs(grid[0].astype(int) - 127) <= 1).all()  # the ground
    with pytest.raises(InputError, match="a GIF is of videos"):
        save_animation(x[:, 0], Event((1, 8, 8), Binary()), tmp_path / "x.gif")
