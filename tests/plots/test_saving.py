"""Images as files: every value as it is, and a folder whole or not at all."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ancestral.data import load_data
from ancestral.interface import Binary, Event, InputError, Levels, Real
from ancestral.plots import save_images


@pytest.mark.parametrize("channels", [1, 3])
def test_256_levels_are_the_values_of_the_files(channels: int, tmp_path: Path) -> None:
    event = Event((channels, 5, 7), Levels(256))
    x = torch.randint(0, 256, (12, *event.shape))
    save_images(x, event, tmp_path / "out" / "images")
    files = sorted((tmp_path / "out" / "images").iterdir())
    assert [file.name for file in files] == [f"{i:02d}.png" for i in range(12)]
    back = np.stack([np.asarray(Image.open(file)).reshape(5, 7, channels) for file in files])
    assert np.array_equal(back.transpose(0, 3, 1, 2), x)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["images"]
    # They are a data set again.
    data = load_data(tmp_path / "out" / "images")
    again = torch.cat([split.x for split in data.splits.values()])
    assert data.event == event
    assert sorted(map(bytes, again.numpy())) == sorted(map(bytes, x.byte().numpy()))


@pytest.mark.parametrize(
    ("event", "x", "values"),
    [
        (Event((1, 1, 3), Levels(16)), [0, 1, 15], [0, 17, 255]),
        (Event((1, 1, 3), Binary()), [0, 1, 1], [0, 255, 255]),
        (Event((1, 1, 3), Real()), [-1.0, 0.0, 1.0], [0, 128, 255]),
    ],
)
def test_other_values_are_spread_over_all_levels(event: Event, x: list, values: list[int], tmp_path: Path) -> None:
    save_images(torch.tensor(x).view(1, 1, 1, 3), event, tmp_path / "x", names=["only"])
    assert np.asarray(Image.open(tmp_path / "x" / "only.png")).flatten().tolist() == values


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    event, x = Event((1, 2, 2), Binary()), torch.zeros(3, 1, 2, 2)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is there already; give the name of a new folder"):
        save_images(x, event, tmp_path / "full")
    with pytest.raises(InputError, match="must not contain folders"):
        save_images(x, event, tmp_path / "new", names=["a", "../b", "c"])
    with pytest.raises(InputError, match="have 3 names, got 2"):
        save_images(x, event, tmp_path / "new", names=["a", "b"])
    with pytest.raises(InputError, match="names of files must differ"):
        save_images(x, event, tmp_path / "new", names=["a", "b", "a"])
    with pytest.raises(InputError, match="1 or 3 channels"):
        save_images(torch.zeros(3, 4), Event((4,), Real()), tmp_path / "new")
    written = Path.write_bytes

    def full_disk(path: Path, data: bytes) -> int:
        if path.name == "2.png":
            raise OSError(28, "No space left on device")
        return written(path, data)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_images(x, event, tmp_path / "new")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    (tmp_path / "empty").mkdir()
    save_images(x, event, tmp_path / "empty")
    assert len(list((tmp_path / "empty").iterdir())) == 3
