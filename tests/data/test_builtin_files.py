"""Built-in sets from their files: the real ones, small ones, and by download."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from data_files import cifar_archive, pixels, write_idx_set

from ancestral.data import list_data, load_data
from ancestral.data.cifar import read_archive
from ancestral.data.files import SourceFile, Store
from ancestral.data.mnist import draw_pixels
from ancestral.interface import Binary, Event, InputError, Levels, Real

SIZES = [50_000, 10_000, 10_000]


def md5(x: torch.Tensor, count: int) -> str:
    """The MD5 sum of the IDX file that images come from."""
    header = bytes([0, 0, 8, 3, *count.to_bytes(4, "big"), 0, 0, 0, 28, 0, 0, 0, 28])
    return hashlib.md5(header + x.numpy().tobytes()).hexdigest()


def test_mnist_is_mnist(data_root: str) -> None:
    data = load_data("mnist", data_root=data_root)
    assert data.event == Event((1, 28, 28), Levels(256))
    assert [len(rows) for rows in data.splits.values()] == SIZES
    assert md5(torch.cat([data.train.x, data.valid.x]), 60_000) == "6bbc9ace898e44ae57da46a324031adb"
    assert md5(data.test.x, 10_000) == "2646ac647ad5339dbf082846283269ea"
    assert data.train.y[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.test.y[:5].tolist() == [7, 2, 1, 0, 4]


def test_binarized_mnist(data_root: str) -> None:
    static = load_data("binarized_mnist", data_root=data_root)
    dynamic = load_data("binarized-mnist-dynamic", data_root=data_root)
    assert static.event == dynamic.event == Event((1, 28, 28), Binary())
    assert (static.note, dynamic.note) == ("static (seed 0)", "dynamic (valid and test: seed 0)")
    assert [len(rows) for rows in dynamic.splits.values()] == SIZES
    # The same one draw is validated and tested on, and only the dynamic training pixels move.
    assert torch.equal(static.test.x, dynamic.test.x)
    assert torch.equal(static.valid.x, dynamic.valid.x)
    rows = torch.arange(0, 50_000, 500)
    first, second = (dynamic.train.__getitems__(rows).x for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(*(static.train.__getitems__(rows).x for _ in range(2)))
    grey = load_data("mnist", data_root=data_root)
    expected = grey.train.x[rows].double() / 255
    mean = torch.stack([dynamic.train.__getitems__(rows).x for _ in range(100)]).double().mean(0)
    error = (expected * (1 - expected) / 100).sqrt()
    assert torch.equal(mean[error == 0], expected[error == 0])
    score = ((mean - expected) / error)[error > 0]
    assert abs(score.square().mean() - 1) < 0.05
    # The fixed draw too: 7.8 million pixels against the sum of their intensities.
    share = grey.test.x.double() / 255
    deviation = (share * (1 - share)).sum().sqrt()
    assert abs(static.test.x.sum() - share.sum()) < 4 * deviation
    assert torch.equal(grey.test.y, static.test.y)


def test_pixels_are_drawn_with_their_intensity_exactly() -> None:
    intensity = torch.arange(256, dtype=torch.uint8).repeat(4000, 1)
    drawn = draw_pixels(intensity, torch.Generator().manual_seed(1)).double().mean(0)
    expected = torch.arange(256) / 255
    assert (drawn[0], drawn[255]) == (0, 1)
    score = ((drawn - expected) / (expected * (1 - expected) / 4000).sqrt())[1:-1]
    assert score.abs().max() < 4.5
    assert abs(score.mean()) < 0.3


def test_dequantized_mnist_rounds_down_to_mnist(data_root: str) -> None:
    real, grey = (load_data(name, data_root=data_root) for name in ("mnist-dequantized", "mnist"))
    assert real.event == Event((1, 28, 28), Real())
    assert real.test.x.dtype == torch.float32
    assert (real.test.x.min() >= 0, real.test.x.max() < 1) == (True, True)
    assert torch.equal((real.test.x * 256).floor().to(torch.uint8), grey.test.x)


@pytest.mark.parametrize(
    ("name", "event", "sizes"),
    [
        ("dna", Event((180,), Binary()), [1400, 600, 1186]),
        ("mushrooms", Event((112,), Binary()), [2000, 500, 5624]),
        ("freyfaces", Event((1, 28, 20), Levels(256)), [1565, 200, 200]),
    ],
)
def test_sets_in_npz_files(data_root: str, name: str, event: Event, sizes: list[int]) -> None:
    data = load_data(name, data_root=data_root)
    assert data.event == event
    assert [len(rows) for rows in data.splits.values()] == sizes


@pytest.mark.slow
def test_cifar10_as_jpeg(data_root: str) -> None:
    data = load_data("cifar10-jpeg", data_root=data_root)
    assert data.event == Event((3, 32, 32), Levels(256))
    assert [len(rows) for rows in data.splits.values()] == [45_000, 5_000, 10_000]
    assert data.test.y.bincount().tolist() == [1000] * 10


def test_the_cifar10_archive_is_read_record_by_record(tmp_path: Path) -> None:
    cifar_archive(tmp_path / "a.tar.gz")
    train, test = read_archive(tmp_path / "a.tar.gz", records=4)
    assert train.x.shape == (20, 3, 32, 32)
    assert train.y.tolist() == [0, 1, 2, 3] * 5
    assert train.x[:, 0, 0, 0].tolist() == [batch for batch in range(5) for _ in range(4)]
    assert test.x[:, 0, 0, 0].tolist() == [5] * 4
    plain = torch.from_numpy(pixels(4, 3073))
    assert torch.equal(test.x[2, 1], plain[2, 1 + 1024 : 1 + 2048].view(32, 32))


def test_a_set_that_is_not_mnist_is_not_taken_for_it(tmp_path: Path) -> None:
    write_idx_set(tmp_path / "mnist")
    with pytest.raises(InputError, match=r"shape \(60, 1, 4, 5\), expected \(60000, 1, 28, 28\)"):
        load_data("mnist", data_root=tmp_path)


def test_the_list_says_where_each_set_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCESTRAL_CACHE", str(tmp_path / "cache"))
    write_idx_set(tmp_path / "mnist")
    known = {info.name: info for info in list_data(tmp_path)}
    assert (known["digits"].available, known["digits"].source) == (True, "computed")
    assert (known["mnist"].available, known["mnist"].source) == (True, "on disk")
    assert (known["cifar10"].available, known["cifar10"].source) == (False, "a download of 170 MB")
    assert known["dna"].source == "needs uci/dna.npz under the data root"
    assert all(info.summary.endswith(".") for info in known.values())


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A web server on this machine for the files in `tmp_path / "web"`."""
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "web").mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "web"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=[0.01])
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}/"
        httpd.shutdown()
        thread.join()


def test_downloads_are_verified_and_kept(tmp_path: Path, server: str) -> None:
    (tmp_path / "web" / "a.bin").write_bytes(b"content")
    good = SourceFile("set/a.bin", f"{server}a.bin", hashlib.md5(b"content").hexdigest())
    store = Store(None, tmp_path / "cache")
    assert store.get(good)[0].read_bytes() == b"content"
    # From now on it is there without the network, and a damaged one is noticed.
    (tmp_path / "web" / "a.bin").unlink()
    [path] = store.get(good)
    path.write_bytes(b"contort")
    with pytest.raises(InputError, match=r"set/a.bin could not be downloaded .*404.*data_root=DIR"):
        store.get(good)


def test_a_wrong_download_leaves_nothing(tmp_path: Path, server: str) -> None:
    (tmp_path / "web" / "a.bin").write_bytes(b"another page")
    wrong = SourceFile("set/a.bin", f"{server}a.bin", hashlib.md5(b"content").hexdigest())
    with pytest.raises(InputError, match=r"MD5 hash.*place set/a.bin under"):
        Store(tmp_path, tmp_path / "cache").get(wrong)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_without_a_network_the_files_are_named_with_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    files = [SourceFile(f"set/{name}", f"http://127.0.0.1:9/{name}", "0" * 32) for name in "ab"]
    with pytest.raises(InputError, match=r"ConnectionError.*place set/a, set/b under a folder DIR"):
        Store(None, tmp_path).get(*files)


def test_a_cache_that_cannot_be_written_is_a_clear_error(tmp_path: Path, server: str) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    (tmp_path / "web" / "a.bin").write_bytes(b"content")
    with pytest.raises(InputError, match="could not be downloaded .* to .*cache"):
        Store(None, tmp_path / "cache").get(SourceFile("set/a.bin", f"{server}a.bin"))


def test_frey_faces_as_clips_are_frames_in_a_row_of_one_split(data_root: str) -> None:
    frames = load_data("freyfaces", data_root=data_root)
    clips = load_data("freyfaces", data_root=data_root, frames=9)
    assert clips.event == Event((9, 1, 28, 20), Levels(256))
    assert [len(split) for split in clips.splits.values()] == [1557, 22, 22]
    assert torch.equal(clips.train.x[100], frames.train.x[100:109])
    assert torch.equal(clips.test.x[2], frames.test.x[18:27])
    with pytest.raises(InputError, match="frames must be 2 to the 200"):
        load_data("freyfaces", data_root=data_root, frames=201)
