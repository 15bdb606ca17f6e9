"""Parts of images, sequences and clips that are hidden and filled in: what is written, and what is said of it."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from matplotlib.figure import Figure
from PIL import Image

from ancestral.cli import complete
from ancestral.evaluation import filled_in
from ancestral.interface import Binary, Categories, Event, Levels, Real
from ancestral.models.autoregressive.made import MADE
from ancestral.models.autoregressive.multiscale_pixelcnn import MultiscalePixelCNN
from ancestral.models.linear.probabilistic_pca import ProbabilisticPCA
from ancestral.models.variational.vae import VAE
from ancestral.mu_law import mu_law_decode
from ancestral.persistence import save
from ancestral.plots import save_animation, save_images

pytestmark = pytest.mark.filterwarnings("ignore:.*training rows")
EVENT = Event((1, 4, 4), Levels(5))
LABELS = Event((), Categories(3))
NAMES = ["ape", "bee", "cat"]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """What the command draws; no picture is written."""
    drawn: list[Figure] = []
    monkeypatch.setattr(complete, "save_figure", lambda figure, path: drawn.append(figure))
    return drawn


@pytest.fixture
def images(cli) -> torch.Tensor:
    """Twelve images in data.npz with their classes, and runs of models of them: made, told (a class) and vae."""
    x = torch.randint(5, (12, 1, 4, 4))
    np.savez("data.npz", x=x.numpy(), y=np.array(NAMES)[np.arange(12) % 3])
    recipe = {"data": {"name": "data.npz"}, "classes": NAMES}
    save(MADE(EVENT, hidden=[8]), "made", recipe=recipe)
    save(MADE(EVENT, context_event=LABELS, hidden=[8]), "told", recipe=recipe)
    save(VAE(EVENT, latent_dim=2, hidden=[8]), "vae", recipe=recipe)
    return x


def test_completions_of_rows_of_data_keep_what_is_kept(cli, images: torch.Tensor) -> None:
    """A flagless run would take the test split of the training data; a named file is taken in whole."""
    done = cli("complete", "made", "data.npz", "--keep", "top-half", "-n", 3, "--completions", 4, "-o", "x.npz")
    assert done.out == (
        "4 completions of each of 3 images with top-half kept (8 of 16 values) in x.npz: each a draw of"
        " p(missing | observed), exactly: what is observed comes first in the model's order\n"
    ), done.err
    found = np.load("x.npz")
    assert found["x"].shape == (3, 4, 1, 4, 4)
    assert found["x"].dtype.kind == "i"
    assert np.array_equal(found["original"], images[:3].numpy())
    assert found["observed"][:, :, :2].all()
    assert not found["observed"][:, :, 2:].any()
    assert (found["x"][:, :, :, :2] == images[:3, None, :, :2].numpy()).all()
    below = found["x"][:, :, :, 2:].reshape(12, 8)
    assert len(np.unique(below, axis=0)) == 12
    assert (below >= 0).all() & (below < 5).all()
    again = cli("complete", "made", "data.npz", "--keep", "top-half", "-n", 3, "--completions", 4, "-o", "y.npz")
    assert again.code == 0
    assert np.array_equal(np.load("y.npz")["x"], found["x"])


def test_a_picture_of_each_image_beside_its_completions(cli, images: torch.Tensor, figures: list[Figure]) -> None:
    assert cli("complete", "made", "--keep", "bottom:3", "--data-root", ".").code == 0  # its one test row
    done = cli("complete", "made", "data.npz", "--keep", "bottom:3")
    assert done.out == (
        "6 completions of each of 8 images with bottom:3 kept (12 of 16 values) in completed.png: each a draw in the"
        " model's order, which follows what is observed before it and does not look ahead to the rest: not an exact"
        " draw of p(missing | observed)\n"
    )
    words = [text.get_text() for text in figures[-1].texts]
    assert words[:-1] == ["original", "observed", "1", "2", "3", "4", "5", "6"]
    said = done.out.split("images")[1].replace(" in completed.png", "").strip()
    assert " ".join(words[-1].split()) == f"made {said}"
    grid = np.asarray(figures[-1].axes[0].images[0].get_array())
    scale = len(grid) // (8 * 5 + 1)
    first = grid[scale : 5 * scale : scale, scale : 5 * scale : scale, 0]
    assert np.allclose(first, images[0, 0] / 4)
    chosen = cli("complete", "made", "data.npz", "--keep", "bottom:3", "--draws", 7, "-n", 2).out
    assert "by importance resampling of 7 completions" in chosen
    cold = cli("complete", "made", "data.npz", "--keep", "top-half", "--temperature", 0.5).out
    assert "sharpened by the temperature 0.5" in cold
    assert "by a Markov chain" in cli("complete", "vae", "data.npz", "--keep", "centre").out
    mean = cli("complete", "vae", "data.npz", "--keep", "outside:2", "--fill", "mean", "--draws", 3)
    assert mean.out.startswith("1 completion of each of 8 images")
    assert "means of 3 draws" in mean.out
    assert [text.get_text() for text in figures[-1].texts][2] == "mean"


def test_image_files_and_a_mask_as_a_picture(cli, images: torch.Tensor) -> None:
    """What `sample` writes into a folder, a file each, is taken back: fewer levels than 256 are spread in it."""
    save_images(images, EVENT, "set")
    mask = np.zeros((4, 4), dtype=np.uint8)
    mask[1:3, 1:3] = 255
    Image.fromarray(mask).save("mask.png")
    done = cli("complete", "made", "set/03.png", "set/07.png", "--mask", "mask.png", "-o", "x.npz")
    assert "6 completions of each of 2 images with the white of mask.png kept (4 of 16 values)" in done.out, done.err
    found = np.load("x.npz")
    assert np.array_equal(found["original"], images[[3, 7]].numpy())
    assert (found["x"][..., 1:3, 1:3] == images[[3, 7], None, :, 1:3, 1:3].numpy()).all()
    assert "8 images" in cli("complete", "made", "set", "--mask", "mask.png").out
    with Image.open("completed.png") as picture:
        assert picture.width > 100
    one = cli("complete", "made", "set/03.png", "--keep", "left-half", "-o", "one.png")
    assert one.out.startswith("6 completions of 1 image with left-half kept")
    # A name after a flag is one of them, too.
    late = cli("complete", "made", "--keep", "left-half", "set/03.png", "set/04.png", "set/05.png")
    assert "each of 3 images" in late.out, late.err


def test_a_class_by_its_name_or_every_class_in_turn(
    cli, images: torch.Tensor, figures: list[Figure], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_images(images, EVENT, "set")
    told = cli("complete", "told", "set/00.png", "--keep", "top:1", "--class", "bee", "-o", "x.npz")
    assert "6 completions of 1 image as class bee with top:1 kept" in told.out, told.err
    assert np.load("x.npz")["y"].tolist() == [1] * 6
    every = cli("complete", "told", "set/00.png", "--keep", "top:1", "--class", "all")
    assert "3 completions of 1 image as each class in turn with top:1 kept" in every.out
    assert [text.get_text() for text in figures[-1].texts][2:5] == NAMES
    contexts = []

    def told_what(model: MADE, x: torch.Tensor, **how: object) -> torch.Tensor:
        contexts.append(how["context"].tolist())
        return filled_in(model, x, **how)

    monkeypatch.setattr(complete, "filled_in", told_what)
    assert cli("complete", "told", "data.npz", "--keep", "top:1", "--class", "all", "-n", 2, "-o", "x.npz").code == 0
    assert np.load("x.npz")["x"].shape == (2, 3, 1, 4, 4)
    # The rows' own labels, where there are any.
    own = cli("complete", "told", "data.npz", "--keep", "top:1", "--completions", 2, "-n", 4)
    assert own.out.startswith("2 completions of each of 4 images with")
    assert contexts == [[0, 0, 1, 1, 2, 2], [0, 1, 2, 0] * 2]
    assert (
        "conditional on a class, ape, bee, cat; say which with --class"
        in cli("complete", "told", "set/00.png", "--keep", "top:1").err
    )
    assert (
        "--class must be one of ape, bee, cat, got bea (did you mean 'bee'?)"
        in cli("complete", "told", "set/00.png", "--keep", "top:1", "--class", "bea").err
    )
    assert "made is unconditional" in cli("complete", "made", "set/00.png", "--keep", "top:1", "--class", "bee").err


def test_time_of_sequences_and_frames_of_clips(cli, figures: list[Figure]) -> None:
    """A mask is a property of the event's axes, whatever the model."""
    for name, shape, part, kept in (("wave", (70,), "first:0.5", 35), ("clip", (3, 1, 2, 2), "first:2", 8)):
        event = Event(shape, Real())
        rows = np.random.default_rng(0).normal(size=(9, *shape)).astype(np.float32)
        np.savez(f"{name}.npz", x=rows)
        save(ProbabilisticPCA(event, latent_dim=1), name, recipe={"data": {"name": f"{name}.npz"}})
        noun = "sequence" if name == "wave" else "clip"
        done = cli("complete", name, f"{name}.npz", "--keep", part, "-n", 2)
        assert f"6 completions of each of 2 {noun}s with {part} kept ({kept} of {event.size} values)" in done.out, (
            done.err
        )
        assert done.out.endswith("each a draw of p(missing | observed), exactly\n")
        assert cli("complete", name, f"{name}.npz", "--keep", part, "-o", "x.npz").code == 0
        assert np.load("x.npz")["x"].shape == (8, 6, *shape)
    assert len(figures) == 2


def test_clips_move_and_sounds_sound_beside_their_completions(cli) -> None:
    clip = Event((3, 1, 4, 4), Binary())
    x = torch.randint(2, (2, *clip.shape))
    np.save("clips.npy", x.numpy())
    save(MADE(clip, hidden=[4]), "film")
    done = cli("complete", "film", "clips.npy", "--keep", "first:2", "--completions", 2, "-o", "x.gif")
    assert done.code == 0, done.err
    assert cli("complete", "film", "clips.npy", "--keep", "first:2", "--completions", 2, "-o", "x.npz").code == 0
    drawn = torch.from_numpy(np.load("x.npz")["x"])
    save_animation(torch.cat([x[:, None], drawn], 1).flatten(0, 1), clip, "y.gif", columns=3)
    assert Path("x.gif").read_bytes() == Path("y.gif").read_bytes()
    assert (
        "models no sounds; choose .png or .npz"
        in cli("complete", "film", "clips.npy", "--keep", "first:2", "-o", "x.wav").err
    )

    sound = Event((40,), Levels(256))
    waves = torch.randint(256, (2, 40))
    np.save("waves.npy", waves.numpy())
    save(MADE(sound, hidden=[4]), "voice", recipe={"sample_rate": 8000})
    done = cli("complete", "voice", "waves.npy", "--keep", "first-half", "--completions", 2, "-o", "x.wav")
    assert done.code == 0, done.err
    heard, rate = soundfile.read("x.wav")
    assert rate == 8000
    assert len(heard) == 6 * 2040 - 2000  # a quarter of a second between them
    for row, start in enumerate((0, 3 * 2040)):
        original = mu_law_decode(waves[row]).numpy()
        np.testing.assert_allclose(heard[start : start + 40], original, atol=1e-4)
        for completion in (1, 2):
            begin = start + completion * 2040
            np.testing.assert_allclose(heard[begin : begin + 20], original[:20], atol=1e-4)
            assert not np.allclose(heard[begin + 20 : begin + 40], original[20:], atol=1e-4)
    assert (
        "models no clips; choose .png or .npz"
        in cli("complete", "voice", "waves.npy", "--keep", "first", "-o", "x.gif").err
    )


def test_arrays_with_holes_have_pictures_too(cli, images: torch.Tensor, figures: list[Figure]) -> None:
    holes = images.float()
    holes[:, :, 0, ::2] = torch.nan
    np.save("holes.npy", holes.numpy())
    done = cli("complete", "made", "holes.npy", "-o", "x.npz", "--draws", 5)
    assert done.out.startswith(
        "24 empty cells in 12 rows filled in, in x.npz: a draw of p(missing | observed), by import"
    )
    filled = np.load("x.npz")["x"]
    assert filled.shape == (12, 1, 4, 4)
    assert np.array_equal(filled[:, :, 1:], images[:, :, 1:].numpy())
    assert cli("complete", "made", "holes.npy", "-n", 2, "--completions", 3, "-o", "x.png", "--draws", 5).code == 0
    assert [text.get_text() for text in figures[-1].texts][:4] == ["observed", "1", "2", "3"]
    # A part may be hidden of them besides.
    assert "(12 of 16 values)" in cli("complete", "made", "holes.npy", "--keep", "bottom:3").out


def test_texts_go_on_as_they_begin(cli) -> None:
    Path("t.txt").write_text("a b a b\n" * 20)
    small = ("--data.tokens", "words", "--model.hidden", "[8]", "--steps", 2, "--run-dir", "r")
    assert cli("fit", "made", "t.txt", *small).code == 0
    done = cli("complete", "r", "t.txt", "--keep", "first:3", "--completions", 5, "-n", 2, "-o", "more.txt")
    assert "5 completions of each of 2 sequences with first:3 kept (3 of 4 values)" in done.out, done.err
    lines = Path("more.txt").read_text().splitlines()
    assert len(lines) == 10
    assert all(line.startswith("a b a") for line in lines)


WRONG = {
    "no rows": ((), 2, "or say by --keep which part of whole images, sequences or clips stays"),
    "two masks": (("data.npz", "--keep", "top", "--mask", "mask.png"), 2, "give one of them"),
    "nothing empty": (("data.npz",), 1, "data.npz has no empty cell (NaN): there is nothing to fill in"),
    "part": (("data.npz", "--keep", "topp"), 1, "did you mean 'top'?"),
    "mask's size": (("data.npz", "--mask", "wide.png"), 1, "the mask wide.png is 4x8 pixels (height x width)"),
    "no mask": (("data.npz", "--mask", "mask.png"), 1, "there is no mask 'mask.png'"),
    "over the mask": (("data.npz", "--mask", "wide.png", "-o", "wide.png"), 1, "write to another file"),
    "image's size": (("wide.png", "--keep", "top"), 1, "--data.size [4,4] resizes them"),
    "colours": (("rgb.png", "--keep", "top"), 1, "--data.grey true takes them as grey"),
    "one missing file": (("data.npz", "none.png", "--keep", "top"), 1, "no file or folder 'none.png'"),
    "empty folder": (("empty", "--keep", "top"), 1, "empty is empty; expected"),
    "suffix": (("data.npz", "--keep", "top", "-o", "x.jpg"), 1, "must end in .png, .gif"),
    "suffix in capitals": (("data.npz", "--keep", "top", "-o", "x.PNG"), 1, "must end in .png, .gif"),
    "table's suffix": (("data.npz", "--keep", "top", "-o", "x.csv"), 1, "is no table with the columns of made; choose"),
    "text's suffix": (("data.npz", "--keep", "top", "-o", "x.txt"), 1, "models no text; choose .png or .npz"),
    "number": (("data.npz", "--keep", "top", "-n", 0), 2, "a whole number of at least 1, got '0'"),
    "completions": (("data.npz", "--keep", "top", "--completions", 0), 2, "--completions: expected a whole"),
    "two means": (("data.npz", "--keep", "top", "--fill", "mean", "--completions", 2), 1, "there is one mean"),
    "temperature": (("data.npz", "--keep", "top", "--temperature", 0), 1, "--temperature must be a finite number"),
    "cold choice": (("data.npz", "--keep", "top", "--temperature", 2, "--draws", 9), 1, "2.0 sharpens single draws"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_command_lines_teach_in_one_line_and_leave_nothing(cli, images: torch.Tensor, name: str) -> None:
    words, code, said = WRONG[name]
    Image.fromarray(np.eye(4, 8, dtype=np.uint8) * 255).save("wide.png")
    Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save("rgb.png")
    Path("empty").mkdir()
    before = sorted(Path().rglob("*"))
    done = cli("complete", "made", *words)
    assert (done.code, said in done.err) == (code, True), done.err
    assert len(done.err.splitlines()) == 1
    assert sorted(Path().rglob("*")) == before


@pytest.mark.filterwarnings("always:pixels of")
def test_what_real_numbers_a_picture_means_is_doubted(cli, images: torch.Tensor) -> None:
    save_images(images, EVENT, "set")
    np.savez("real.npz", x=np.random.default_rng(0).normal(size=(9, 1, 4, 4)).astype(np.float32))
    save(ProbabilisticPCA(Event((1, 4, 4), Real()), latent_dim=1), "ppca", recipe={"data": {"name": "real.npz"}})
    done = cli("complete", "ppca", "set/00.png", "--keep", "top")
    assert done.code == 0
    assert "pixels of 00.png are taken as the real numbers 0 to 255" in done.err
    assert cli("complete", "ppca", "real.npz", "--keep", "top").err == ""


def test_a_dequantized_model_says_how_it_could(cli) -> None:
    assert cli("fit", "ppca", "digits", "--model.latent_dim", 2, "--run-dir", "r").code == 0
    assert "fills in real numbers alone; fit it with `--support real`" in cli("complete", "r", "--keep", "top").err


def test_sampling_and_scoring_of_such_runs(cli, images: torch.Tensor) -> None:
    """At the least temperatures all draws are the likeliest; an image file is scored like any other row."""
    cold = cli("sample", "made", "-n", 5, "--temperature", 1e-6, "-o", "x.npz")
    assert cold.out == "5 samples of made at the temperature 1e-06 in x.npz\n", cold.err
    assert len(np.unique(np.load("x.npz")["x"], axis=0)) == 1
    assert (
        "--temperature is of autoregressive models, and vae is none" in cli("sample", "vae", "--temperature", 0.5).err
    )
    save_images(images, EVENT, "set")
    assert cli("score", "made", "set/03.png").out.startswith("1 log-likelihood in scores.csv")
    assert "images and sounds have the labels of their folders" in cli("score", "told", "set/03.png").err
    # Arrays may lack the axis of colour.
    np.save("plain.npy", images[:, 0].numpy())
    assert cli("score", "made", "plain.npy").out.startswith("12 log-likelihoods")


def test_clips_go_on_after_their_first_frames(cli) -> None:
    """A video model draws what follows, beside the true continuation; clips of other lengths are refused first."""
    small = ("--model.channels", 4, "--model.dilations", "[1]", "--model.blocks", 1, "--model.decoder", "pixelcnn")
    clips = np.random.default_rng(0).integers(0, 2, (20, 4, 5, 5), dtype=np.uint8)
    np.savez("clips.npz", x=clips[:, :, None])
    fitted = cli("fit", "video-pixel-network", "clips.npz", *small, "--steps", 1, "--run-dir", "r")
    assert "ancestral sample r -n 8 -o samples.gif" in fitted.out
    done = cli("complete", "r", "clips.npz", "--keep", "first:2", "-n", 3, "--completions", 2, "-o", "x.npz")
    assert done.code == 0, done.err
    assert "2 completions of each of 3 clips with first:2 kept (50 of 100 values)" in done.out
    assert "exactly: what is observed comes first in the model's order" in done.out
    found = np.load("x.npz")
    assert found["x"].shape == (3, 2, 4, 1, 5, 5)
    assert np.array_equal(found["original"], clips[:3, :, None])
    assert np.array_equal(found["x"][:, 0, :2], clips[:3, :2, None])
    assert cli("complete", "r", "--keep", "first:2", "-n", 3, "--completions", 2, "-o", "x.gif").code == 0
    with Image.open("x.gif") as animation:
        assert animation.n_frames == 4
    # Where these frames are all there is, they go on as well, beside no original.
    np.savez("begun.npz", x=clips[:3, :2, None])
    assert cli("complete", "r", "begun.npz", "--keep", "first:2", "--completions", 2, "-o", "y.npz").code == 0
    assert np.array_equal(np.load("y.npz")["x"], found["x"])
    assert cli("complete", "r", "begun.npz", "--keep", "first:2", "--completions", 2, "-o", "y.gif").code == 0
    with Image.open("x.gif") as beside, Image.open("y.gif") as alone:
        assert alone.n_frames == 4
        assert alone.width < beside.width
    Path("y.gif").unlink()
    before = sorted(Path().rglob("*"))
    np.savez("short.npz", x=clips[:, :3, None])
    for number, length in enumerate((3, 4)):
        Path("folder").mkdir(exist_ok=True)
        first, *others = (Image.fromarray(255 * frame) for frame in clips[number, :length])
        first.save(f"folder/{number}.gif", save_all=True, append_images=others)
    for data, words in (("short.npz", "but short.npz holds"), ("folder", "clips must be of one length")):
        assert words in cli("complete", "r", data, "--keep", "first:2", "-o", "y.gif").err
    assert words in cli("fit", "video-pixel-network", "folder", *small, "--steps", 1, "--run-dir", "s").err
    assert set(Path().rglob("*")) - set(before) == {
        Path("short.npz"),
        Path("folder"),
        Path("folder/0.gif"),
        Path("folder/1.gif"),
    }


def test_a_context_encoder_fills_a_hole_by_one_prediction(cli) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    np.savez("images.npz", x=images)
    small = ("--model.channels", 4, "--model.region", "centre", "--steps", 1, "--run-dir", "r")
    assert cli("fit", "context-encoder", "images.npz", *small).code == 0
    done = cli("complete", "r", "--keep", "outside", "-n", 2, "-o", "x.npz")
    assert "1 completion of each of 2 images with outside kept" in done.out
    assert "no draw of p(missing | observed): filled in as one prediction" in done.out
    assert np.load("x.npz")["x"].shape == (2, 1, 8, 8, 3)
    assert cli("complete", "r", "--keep", "outside", "-n", 2).code == 0
    assert "there is one prediction of each row, not 3" in cli("complete", "r", "--keep", "top", "--completions", 3).err


def test_images_of_less_resolution_are_drawn_up_exactly_by_a_multiscale_model(cli, images: torch.Tensor) -> None:
    save(MultiscalePixelCNN(EVENT, channels=4, blocks=1, base_channels=4, base_blocks=1, head=8), "multiscale")
    np.save("low.npy", images[:3, :, ::2, ::2].numpy())
    for data, sub_sampled in (("data.npz", False), ("low.npy", True)):
        done = cli("complete", "multiscale", data, "--keep", "every:2", "-n", 3, "--completions", 2, "-o", "up.npz")
        assert done.out == (
            "2 completions of each of 3 images with every:2 kept (4 of 16 values) in up.npz: each a draw of"
            " p(missing | observed), exactly: what is observed comes first in the model's order\n"
        ), done.err
        found = np.load("up.npz")
        assert (found["x"][..., ::2, ::2] == images[:3, None, :, ::2, ::2].numpy()).all()
        assert np.isnan(found["original"]).sum() == (36 if sub_sampled else 0)
        first = found["x"] if not sub_sampled else first
        assert np.array_equal(found["x"], first)
    assert cli("complete", "multiscale", "low.npy", "--keep", "every:2", "-o", "up.png").code == 0
    named = "models (1, 4, 4), 5 levels (here (1, 2, 4) will do, too), but low.npy holds (1, 2, 2), 5 levels"
    assert named in cli("complete", "multiscale", "low.npy", "--keep", "top").err
