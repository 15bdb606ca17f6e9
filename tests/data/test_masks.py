"""Which values are kept: what the words and the pictures mean, value by value."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ancestral.data import kept_by_picture, kept_by_words
from ancestral.interface import Binary, Columns, Event, InputError, Levels, Real

IMAGE = Event((3, 4, 6), Levels(8))
CLIP = Event((5, 1, 4, 6), Binary())


@pytest.mark.parametrize(
    ("words", "drawn"),
    [
        ("top-half", "###### ###### ...... ......"),
        ("top", "###### ###### ...... ......"),
        ("Bottom:0.25", "...... ...... ...... ######"),
        ("left:0.34", "##.... ##.... ##.... ##...."),
        ("right:1", ".....# .....# .....# .....#"),
        ("centre", "...... .###.. .###.. ......"),
        ("outside", "###### #...## #...## ######"),
        ("centre:2", "...... ..##.. ..##.. ......"),
        ("outside:0.25", "###### ##..## ###### ######"),
        ("every", "#.#.#. ...... #.#.#. ......"),
        ("every:3", "#..#.. ...... ...... #..#.."),
    ],
)
def test_a_part_of_an_image_by_its_side_and_how_much(words: str, drawn: str) -> None:
    expected = torch.tensor([[letter == "#" for letter in row] for row in drawn.split()])
    assert torch.equal(kept_by_words(words, IMAGE), expected.expand(3, 4, 6))
    # A clip is kept so in every frame.
    assert torch.equal(kept_by_words(words, CLIP), expected.expand(5, 1, 4, 6))


@pytest.mark.parametrize(
    ("words", "frames"),
    [("first:4", [0, 1, 2, 3]), ("first:0.5", [0, 1, 2]), ("last-half", [2, 3, 4]), ("last:1", [4])],
)
def test_frames_of_a_clip(words: str, frames: list[int]) -> None:
    kept = kept_by_words(words, CLIP)
    assert kept.flatten(1).any(1).nonzero()[:, 0].tolist() == frames
    assert torch.equal(kept, kept[:, :1, :1, :1].expand_as(kept))


@pytest.mark.parametrize(
    ("words", "drawn"),
    [
        ("first-half", "###..."),
        ("first:0.25", "##...."),
        ("last:2", "....##"),
        ("outside:2", "##..##"),
        ("centre:1", "..#..."),
    ],
)
def test_time_of_a_sequence(words: str, drawn: str) -> None:
    assert kept_by_words(words, Event((6,), Real())).tolist() == [letter == "#" for letter in drawn]


@pytest.mark.parametrize(
    ("words", "event", "message"),
    [
        ("tophalf", IMAGE, r"of images top, bottom, left, right, centre, outside, every can be kept, got 'tophalf'"),
        ("botom:2", IMAGE, r"did you mean 'bottom'.*for example top:0.5"),
        ("first:2", IMAGE, "of images top"),
        ("top-half", Event((6,), Real()), "of sequences first, last, centre, outside can be kept"),
        ("every:6", IMAGE, "N from 2 to 5 in images of 4x6 pixels, got 'every:6'"),
        ("every:0.5", CLIP, "N from 2 to 5 in clips"),
        ("every:2", Event((6,), Real()), "of sequences first, last, centre, outside can be kept"),
        ("top:1.5", IMAGE, "a share between 0 and 1 or a whole number, as top:0.25 or top:3, got 'top:1.5'"),
        ("top:1.0", IMAGE, "a share between 0 and 1"),
        ("top:much", IMAGE, "a share between 0 and 1"),
        ("top:4", IMAGE, "'top:4' is 4 of 4 rows; at least one must be kept, and one filled in"),
        ("left:0.01", IMAGE, "'left:0.01' is 0 of 6 columns"),
        ("first:9", CLIP, "'first:9' is 9 of 5 frames"),
        ("first:2", Event((2,), Columns((Real(), Binary()))), "in a table leave empty"),
        ("top", Event((4, 6), Real()), r"in observations of shape \(4, 6\) leave empty"),
    ],
)
def test_errors_say_what_can_be_kept(words: str, event: Event, message: str) -> None:
    with pytest.raises(InputError, match=message):
        kept_by_words(words, event)


def picture(path: Path, pixels: list[list[int]], mode: str = "L") -> Path:
    Image.fromarray(np.array(pixels, dtype=np.uint8)).convert(mode).save(path)
    return path


@pytest.mark.parametrize("mode", ["L", "RGB", "1", "RGBA"])
def test_white_is_kept_and_black_is_filled_in(tmp_path: Path, mode: str) -> None:
    path = picture(tmp_path / "mask.png", [[255, 0, 0], [255, 255, 0]], mode)
    expected = torch.tensor([[True, False, False], [True, True, False]])
    assert torch.equal(kept_by_picture(path, Event((3, 2, 3), Binary())), expected.expand(3, 2, 3))
    assert torch.equal(kept_by_picture(path, Event((4, 1, 2, 3), Binary())), expected.expand(4, 1, 2, 3))


def test_other_pictures_are_refused_and_grey_is_told(tmp_path: Path) -> None:
    event = Event((1, 2, 3), Binary())
    grey = picture(tmp_path / "grey.png", [[255, 127, 0], [255, 128, 0]])
    with pytest.warns(UserWarning, match="2 of 6 pixels of the mask .*grey.png are neither black nor white"):
        assert kept_by_picture(grey, event).tolist() == [[[True, False, False], [True, True, False]]]
    for name, pixels, message in (
        ("white", [[255] * 3] * 2, "all white, which is kept; paint black"),
        ("black", [[0] * 3] * 2, "all black, which is filled in; paint white"),
        ("turned", [[255, 0]] * 3, "is 3x2 pixels"),
        ("wide", [[255, 0, 0, 0]] * 2, r"is 2x4 pixels \(height x width\), but the images are 2x3; make"),
    ):
        with pytest.raises(InputError, match=message):
            kept_by_picture(picture(tmp_path / f"{name}.png", pixels), event)
    with pytest.raises(InputError, match="there is no mask"):
        kept_by_picture(tmp_path / "none.png", event)
    (tmp_path / "mask.npy").write_bytes(b"")
    with pytest.raises(InputError, match="a mask is a picture, as mask.png"):
        kept_by_picture(tmp_path / "mask.npy", event)
    with pytest.raises(InputError, match="the data are sequences; say what to keep in words"):
        kept_by_picture(grey, Event((6,), Real()))
