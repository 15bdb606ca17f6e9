"""Two domains without correspondence, in the layout in which they are published."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from data_files import png

from ancestral.data import Data, Split, load_data
from ancestral.interface import Event, InputError, Real

LINE = Event((1,), Real())


def write(folder: Path, *names: str, n: int = 20) -> Path:
    """Folders of images whose channels say which folder they are from, and which of it."""
    for index, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for number in range(n - 2 * index):
            image = np.array([index, number, 0], np.uint8) * np.ones((4, 4, 3), np.uint8)
            (folder / name / f"{number:02}.png").write_bytes(png(image))
    return folder


@pytest.mark.parametrize(("a", "b"), [("A", "B"), ("horse", "zebra"), ("_photo", "_monet")])
@pytest.mark.parametrize("zipped", [False, True])
def test_the_published_layout(tmp_path: Path, a: str, b: str, zipped: bool) -> None:
    a, b = sorted((a, b))
    source = write(tmp_path / "set" / "a2b", f"train{a}", f"train{b}", f"test{a}", f"test{b}")
    if zipped:
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            for path in source.rglob("*.png"):
                archive.write(path, path.relative_to(tmp_path / "set"))
        source = tmp_path / "set.zip"
    data = load_data(source)
    assert (data.domains, data.classes) == ((a.strip("_"), b.strip("_")), None)
    assert [len(split) for split in data.splits.values()] == [34, 4, 30]
    for name, split in data.splits.items():
        # What lies in the test folders is tested on, and never trained on.
        assert torch.equal(split.x[:, 0, 0, 0].long(), split.y + 2 * (name == "test"))
    assert torch.cat([data.train.y, data.valid.y]).bincount().tolist() == [20, 18]


def test_two_domains_are_split_where_there_is_no_test(tmp_path: Path) -> None:
    data = load_data(write(tmp_path, "trainA", "trainB"))
    assert data.domains == ("A", "B")
    assert [len(split) for split in data.splits.values()] == [30, 4, 4]


@pytest.mark.parametrize("names", [("apes", "bees"), ("trainee", "trainer"), ("train-station", "test-tube")])
def test_classes_are_no_domains(tmp_path: Path, names: tuple[str, ...]) -> None:
    data = load_data(write(tmp_path, *names))
    assert (data.classes, data.domains) == (tuple(sorted(names)), None)


@pytest.mark.parametrize("names", [("trainA", "trainB", "testA"), ("trainA", "testA"), ("testA", "testB")])
def test_an_incomplete_layout_says_what_is_expected(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=f"holds the folders {', '.join(sorted(names))}; two domains are in trainA,"):
        load_data(write(tmp_path, *names))


@pytest.mark.parametrize("y", [None, [0, 0, 0], [0, 1, 2], [0, 1, -1]])
def test_domains_are_labelled_0_and_1(y: list[int] | None) -> None:
    split = Split(torch.zeros(3, 1), LINE, None if y is None else torch.tensor(y))
    with pytest.raises(InputError, match="labels must be 0 and 1, with some of each in the train split"):
        Data("pair", LINE, split, split, split, domains=("a", "b"))


def test_two_classes_are_taken_as_two_domains(tmp_path: Path) -> None:
    folder = write(tmp_path, "apes", "bees", "cats")
    data = load_data(folder, domains="bees, apes")
    assert (data.domains, data.classes) == (("bees", "apes"), None)
    for split in data.splits.values():
        # The first channel says which folder an image is from: 0 apes, 1 bees.
        assert torch.equal(split.x[:, 0, 0, 0].long(), 1 - split.y)
    assert sum(map(len, data.splits.values())) == 38
    assert load_data(write(tmp_path / "set", "trainA", "trainB"), domains=["A", "B"]).domains == ("A", "B")


@pytest.mark.parametrize("domains", [["apes"], ["apes", "apes"], ["apes", "dogs"]])
def test_domains_must_be_two_of_the_classes(tmp_path: Path, domains: list[str]) -> None:
    with pytest.raises(InputError, match="must be two of the classes of .*, got .*; its classes are apes, bees"):
        load_data(write(tmp_path, "apes", "bees"), domains=domains)
    with pytest.raises(InputError, match="it has no classes"):
        Data("line", LINE, *[Split(torch.zeros(3, 1), LINE)] * 3).with_domains(domains)
