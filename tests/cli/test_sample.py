"""Draws: as many as the disk holds, in the layout of the data, of classes and captions by their words."""

import re
import shlex
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

from ancestral.cli.runs import open_run
from ancestral.cli.writing import check_space, write_arrays, write_table
from ancestral.interface import InputError
from ancestral.persistence import read_config
from tests.data.data_files import write_spoken_digits
from tests.data.test_image_captions import SAID, images

pytestmark = pytest.mark.filterwarnings("ignore:.*training rows")


@pytest.fixture
def run(cli) -> str:
    assert cli("fit", "gaussian-mixture", "two-moons", "--model.components", 2, "--run-dir", "r").code == 0
    return "r"


def test_a_number_of_samples_in_every_form_is_the_same(cli, run: str) -> None:
    for output in ("s.csv", "s.npz", "s.parquet"):
        assert cli("sample", run, "-n", "6e2", "-o", output).out.startswith("600 samples")
    x = np.load("s.npz")["x"]
    assert x.shape == (600, 2)
    assert pd.read_csv("s.csv").to_numpy() == pytest.approx(x, rel=1e-6)
    assert np.array_equal(pd.read_parquet("s.parquet").to_numpy(), x)
    assert {path.name for path in Path().iterdir()} == {"r", "s.csv", "s.npz", "s.parquet"}


def test_more_than_there_is_room_for_is_refused(cli, run: str) -> None:
    before = sorted(Path().rglob("*"))
    for output in ("s.csv", "s.npz", "s.parquet"):
        done = cli("sample", run, "-n", "1e18", "-o", output)
        assert done.code == 1
        assert f"{output} would take at least" in done.err
        assert "left; draw fewer" in done.err
    assert "a picture holds at most 10,000 samples" in cli("sample", run, "-n", "1e11").err
    assert "expected a whole number of at least 1, got '1.5'" in cli("sample", run, "-n", "1.5").err
    assert sorted(Path().rglob("*")) == before
    check_space(Path("s.csv"), 1000)


def test_parts_are_written_with_constant_memory(tmp_path: Path) -> None:
    import torch

    parts = 400

    def draws() -> object:
        return (torch.randn(256, 8) for _ in range(parts))

    tracemalloc.start()
    write_arrays([("x", 256 * parts, draws)], tmp_path / "x.npz")
    write_table((pd.DataFrame(x.numpy()).add_prefix("x") for x in draws()), tmp_path / "x.csv")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.load(tmp_path / "x.npz")["x"].shape == (256 * parts, 8)
    assert len(pd.read_csv(tmp_path / "x.csv")) == 256 * parts
    assert peak < 0.5 * 256 * parts * 8 * 4


def test_what_fails_on_the_way_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("old")

    def failing() -> object:
        yield pd.DataFrame({"a": [1]})
        raise InputError("no more")

    with pytest.raises(InputError, match="no more"):
        write_table(failing(), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("shape", [(20, 6, 5), (20, 6, 5, 3)])
def test_images_are_given_back_with_their_axes(cli, shape: tuple[int, ...]) -> None:
    np.savez("images.npz", x=np.random.default_rng(0).integers(0, 9, shape, dtype=np.uint8), y=np.arange(20) % 2)
    small = ("--model.hidden", "[8]", "--model.latent_dim", 2, "--steps", 2, "--run-dir", "r")
    assert cli("fit", "vae", "images.npz", "--context", "labels", *small).code == 0
    assert cli("sample", "r", "-n", 7, "--class", "all", "-o", "x.npz").code == 0
    drawn = np.load("x.npz")
    assert drawn["x"].shape == (7, *shape[1:])
    assert drawn["y"].tolist() == [0, 1, 0, 1, 0, 1, 0]
    np.savez("back.npz", x=drawn["x"].astype(np.uint8), y=drawn["y"])
    assert cli("score", "r", "back.npz").code == 0
    assert len(pd.read_csv("scores.csv")) == 7


def test_classes_side_by_side_and_a_file_for_each(cli) -> None:
    small = ("--model.hidden", "[8]", "--model.latent_dim", 2, "--steps", 2, "--run-dir", "r")
    assert cli("fit", "vae", "digits", "--context", "labels", *small).code == 0
    assert "80 samples of vae of the classes " in cli("sample", "r", "--class", "all").out
    with Image.open("samples.png") as picture:
        assert picture.height > picture.width  # ten rows, eight columns
    assert cli("sample", "r", "--class", "all", "-n", 12, "-o", "many/").code == 0
    files = sorted(path.name for path in Path("many").iterdir())
    assert files == sorted(f"{i % 10}-{i:02}.png" for i in range(12))
    with Image.open("many/3-03.png") as picture:
        assert (picture.mode, picture.size) == ("L", (8, 8))
    assert "is there already" in cli("sample", "r", "--class", "all", "-o", "many/").err
    assert "a folder holds at most" in cli("sample", "r", "--class", "1", "-n", "1e9", "-o", "more/").err


def test_sounds_as_files(cli) -> None:
    Path("set").mkdir()
    for number in range(40):
        soundfile.write(f"set/{number}.wav", 0.1 * np.random.default_rng(number).normal(size=3), 8000)
    small = ("--data.mu_law", "false", "--model.components", 1, "--run-dir", "r")
    assert cli("fit", "gaussian-mixture", "set", *small).code == 0
    assert cli("sample", "r", "-n", 3, "-o", "drawn/").code == 0
    assert soundfile.info("drawn/2.wav").samplerate == 8000
    assert sorted(path.name for path in Path("drawn").iterdir()) == ["0.wav", "1.wav", "2.wav"]


def test_sounds_of_a_wavenet(cli) -> None:
    write_spoken_digits(Path("fsdd.zip"))
    small = ("--model.channels", 4, "--model.layers", 2, "--model.head", 8, "--steps", 2, "--run-dir", "r")
    data = ("fsdd", "--data-root", ".", "--data.window", 64)
    assert cli("fit", "wavenet", *data, "--context", "labels", *small).code == 0
    drawn = cli("sample", "r", "-n", 4, "--class", 3, "-o", "sounds.wav")
    assert drawn.out == "4 samples of wavenet of class 3 in sounds.wav\n"
    info = soundfile.info("sounds.wav")
    assert (info.samplerate, info.frames) == (8000, 4 * 64 + 3 * 2000)
    assert cli("sample", "r", "-n", 10, "--class", "all", "--length", 200, "-o", "many/").code == 0
    assert {path.name: soundfile.info(path).frames for path in Path("many").iterdir()} == {
        f"{i}-{i}.wav": 200 for i in range(10)
    }
    assert cli("sample", "r", "-n", 20, "--class", "all", "-o", "sounds.png").code == 0
    assert "--length: expected a whole number of at least 1" in cli("sample", "r", "--class", 1, "--length", 0).err
    factors = ("--context", "factors", "--overwrite")
    assert cli("fit", "wavenet", *data, *small, *factors).code == 0
    drawn = cli("sample", "r", "-n", 2, "--class", "3, bea", "--length", 9, "-o", "x.npz")
    assert drawn.out == "2 samples of wavenet of 3, bea in x.npz\n"
    assert np.load("x.npz")["x"].shape == (2, 9)
    assert "given the contexts of rows" in cli("sample", "r", "-n", 2, "--data-root", ".").out
    assert "the speaker in --class must be one of adam, bea, got cea" in cli("sample", "r", "--class", "3,cea").err
    assert "--class must name a value of digit and of speaker" in cli("sample", "r", "--class", 3).err


def test_a_length_or_a_sound_of_what_has_none_is_refused(cli, run: str) -> None:
    assert "has the length of its data; leave --length out" in cli("sample", run, "--length", 9).err
    assert "models no sounds; choose" in cli("sample", run, "-o", "x.wav").err


def test_captions_in_words(cli) -> None:
    small = ("--model.hidden", "[8]", "--model.latent_dim", 2, "--steps", 2, "--run-dir", "r")
    assert cli("fit", "vae", "shapes", "--data.n", 60, "--context", "captions", *small).code == 0
    words = read_config("r")["recipe"]["caption_vocabulary"]
    caption = " ".join(words[1:4])
    drawn = cli("sample", "r", "-n", 3, "--caption", caption, "-o", "x.npz")
    assert drawn.out == f"3 samples of vae given '{caption}' in x.npz\n"
    assert np.load("x.npz")["x"].shape == (3, 3, 32, 32)
    assert (
        f"--caption has 'zebra', but the known words are '{words[1]}'" in cli("sample", "r", "--caption", "zebra").err
    )
    assert "captions have at most" in cli("sample", "r", "--caption", " ".join([words[1]] * 99)).err


def test_scores_name_the_files_of_a_folder(cli) -> None:
    rng = np.random.default_rng(0)
    for number in range(60):
        folder = Path("set") / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (4 + number % 2, 5), dtype=np.uint8)).save(folder / f"{number:02}.png")
    how = ("--data.size", "[4, 4]", "--context", "labels")
    small = ("--model.hidden", "[8]", "--model.latent_dim", 2, "--steps", 2, "--run-dir", "r")
    assert cli("fit", "vae", "set", *how, *small).code == 0
    Path("new/b").mkdir(parents=True)
    Image.fromarray(rng.integers(0, 255, (9, 9), dtype=np.uint8)).save("new/b/x.png")
    # The size, and what the class b is, are the run's.
    assert cli("score", "r", "new").code == 0
    assert pd.read_csv("scores.csv")["file"].tolist() == ["b/x.png"]
    assert cli("encode", "r", "set").code == 0
    codes = np.load("codes.npz")
    assert codes["file"].tolist() == sorted(str(path.relative_to("set")) for path in Path("set").rglob("*.png"))
    assert codes["y"].tolist() == [0] * 30 + [1] * 30
    assert "n = 60" in cli("evaluate", "r", "set").out
    assert "--keep names columns of a table, which set is not" in cli("score", "r", "set", "--keep", "id").err


def test_videos_are_an_animation_or_a_picture_of_their_frames(cli, run: str) -> None:
    data = ("--data.source", "digits", "--data.n", 10, "--data.side", 4, "--data.frames", 2, "--data.digit_side", 3)
    assert cli("fit", "video-pixel-network", "moving-mnist", *data, "--steps", 1, "--run-dir", "v").code == 0
    assert cli("sample", "v", "-o", "s.gif").out.startswith("8 samples")
    with Image.open("s.gif") as gif:
        assert gif.n_frames <= 2  # a frame like the one before it is shown for longer
        assert gif.format == "GIF"
    assert cli("sample", "v", "-n", 3, "-o", "s.png").code == 0
    assert "models no videos; choose .png or .npz" in cli("sample", run, "-o", "r.gif").err


def test_several_colourings_of_one_grey_image(cli) -> None:
    x = np.random.default_rng(0).integers(0, 4, (40, 6, 5, 3), dtype=np.uint8)
    np.savez("images.npz", x=x)
    small = ("--model.channels", 4, "--model.blocks", 1, "--model.dilations", "[1]", "--model.components", 2)
    assert cli("fit", "colorizer", "images.npz", "--context", "grey", *small, "--steps", 2, "--run-dir", "r").code == 0
    drawn = cli("sample", "r", "-n", 3, "--each", 2)
    assert drawn.out == (
        "6 samples of colorizer, 2 each, given the contexts of rows of images.npz (test) in samples.png\n"
    )
    with Image.open("samples.png") as picture:
        assert picture.mode == "RGBA"
    assert cli("sample", "r", "-n", 3, "--each", 2, "-o", "x.npz").code == 0
    drawn = np.load("x.npz")["x"]
    assert drawn.shape == (6, 6, 5, 3)
    assert not np.array_equal(drawn[0], drawn[1])
    assert "--each: expected a whole number of at least 1, got '0'" in cli("sample", "r", "--each", 0).err
    assert "leave --class out" in cli("sample", "r", "--each", 2, "--class", 1).err


def test_ones_own_images_grey_or_not_are_coloured(cli) -> None:
    """Of grey pictures and of coloured ones with the same luma the same colourings; only the latter are beside them."""
    colours = np.random.default_rng(0).integers(0, 256, (20, 6, 5, 3), dtype=np.uint8)
    np.savez("images.npz", x=colours)
    small = ("--model.channels", 4, "--model.blocks", 1, "--model.dilations", "[1]", "--model.components", 2)
    assert (
        cli("fit", "colorizer", "images.npz", "--context", "grey:16", *small, "--steps", 2, "--run-dir", "r").code == 0
    )
    for folder, mode in (("own", "RGB"), ("grey", "L")):
        Path(folder).mkdir()
        for i, pixels in enumerate(colours[:2]):
            image = Image.fromarray(pixels)
            (image if mode == "RGB" else image.convert("L")).save(f"{folder}/{i}.png")
    drawn = {}
    for name in ("own", "grey"):
        done = cli("sample", "r", name, "-o", f"{name}.npz")
        assert done.out == f"8 samples of colorizer, 4 each, given the contexts of rows of {name} in {name}.npz\n", (
            done.err
        )
        drawn[name] = np.load(f"{name}.npz")["x"]
    np.testing.assert_array_equal(drawn["own"], drawn["grey"])
    given = np.load("own.npz")["given"]
    assert given.shape == (8, 1, 6, 5)
    assert np.array_equal(given[0], given[3])
    widths = []
    for name in ("own", "grey"):
        assert cli("sample", "r", name, "-o", f"{name}.png").code == 0
        with Image.open(f"{name}.png") as picture:
            widths.append(picture.width)
    assert widths[0] > widths[1]
    wide = cli("sample", "r", "grey", "--data.size", "[4,4]", "-o", "w.npz")
    assert "grey holds (1, 4, 4), 256 levels; --data.size [6,5] resizes them" in wide.err
    assert not Path("w.npz").exists()


def test_several_draws_of_what_is_given_nothing_are_refused(cli, run: str) -> None:
    assert "unconditional; DATA and --each are of models" in cli("sample", run, "--each", 2).err


def test_images_are_drawn_of_captions_in_the_words_of_ones_own(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    images(Path("dots"))
    images(Path("others"), said=[text.replace("red", "green") for text in SAID])
    small = ("--model.channels", 4, "--model.blocks", 0, "--model.head", 4, "--model.maps", 2, "--model.hidden", 2)
    data = ("dots", "--data.captions", "dots/captions.csv", "--context", "captions", "--data.size", 2)
    fitted = cli("fit", "text-to-image", *data, *small, "--steps", 1, "--run-dir", "r")
    printed = re.search(r"ancestral sample r --caption 'a (red|blue) dot' -n 64 -o samples.png", fitted.out)
    assert printed
    assert cli(*shlex.split(printed[0])[1:]).code == 0
    monkeypatch.chdir("others")  # the table is found from anywhere
    assert cli("sample", "../r", "-n", 2, "--caption", "A red dot, large", "-o", "x.npz").code == 0
    strange = cli("sample", "../r", "--caption", "a green dot")
    assert "has 'green' (did you mean" in strange.err
    assert "the known words are 'a', 'dot'" in strange.err
    assert "--caption has '!', but" in cli("sample", "../r", "--caption", "a red dot!").err
    assert cli("evaluate", "../r").code == 0
    other = cli("evaluate", "../r", "../others", "--data.captions", "captions.csv", "--data.size", 2)
    assert "the captions of others have the words 'green'" in other.err
    images(Path("fewer"), said=["blue, large"] * 12)
    fewer = cli("evaluate", "../r", "fewer", "--data.captions", "captions.csv", "--data.size", 2)
    assert (fewer.code, fewer.err) == (0, "")


def test_the_captions_of_a_run_are_of_its_own_files_alone(cli) -> None:
    for folder in ("dots/warm", "dots/cold", "warm"):
        images(Path(folder))
    said = pd.DataFrame({"file": [f"{part}/{i:02}.png" for part in ("warm", "cold") for i in range(12)]})
    said.assign(caption=["a sun"] * 12 + ["the snow"] * 12).to_csv("dots/all.csv", index=False)
    said[:12].assign(caption="a sun").to_csv("warm.csv", index=False)
    tiny = ("--model.hidden", "[4]", "--model.latent_dim", 2, "--epochs", 1, "--run-dir", "r")
    assert cli("fit", "vae", "dots", "--data.captions", "all.csv", "--context", "captions", *tiny).code == 0
    others = cli("score", "r", "warm", "-o", "x.csv")  # named as files of the run are
    assert "it has no captions: --data.captions CAPTIONS names a table of them" in others.err
    assert cli("score", "r", "warm", "--data.captions", "warm.csv", "-o", "x.csv").code == 0
    for part, caption in (("dots/warm", "a sun"), ("dots/cold/03.png", "the snow")):
        assert cli("score", "r", part, "-o", "x.csv").err == ""
        data = open_run("r").data(part, whole=True)
        assert {data.text(tokens) for tokens in data.test.context} == {caption}


def test_a_caption_is_checked_word_by_word(cli) -> None:
    small = ("--model.channels", 4, "--model.blocks", 0, "--model.head", 4, "--model.maps", 2, "--model.hidden", 2)
    data = ("shapes", "--data.n", 60, "--data.levels", 2, "--context", "captions")
    assert cli("fit", "text-to-image", *data, *small, "--steps", 1, "--run-dir", "r").code == 0
    drawn = cli("sample", "r", "-n", 1, "--caption", "a large red circle at the top left, rotated", "-o", "x.npz")
    assert drawn.code == 0
    for empty in ("", "  "):
        assert (
            "--caption is empty; write one of the words 'a', 'at', 'the'" in cli("sample", "r", "--caption", empty).err
        )
    assert "--caption has 'cirle' (did you mean 'circle'?)" in cli("sample", "r", "--caption", "a large cirle").err
