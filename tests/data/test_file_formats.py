"""Files in each format come back as what was written."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from data_files import idx, pixels, png, write_idx_set, write_image_folder
from PIL import Image

from ancestral.data import Data, load_data, save_sounds
from ancestral.interface import Binary, Event, InputError, Levels, Real, Support
from ancestral.mu_law import mu_law_decode, mu_law_encode
from ancestral.plots import save_images


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


def test_images_of_16_bits_are_taken_as_8_and_that_is_said(tmp_path: Path) -> None:
    bright = np.arange(0, 65536, 1024, dtype=np.uint16).reshape(8, 8)
    for i in range(4):
        Image.fromarray(bright + i).save(tmp_path / f"{i}.png")
    with pytest.warns(UserWarning, match="16 bits are taken as 8"):
        data = load_data(tmp_path)
    assert data.event == Event((1, 8, 8), Levels(256))
    expected = torch.from_numpy((bright / 257).round().astype(np.uint8))
    assert all(torch.equal(image[0], expected) for image in torch.cat([data.train.x, data.valid.x, data.test.x]))


def test_one_bit_images_are_binary_and_palettes_are_colours(tmp_path: Path) -> None:
    for name, mode in (("bits", "1"), ("palette", "P")):
        (tmp_path / name).mkdir()
        for number in range(10):
            Image.fromarray(pixels(8, 9)).convert(mode).save(tmp_path / name / f"{number}.png")
    assert load_data(tmp_path / "bits").event == Event((1, 8, 9), Binary())
    assert load_data(tmp_path / "palette").event == Event((3, 8, 9), Levels(256))


@pytest.mark.parametrize("support", [Binary(), Levels(17), Levels(256)])
def test_images_of_any_number_of_levels_come_back_from_their_files(tmp_path: Path, support: Support) -> None:
    """Fewer levels than 256 are spread from black to white in a file, and taken back so."""
    event = Event((1, 4, 5), support)
    x = (torch.arange(15 * 20) * 7 % support.values).view(15, 1, 4, 5)
    save_images(x, event, tmp_path / "set")
    data = load_data(tmp_path / "set", support=support.flag, whole=True)
    assert data.event == event
    assert torch.equal(data.test.x.long(), x)


def test_pixels_between_levels_are_taken_as_the_nearest_and_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(np.array([[0, 40, 43, 85, 255, 255]], dtype=np.uint8)))
    with pytest.warns(UserWarning, match="33% of the pixels lie between the 4 levels asked for"):
        assert load_data(tmp_path / "a.png", support="levels:4", whole=True).test.x.tolist() == [[[[0, 0, 1, 1, 3, 3]]]]
    Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).convert("1").save(tmp_path / "b.png")
    assert load_data(tmp_path / "b.png", support="levels:4", whole=True).test.x.tolist() == [[[[0, 3]]]]
    assert load_data(tmp_path / "a.png", support="real", whole=True).test.x.max() == 255


def test_one_image_or_sound_is_a_source_of_its_own(tmp_path: Path) -> None:
    for name in ("cat.png", "dog.png"):
        (tmp_path / name).write_bytes(png(pixels(8, 9, 3)))
    data = load_data(tmp_path / "cat.png", whole=True)
    assert (data.name, len(data.test), data.test.origin["file"].tolist()) == ("cat.png", 1, ["cat.png"])
    assert torch.equal(data.test.x[0], torch.from_numpy(pixels(8, 9, 3)).permute(2, 0, 1))
    assert load_data(tmp_path / "cat.png", size=4, grey=True, whole=True).event.shape == (1, 4, 4)
    with pytest.raises(InputError, match="at least 3"):
        load_data(tmp_path / "cat.png")
    soundfile.write(tmp_path / "hum.wav", np.zeros(100), 8000)
    assert load_data(tmp_path / "hum.wav", whole=True).event == Event((100,), Levels(256))
    (tmp_path / "no.png").write_bytes(b"text")
    with pytest.raises(InputError, match=r"no.png in .* \(4 bytes\) is no image"):
        load_data(tmp_path / "no.png")


def test_idx_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "some.idx").write_bytes(idx(pixels(20, 4, 5)))
    assert as_set(all_rows(load_data(tmp_path / "some.idx"))) == as_set(pixels(20, 4, 5))
    write_idx_set(tmp_path / "set")
    data = load_data(tmp_path / "set")
    assert data.event == Event((1, 4, 5), Levels(256))
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


def test_sounds_in_one_file_have_a_pause_between_them(tmp_path: Path) -> None:
    x = 0.5 * torch.ones(3, 100)
    save_sounds(x, Event((100,), Real()), tmp_path / "all.wav", 1000)
    wave, rate = soundfile.read(tmp_path / "all.wav")
    assert (len(wave), rate) == (3 * 100 + 2 * 250, 1000)
    assert np.flatnonzero(wave).tolist() == [350 * i + j for i in range(3) for j in range(100)]


def test_what_is_no_sound_is_not_written(tmp_path: Path) -> None:
    for event in (Event((9,), Levels(16)), Event((1, 3, 3), Real())):
        with pytest.raises(InputError, match="levels:256 .mu-law. or of real values"):
            save_sounds(torch.zeros(2, *event.shape), event, tmp_path / "x", 8000)
    assert not any(tmp_path.iterdir())


def test_a_path_is_also_looked_for_below_the_data_root(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    np.save(tmp_path / "deep" / "rows.npy", np.eye(20))
    assert load_data("deep/rows.npy", data_root=tmp_path).event == Event((20,), Binary())


def test_images_are_turned_as_their_orientation_says(tmp_path: Path) -> None:
    upright = pixels(4, 6, 3)
    turned = Image.fromarray(np.rot90(upright))  # as a camera stores it that was held on its side
    exif = Image.Exif()
    exif[274] = 6  # orientation: the picture is to be turned by 90 degrees clockwise
    for number in range(3):
        turned.save(tmp_path / f"{number}.png", exif=exif)
    data = load_data(tmp_path, whole=True)
    assert torch.equal(data.test.x[0], torch.from_numpy(upright).permute(2, 0, 1))


def test_alpha_is_a_channel_where_all_have_it_and_laid_on_white_where_some_have(tmp_path: Path) -> None:
    colours = pixels(4, 5, 3)
    opaque, sheer = (np.dstack([colours, np.full((4, 5), alpha, np.uint8)]) for alpha in (255, 0))
    for folder, images in {"all": [opaque, sheer, sheer], "some": [colours, opaque, opaque],
                           "mixed": [sheer, colours, opaque]}.items():  # fmt: skip
        (tmp_path / folder).mkdir()
        for number, image in enumerate(images):
            (tmp_path / folder / f"{number}.png").write_bytes(png(image))
    assert load_data(tmp_path / "all").event.shape == (4, 4, 5)
    # What no one sees through loses nothing, and nothing is said.
    some = load_data(tmp_path / "some", whole=True)
    assert all(torch.equal(x, torch.from_numpy(colours).permute(2, 0, 1)) for x in some.test.x)
    with pytest.warns(UserWarning, match=r"1 of 3 images, such as 0.png, .* laid on white"):
        mixed = load_data(tmp_path / "mixed", whole=True)
    assert mixed.test.x[0].unique().tolist() == [255]
    assert torch.equal(mixed.test.x[1:], some.test.x[1:])
    with pytest.warns(UserWarning, match="laid on white"):
        assert load_data(tmp_path / "all", grey=True, whole=True).test.x[1].unique().tolist() == [255]


def test_images_of_bytes_have_256_levels(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=pixels(20, 4, 5) // 2)
    data = load_data(tmp_path / "a.npz")
    assert (data.event, data.layout) == (Event((1, 4, 5), Levels(256)), "NHW")
    np.save(tmp_path / "b.npy", pixels(20, 6, 5, 3))
    assert load_data(tmp_path / "b.npy").layout == "NHWC"
    np.save(tmp_path / "c.npy", pixels(20, 4, 5) % 2)
    assert load_data(tmp_path / "c.npy").event.support == Binary()


@pytest.mark.parametrize("zipped", [False, True])
def test_whole_folders_keep_their_order_and_say_their_files(tmp_path: Path, zipped: bool) -> None:
    source = tmp_path / "set"
    for number in range(12):
        (source / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        (source / "ab"[number % 2] / f"{number:02}.png").write_bytes(png(np.full((4, 4), number, np.uint8)))
    files = sorted(str(path.relative_to(source)) for path in source.rglob("*.png"))
    if zipped:
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            for path in source.rglob("*.png"):
                archive.write(path, path.relative_to(source))
        source = tmp_path / "set.zip"
    data = load_data(source, whole=True)
    assert data.test.origin["file"].tolist() == files
    assert data.test.x[:, 0, 0, 0].tolist() == [int(file[2:4]) for file in files]
    assert data.test.y.tolist() == [0] * 6 + [1] * 6
    # A tenth of them, with their own names, where they are split.
    part = load_data(source).test
    assert part.x[:, 0, 0, 0].tolist() == [int(file[2:4]) for file in part.origin["file"]]
    # One alone is enough to be scored.
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "7.png").write_bytes(png(np.full((4, 4), 7, np.uint8)))
    assert load_data(tmp_path / "one", whole=True).test.origin["file"].tolist() == ["7.png"]


def test_whole_texts_and_sounds(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("\n".join(f"line {number}" for number in range(30)))
    text = load_data(tmp_path / "lines.txt", whole=True)
    assert [text.text(x) for x in text.test.x] == [f"line {number}" for number in range(30)]
    windows = load_data(tmp_path / "lines.txt", whole=True, window=7)
    assert "".join(windows.text(x) for x in windows.test.x) in (tmp_path / "lines.txt").read_text()
    assert len(windows.test) == len((tmp_path / "lines.txt").read_text()) // 7
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.wav", np.full(10 * (number + 1), number / 8), 8000)
    (tmp_path / "lines.txt").unlink()
    sounds = load_data(tmp_path, window=10, mu_law=False, whole=True).test
    assert sounds.origin["file"].tolist() == [f"{n}.wav" for n in range(4) for _ in range(n + 1)]
    assert sounds.x[:, 0].mul(8).round().tolist() == [n for n in range(4) for _ in range(n + 1)]


def _write_clip(path: Path, frames: np.ndarray) -> None:
    first, *others = (Image.fromarray(frame) for frame in frames)
    first.save(path, save_all=True, append_images=others)


def test_animations_are_clips_of_all_their_frames(tmp_path: Path) -> None:
    clips = np.random.default_rng(0).choice([0, 255], (12, 3, 6, 5, 3)).astype(np.uint8)
    folder = tmp_path / "clips"
    folder.mkdir()
    for number, clip in enumerate(clips):
        _write_clip(folder / f"{number:02}.gif", clip)
    data = load_data(folder)
    assert data.event == Event((3, 3, 6, 5), Levels(256))
    found = {str(file): x for split in data.splits.values() for file, x in zip(split.origin["file"], split.x)}
    for number, clip in enumerate(clips):
        assert np.array_equal(found[f"{number:02}.gif"].numpy(), clip.transpose(0, 3, 1, 2))
    assert load_data(folder, grey=True).event == Event((3, 1, 6, 5), Levels(256))


def test_clips_of_different_lengths_are_cut_to_a_length_or_refused(tmp_path: Path) -> None:
    for number, length in enumerate((4, 4, 5, 4)):
        _write_clip(
            tmp_path / f"{number}.gif", np.random.default_rng(number).choice([0, 255], (length, 4, 4)).astype(np.uint8)
        )
    with pytest.raises(InputError, match=r"2.gif in .* has 5 frames, but 0.gif has 4; .* pass length= for as many"):
        load_data(tmp_path)
    with pytest.raises(InputError, match="has 5 frames, but 0.gif has 4"):
        load_data(tmp_path, length=9)
    with pytest.raises(InputError, match="length must be at least 1, got 0"):
        load_data(tmp_path, length=0)
    cut = load_data(tmp_path, length=2).splits
    assert {split.event for split in cut.values()} == {Event((2, 3, 4, 4), Levels(256))}
    (clip,) = [x for split in cut.values() for file, x in zip(split.origin["file"], split.x) if file == "2.gif"]
    expected = np.random.default_rng(2).choice([0, 255], (5, 4, 4)).astype(np.uint8)[:2]
    assert np.array_equal(clip.numpy(), np.repeat(expected[:, None], 3, 1))


def _write_frames(folder: Path, frames: np.ndarray, name: str = "frame{}.png") -> None:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / name.format(number))


def test_folders_of_frames_are_clips_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).integers(256, size=(8, 12, 6, 5, 3), dtype=np.uint8)
    folders = [
        *(f"train/run/{n}" for n in range(3)),
        *(f"train/walk/{n}" for n in range(3)),
        "test/run/9",
        "test/walk/9",
    ]
    for folder, frames in zip(folders, drawn):
        _write_frames(tmp_path / folder, frames)
    data = load_data(tmp_path, clips=True)
    assert data.event == Event((12, 3, 6, 5), Levels(256))
    assert data.classes == ("run", "walk")
    assert data.test.origin["file"].tolist() == folders[6:]
    assert data.test.y.tolist() == [0, 1]
    found = {str(file): x for split in data.splits.values() for file, x in zip(split.origin["file"], split.x)}
    for folder, frames in zip(folders, drawn):
        # frame2 comes before frame10.
        assert np.array_equal(found[folder].numpy(), frames.transpose(0, 3, 1, 2))
    alone = load_data(tmp_path / folders[0], clips=True, length=11, whole=True).test
    assert np.array_equal(alone.x[0].numpy(), drawn[0, :11].transpose(0, 3, 1, 2))
    assert alone.origin["file"].tolist() == ["0"]
    with pytest.warns(match="length= cuts clips, and these are images; folders of frames are clips with clips=True"):
        assert load_data(tmp_path, length=4).event == Event((3, 6, 5), Levels(256))


def test_frames_are_in_order_whatever_capitals_and_brackets_their_names_have(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).integers(256, size=(3, 4, 4), dtype=np.uint8)
    _write_frames(tmp_path / "clip", drawn[1:], name="Frame ({}).png")
    Image.fromarray(drawn[0]).save(tmp_path / "clip" / "frame.png")
    assert np.array_equal(load_data(tmp_path, clips=True, whole=True).test.x[0, :, 0].numpy(), drawn)


def test_frames_that_make_no_clips_are_refused(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).integers(256, size=(3, 4, 4, 4), dtype=np.uint8)
    for number, frames in enumerate(drawn):
        _write_frames(tmp_path / str(number), frames[: 4 - number])
    with pytest.raises(InputError, match=r"1 in .* has 3 frames, but 0 has 4; .* pass length="):
        load_data(tmp_path, clips=True)
    Image.fromarray(drawn[0, 0, :3]).save(tmp_path / "1" / "frame1.png")
    with pytest.raises(InputError, match=r"1/frame1.png in .* is 3x4 .*, but frame0.png is 4x4 .*pass size="):
        load_data(tmp_path, clips=True, length=2)
    _write_clip(tmp_path / "1" / "frame1.gif", drawn[0])
    with pytest.raises(InputError, match=r"1/frame1.gif in .* is an animation, .* leave clips= out"):
        load_data(tmp_path, clips=True, size=4, length=2)
    Image.fromarray(drawn[0, 0]).save(tmp_path / "poster.png")
    with pytest.raises(InputError, match="has poster.png beside folders of frames, such as 0; .* move it away"):
        load_data(tmp_path, clips=True)


def test_frames_are_laid_on_white_where_they_are_transparent(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).integers(256, size=(2, 4, 4, 4), dtype=np.uint8)
    _write_frames(tmp_path / "clip", drawn)
    (clip,) = load_data(tmp_path / "clip", clips=True, whole=True).test.x
    colours, alpha = drawn[..., :3].astype(float), drawn[..., 3:] / 255
    assert np.abs(clip.numpy().transpose(0, 2, 3, 1) - (colours * alpha + 255 * (1 - alpha))).max() <= 0.5
