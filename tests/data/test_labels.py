"""Few labels among many rows, and rows that have none."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from data_files import png, write_image_folder

from ancestral.data import Data, Split, load_data
from ancestral.data.assembly import split_indices
from ancestral.interface import Event, InputError, Real


@pytest.mark.parametrize("count", [100, 103])
def test_a_number_of_labels_is_kept_in_train_alone(count: int) -> None:
    whole, data = load_data("digits"), load_data("digits", labels=count)
    y = data.train.y
    kept = y >= 0
    assert int(kept.sum()) == count
    assert torch.equal(y[kept], whole.train.y[kept])
    assert torch.equal(data.train.x, whole.train.x)
    assert y[kept].bincount().tolist().count(10) == 10 - count % 10
    assert y[kept].bincount().max() - y[kept].bincount().min() <= 1
    for part in ("valid", "test"):
        assert torch.equal(data.splits[part].y, whole.splits[part].y)
    assert f"{count} labels, drawn by seed 0" in data.note
    assert torch.equal(y, load_data("digits", labels=count).train.y)
    assert not torch.equal(kept, load_data("digits").with_labels(count, seed=1).train.y >= 0)


def test_a_hundred_labels_of_mnist(data_root: str) -> None:
    data = load_data("mnist", data_root=data_root, labels=100)
    assert data.train.y[data.train.y >= 0].bincount().tolist() == [10] * 10
    assert int((data.train.y < 0).sum()) == 49_900
    assert int(data.valid.y.min()) == int(data.test.y.min()) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: load_data("digits", labels=9), "digits can keep at least 10 labels, one for each class, .*, got 9"),
        (lambda: load_data("digits", labels=1438), "at most the 1437 that its training split has, got 1438"),
        (lambda: load_data("digits", labels=1430), "is 143 of each class, but the training split of digits has only"),
        (lambda: Data("d", Event((1,), Real()), *[Split(torch.zeros(9, 1), Event((1,), Real()))] * 3).with_labels(1),
         "d has no labels, of which 1 could be kept"),
    ],
)  # fmt: skip
def test_labels_that_are_not_there(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("name", ["unlabelled", "Unlabeled"])
@pytest.mark.parametrize("top", [False, True])
def test_a_folder_of_rows_without_labels_is_no_class(tmp_path: Path, name: str, top: bool) -> None:
    write_image_folder(tmp_path / "set")
    folder = tmp_path / "set" / name if top else tmp_path / "set" / "train" / name
    folder.mkdir()
    for number in range(28):
        (folder / f"{number}.png").write_bytes(png(np.full((8, 8, 3), 100 + number, np.uint8)))
    data = load_data(tmp_path / "set")
    assert data.classes == ("ape", "bee")
    assert [len(split) for split in data.splits.values()] == [36, 4, 12]
    for split in data.splits.values():
        assert torch.equal(split.y < 0, split.x[:, 0, 0, 0] >= 100)
    assert int((data.test.y < 0).sum()) == 0
    shutil.rmtree(tmp_path / "set" / "test")
    shutil.rmtree(tmp_path / "set" / "train" / "ape")
    shutil.rmtree(tmp_path / "set" / "train" / "bee")
    assert load_data(tmp_path / "set").train.y is None


def test_minus_one_is_no_label(tmp_path: Path) -> None:
    x, y = np.linspace(0, 1, 120).reshape(40, 3), np.arange(40) % 4 - 1
    np.savez(tmp_path / "a.npz", x=x, y=y)
    (tmp_path / "a.csv").write_text("a,y\n" + "".join(f"{row / 7},{label}\n" for row, label in enumerate(y)))
    for data in (load_data(tmp_path / "a.npz"), load_data(tmp_path / "a.csv", label="y")):
        assert data.classes == ("0", "1", "2")
        assert torch.cat([split.y for split in data.splits.values()]).add(1).bincount().tolist() == [10] * 4
    np.savez(tmp_path / "none.npz", x=x, y=np.full(40, -1))
    assert load_data(tmp_path / "none.npz").classes is None


@pytest.mark.parametrize("labelled", [0, 1, 30])
def test_rows_without_labels_are_split_as_a_class_of_their_own(labelled: int) -> None:
    y = torch.full((100,), -1)
    y[:labelled] = torch.arange(labelled) % 3
    parts = split_indices(100, seed=0, y=y)
    assert torch.cat(list(parts.values())).sort().values.tolist() == list(range(100))
    for part in ("valid", "test"):
        assert abs(int((y[parts[part]] < 0).sum()) - (100 - labelled) / 10) <= 1
