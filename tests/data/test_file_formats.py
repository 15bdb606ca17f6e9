"""Files in each format come back as what was written."""

import zipfile
from pathlib import Path

import numpy as np
import pandas
import pytest
import soundfile
import torch
from data_files import idx, pixels, png, write_idx_set, write_image_folder
from PIL import Image

from ancestral.data import Data, load_data, save_sounds
from ancestral.data.audio import mu_law_decode, mu_law_encode
from ancestral.interface import Binary, Event, InputError, Levels, Real, Support


def all_rows(data: Data) -> torch.Tensor:
    return torch.cat([rows.x for rows in data.splits.values()])


def as_set(x: torch.Tensor | np.ndarray) -> list[list[float]]:
    return sorted(torch.as_tensor(np.asarray(x)).flatten(1).double().tolist())


@pytest.mark.parametrize(
    ("array", "support", "dtype"),
    [
        (np.linspace(-1, 1, 60).reshape(20, 3), Real(), torch.float32),
        (np.linspace(-1, 1, 60).reshape(20, 3).astype(">f8"), Real(), torch.float32),
        (np.linspace(-1, 1, 60).reshape(20, 3).astype(np.float16), Real(), torch.float32),
        (np.arange(60).reshape(20, 3), Levels(60), torch.uint8),
        (np.arange(60).reshape(20, 3).astype(np.uint16) * 9, Levels(532), torch.int64),
        (np.arange(60).reshape(20, 3) % 2, Binary(), torch.uint8),
        ((np.arange(60).reshape(20, 3) % 2).astype(np.float32), Binary(), torch.uint8),
        (np.arange(60).reshape(20, 3) % 2 == 0, Binary(), torch.uint8),
    ],
)
def test_the_values_choose_the_support(tmp_path: Path, array: np.ndarray, support: Support, dtype: torch.dtype) -> None:
    np.save(tmp_path / "rows.npy", array)
    data = load_data(tmp_path / "rows.npy")
    assert data.event == Event((3,), support)
    assert data.train.x.dtype == dtype
    assert [len(rows) for rows in data.splits.values()] == [16, 2, 2]
    assert as_set(all_rows(data)) == as_set(array.astype(np.float32))


def test_a_support_that_is_asked_for_is_checked(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.arange(60).reshape(20, 3))
    path = str(tmp_path / "rows.npy")
    assert load_data(path, support="levels:256").event.support == Levels(256)
    assert load_data(path, support="real").train.x.dtype == torch.float32
    for support, message in [
        ("binary", "Binary"),
        ("levels:59", "found 59"),
        ("levels", "levels:N"),
        ("levels:1", "2"),
    ]:
        with pytest.raises(InputError, match=message):
            load_data(path, support=support)
    digits = load_data("digits", support="real")
    assert digits.event == Event((1, 8, 8), Real())
    assert digits.train.x.dtype == torch.float32


def test_npz_with_splits_and_labels(tmp_path: Path) -> None:
    sets = {part: pixels(n, 4, 5) for part, n in (("train", 30), ("valid", 5), ("test", 6))}
    labels = {f"{part}_labels": np.arange(len(x)) % 3 for part, x in sets.items()}
    np.savez(tmp_path / "a.npz", **sets, **labels)
    data = load_data(tmp_path / "a.npz")
    for part, rows in data.splits.items():
        assert torch.equal(rows.x[:, 0], torch.from_numpy(sets[part]))
        assert rows.y.tolist() == labels[f"{part}_labels"].tolist()
    assert data.classes == ("0", "1", "2")
    # A split that is not there comes out of the training rows.
    np.savez(tmp_path / "b.npz", train=sets["train"], test=sets["test"])
    data = load_data(tmp_path / "b.npz")
    assert [len(rows) for rows in data.splits.values()] == [27, 3, 6]
    assert torch.equal(data.test.x[:, 0], torch.from_numpy(sets["test"]))
    assert as_set(torch.cat([data.train.x, data.valid.x])) == as_set(sets["train"])


@pytest.mark.parametrize("compressed", [False, True])
def test_npz_with_rows_and_named_labels(tmp_path: Path, compressed: bool) -> None:
    x, y = pixels(40, 6, 7, 3), np.array(["cat", "ant", "bat", "bat"] * 10)
    (np.savez_compressed if compressed else np.savez)(tmp_path / "a.npz", x=x, y=y)
    data = load_data(tmp_path / "a.npz", support="levels:256")
    assert data.event.shape == (3, 6, 7)
    assert data.classes == ("ant", "bat", "cat")
    place = {tuple(image.flatten().tolist()): name for image, name in zip(x.transpose(0, 3, 1, 2), y)}
    for rows in data.splits.values():
        for image, label in zip(rows.x, rows.y):
            assert data.classes[label] == place[tuple(image.flatten().tolist())]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables(tmp_path: Path, kind: str) -> None:
    frame = pandas.DataFrame(
        {"a": np.linspace(0, 1, 30), "kind": ["x", "y", None] * 10, "b": np.arange(30), "c": np.arange(30) % 2 == 0}
    )
    path = tmp_path / f"rows.{kind}"
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    data = load_data(path, label="kind")
    assert data.event == Event((3,), Real())
    assert data.classes == ("x", "y")
    assert as_set(all_rows(data)) == as_set(frame[["a", "b", "c"]].to_numpy(dtype=np.float32))
    for rows in data.splits.values():
        assert torch.equal(rows.y, torch.tensor([0, 1, -1])[rows.x[:, 1].long() % 3])


def test_tables_of_integers_and_of_truth_values(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n" + "3,1\n0,2\n" * 10)
    assert load_data(tmp_path / "a.csv").event == Event((2,), Levels(4))
    (tmp_path / "b.csv").write_text("a,b\n" + "True,False\nTrue,True\n" * 10)
    assert load_data(tmp_path / "b.csv").event == Event((2,), Binary())
    (tmp_path / "headless.csv").write_text("3,1\n0,2\n" * 10)
    assert len(all_rows(load_data(tmp_path / "headless.csv"))) == 20


def test_empty_cells_are_kept_only_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("height,width\n" + "1.5,\n,2\n2.5,1\n" * 10)
    with pytest.raises(InputError, match=r"20 empty cells, in the columns height \(10\), width \(10\)"):
        load_data(tmp_path / "a.csv")
    assert all_rows(load_data(tmp_path / "a.csv", missing=True)).isnan().sum() == 20


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("around", ["", "set-1.0/"])
def test_image_folders_and_zips(tmp_path: Path, zipped: bool, around: str) -> None:
    source = tmp_path / "set"
    write_image_folder(source / around)
    (source / around / "README.txt").write_text("no image")
    (source / around / ".hidden.png").write_bytes(b"")
    if zipped:
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            for path in source.rglob("*"):
                archive.write(path, path.relative_to(source))
        source = tmp_path / "set.zip"
    data = load_data(source)
    assert data.event == Event((3, 8, 8), Levels(256))
    assert data.classes == ("ape", "bee")
    assert [len(rows) for rows in data.splits.values()] == [10, 2, 12]
    for part, rows in data.splits.items():
        assert torch.equal(rows.x[:, 0, 0, 0], rows.y.to(torch.uint8))
        assert (rows.x[:, 2] == (part == "test")).all()
    assert torch.cat([data.train.x, data.valid.x])[:, 1, 0, 0].bincount().tolist() == [2] * 6


def test_images_are_resized_and_made_grey_when_asked(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}.png").write_bytes(png(pixels(8 + number, 9, 3)))
    with pytest.raises(InputError, match=r"1.png in .* is 9x9 RGB, but 0.png is 8x9 RGB"):
        load_data(tmp_path)
    assert load_data(tmp_path, size=4).event.shape == (3, 4, 4)
    assert load_data(tmp_path, size=[4, 6], grey=True).event == Event((1, 4, 6), Levels(256))
    with pytest.raises(InputError, match="at least 1, got"):
        load_data(tmp_path, size=[4])


def test_one_bit_images_are_binary_and_palettes_are_colours(tmp_path: Path) -> None:
    for name, mode in (("bits", "1"), ("palette", "P")):
        (tmp_path / name).mkdir()
        for number in range(10):
            Image.fromarray(pixels(8, 9)).convert(mode).save(tmp_path / name / f"{number}.png")
    assert load_data(tmp_path / "bits").event == Event((1, 8, 9), Binary())
    assert load_data(tmp_path / "palette").event == Event((3, 8, 9), Levels(256))


def test_idx_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "some.idx").write_bytes(idx(pixels(20, 4, 5)))
    assert as_set(all_rows(load_data(tmp_path / "some.idx"))) == as_set(pixels(20, 4, 5))
    write_idx_set(tmp_path / "set")
    data = load_data(tmp_path / "set")
    assert data.event == Event((1, 4, 5), Levels(251))
    assert [len(rows) for rows in data.splits.values()] == [54, 6, 20]
    assert data.test.y.tolist() == [row % 3 for row in range(20)]


def test_sounds(tmp_path: Path) -> None:
    wave = 0.9 * torch.sin(torch.arange(2000) / 7)
    for number in range(10):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        soundfile.write(tmp_path / "ab"[number % 2] / f"{number}.wav", wave[: 1000 + 100 * number].numpy(), 8000)
    with pytest.raises(InputError, match=r"a/2.wav in .* has 1200 samples, but a/0.wav has 1000"):
        load_data(tmp_path)
    data = load_data(tmp_path, length=1500)
    assert data.event == Event((1500,), Levels(256))
    assert (data.sample_rate, data.classes) == (8000, ("a", "b"))
    real = load_data(tmp_path, length=1500, mu_law=False)
    assert (mu_law_decode(data.train.x) - real.train.x).abs().max() < 0.03
    torch.testing.assert_close(real.train.x[:, :1000], wave[:1000].expand(8, 1000), atol=1e-4, rtol=0)


def test_mu_law_keeps_every_level() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(mu_law_encode(mu_law_decode(levels)), levels)
    assert mu_law_decode(levels)[[0, -1]].tolist() == [-1, 1]


@pytest.mark.parametrize("mu_law", [True, False])
def test_sounds_that_are_written_are_read_again(mu_law: bool, tmp_path: Path) -> None:
    """Every level of the mu-law survives the 16 bits of the files."""
    event = Event((256,), Levels(256) if mu_law else Real())
    x = torch.arange(256).repeat(20, 1) if mu_law else torch.rand(20, 256) * 2 - 1
    save_sounds(x, event, tmp_path / "sounds", 8000, names=[f"sound {i}" for i in range(20)])
    data = load_data(tmp_path / "sounds", mu_law=mu_law)
    assert (data.event, data.sample_rate) == (event, 8000)
    order = torch.cat([split.x for split in data.splits.values()])
    if mu_law:
        assert torch.equal(order.long(), x)
    else:
        assert torch.cdist(order, x).min(1).values.max() < 256**0.5 / 2**15
    assert (tmp_path / "sounds" / "sound 7.wav").exists()


def test_what_is_no_sound_is_not_written(tmp_path: Path) -> None:
    for event in (Event((9,), Levels(16)), Event((1, 3, 3), Real())):
        with pytest.raises(InputError, match="levels:256 .mu-law. or of real values"):
            save_sounds(torch.zeros(2, *event.shape), event, tmp_path / "x", 8000)
    assert not any(tmp_path.iterdir())


def test_a_path_is_also_looked_for_below_the_data_root(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    np.save(tmp_path / "deep" / "rows.npy", np.eye(20))
    assert load_data("deep/rows.npy", data_root=tmp_path).event == Event((20,), Binary())
