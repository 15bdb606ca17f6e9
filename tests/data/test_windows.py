"""Windows of sequences: anywhere in training, side by side elsewhere, each with what is known of its row."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ancestral.data import Data, Split, load_data
from ancestral.data.mnist import draw_pixels
from ancestral.interface import Binary, Event, InputError, Levels, Real

ROWS = torch.arange(200.0).view(10, 1, 20) * torch.tensor([1.0, -1.0])[:, None]


def sequences(n: int = 10, **more: object) -> Data:
    """Rows of two channels that count, up and down, from 20 times their number: a window says where it is from."""
    y = torch.arange(n) % 2
    split = Split(ROWS[:n], Event((2, 20), Real()), y, **more)
    return Data("counts", split.event, split, split, split, ("even", "odd"), density=lambda x: x[:, 0, 0])


def test_training_windows_are_stretches_of_one_row_drawn_anew() -> None:
    train = sequences().windowed(6).train
    assert train.event == Event((2, 6), Real())
    assert len(train) == 30  # three windows fit into each of ten rows
    x = torch.stack([train.x for _ in range(200)])
    assert torch.equal(x.diff(dim=-1), torch.tensor([1.0, -1.0])[:, None].expand(200, 30, 2, 5))
    row, place = x[:, :, 0, 0].long() // 20, x[:, :, 0, 0].long() % 20
    assert torch.equal(row, torch.arange(10).repeat_interleave(3).expand(200, 30))
    # Every place from which a window fits, alike: 6,000 draws of 15 places, by Pearson's chi-squared.
    counts = place.flatten().bincount().double()
    assert len(counts) == 15
    assert ((counts - 400).square() / 400).sum() < 14 + 5 * (2 * 14) ** 0.5


def test_training_windows_obey_the_global_seed() -> None:
    train = sequences().windowed(6).train
    batches = []
    for _ in range(2):
        torch.manual_seed(3)
        batches.append(train.__getitems__([5, 0]).x)
    assert torch.equal(*batches)
    before = torch.get_rng_state()
    data = sequences().windowed(6)
    assert torch.equal(torch.stack(data.moments()), torch.stack(data.moments()))
    assert torch.equal(torch.get_rng_state(), before)


def test_validation_and_test_windows_lie_side_by_side() -> None:
    data = sequences(captions=torch.arange(10)[:, None], factors={"row": torch.arange(10)}).windowed(6)
    for split in (data.valid, data.test):
        assert torch.equal(split.x, split.x)
        assert torch.equal(split.x, ROWS[..., :18].unflatten(-1, (3, 6)).movedim(-2, 1).flatten(0, 1))
    for split in data.splits.values():
        row = torch.arange(10).repeat_interleave(3)
        assert torch.equal(split.y, row % 2)
        assert torch.equal(split.captions[:, 0], row)
        assert torch.equal(split.factors["row"], row)
        assert torch.equal(split.x[:, 0, 0].long() // 20, row)
    assert data.density is None  # it was that of whole rows


def test_some_of_the_windows_are_windows_still() -> None:
    part = sequences().windowed(6).train.take([7, 29])
    assert (part.x[:, 0, 0] // 20).tolist() == [2, 9]
    assert not torch.equal(torch.stack([part.x for _ in range(9)]).std(0), torch.zeros(2, 2, 6))
    conditioned = sequences().windowed(6).conditioned_on("labels")
    assert torch.equal(conditioned.train.context, conditioned.train.y)


def test_windows_are_an_option_of_every_source(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", ROWS[:, 0].numpy())
    data = load_data(tmp_path / "rows.npy", window=5)
    assert data.event == Event((5,), Real())
    assert [len(split) for split in data.splits.values()] == [32, 4, 4]
    rows = load_data(tmp_path / "rows.npy", window=5, whole=True).test
    assert torch.equal(rows.x.flatten(), torch.arange(200.0))


def test_windows_of_what_is_drawn_itself() -> None:
    grey = torch.arange(0, 256, 8, dtype=torch.uint8).expand(500, 32)
    train = Split(grey, Event((32,), Binary()), draw=draw_pixels).windowed(16, drawn=True)
    x = torch.stack([train.x for _ in range(20)]).double()
    assert x.unique().tolist() == [0, 1]
    # Over the places of a window and the values in it, the mean intensity is that of the middle.
    assert x.mean().item() == pytest.approx(grey[0].double().mean().item() / 255, abs=0.01)


def test_windows_of_sounds_of_any_length(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        wave = np.linspace(0, 0.9, 1000 + 100 * number) * (-1) ** number
        soundfile.write(tmp_path / "ab"[number % 2] / f"{number:02}.wav", wave, 8000)
    data = load_data(tmp_path, window=500)
    assert data.event == Event((500,), Levels(256))
    assert (data.classes, data.sample_rate) == (("a", "b"), 8000)
    assert sum(map(len, data.splits.values())) == sum((1000 + 100 * number) // 500 for number in range(20))
    for split in data.splits.values():  # b sinks below the middle, and what begins at the middle rises to it
        assert torch.equal(split.x[:, -1] > 127, split.y == 0)
    padded = load_data(tmp_path, window=500, length=1500, mu_law=False)
    assert [len(split) for split in padded.splits.values()] == [48, 6, 6]
    with pytest.raises(InputError, match="no sequence of .* is as long as a window of 5000: the longest has"):
        load_data(tmp_path, window=5000)


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (lambda: sequences().windowed(21), "as long as a window of 21: the longest has 20"),
        (lambda: sequences().windowed(0), "window must be at least 1, got 0"),
        (lambda: sequences().windowed(6).windowed(3), "no sequences to cut windows from"),
    ],
)
def test_windows_that_cannot_be_cut(cut: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        cut()
