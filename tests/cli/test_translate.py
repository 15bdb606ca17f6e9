"""From two folders of images to translations, in two commands; and what is no translation."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ancestral as an
from ancestral.cli import main
from ancestral.persistence import load, read_config

#: Few images do for what is said of them.
pytestmark = pytest.mark.filterwarnings("ignore:.*up to chance")

_TINY = ("--steps", 2, "--model.channels", 2, "--model.blocks", 0, "--model.halvings", 1)


def write(folder: Path, n: int = 12, *, size: int = 8, **grounds: int) -> Path:
    """A folder of images for each domain, about one brightness."""
    noise = torch.Generator().manual_seed(0)
    for name, ground in grounds.items():
        (folder / name).mkdir(parents=True)
        for i in range(n):
            x = ground + torch.randint(-20, 20, (size, size, 3), generator=noise)
            Image.fromarray(x.numpy().astype(np.uint8)).save(folder / name / f"{name}{i:02}.png")
    return folder


def test_two_folders_to_translations(cli, tmp_path: Path) -> None:
    write(tmp_path / "times", day=200, night=40)
    fitted = cli("fit", "cyclegan", "times", *_TINY)
    assert fitted.code == 0, fitted.err
    assert "ancestral translate runs/times-cyclegan --to night" in fitted.out
    assert (tmp_path / "runs/times-cyclegan/translations-epoch-00001.png").is_file()
    assert read_config("runs/times-cyclegan")["settings"]["domains"] == ["day", "night"]
    model = load("runs/times-cyclegan")

    # Of both domains the other one is taken; a folder's files keep their names.
    done = cli("translate", "runs/times-cyclegan", "times", "--to", "night", "-o", "dark/")
    assert done.code == 0, done.err
    assert done.out.startswith("12 images of day as night in dark/; translated back they are off by")
    names = sorted(path.name for path in (tmp_path / "dark").iterdir())
    assert names == [f"day{i:02}.png" for i in range(12)]
    day = torch.from_numpy(np.array(Image.open("times/day/day03.png"))).permute(2, 0, 1)
    written = torch.from_numpy(np.array(Image.open("dark/day03.png"))).permute(2, 0, 1)
    assert torch.equal(model.translate(day[None], to="night")[0].to(torch.uint8), written)

    # Several files; and arrays hold what goes there and comes back.
    done = cli("translate", "runs/times-cyclegan", "times/day/day03.png", "times/day/day05.png", "--to", "night",
               "-o", "two.npz")  # fmt: skip
    assert done.code == 0, done.err
    arrays = np.load("two.npz")
    assert {name: array.shape for name, array in arrays.items()} == dict.fromkeys(
        ("x", "original", "back"), (2, 3, 8, 8)
    )
    assert np.array_equal(arrays["x"][0], written.numpy())
    there = torch.from_numpy(arrays["x"])
    assert np.array_equal(model.translate(there, to="day").detach().numpy(), arrays["back"])

    # Without images those of the test split, as a picture.
    shown = cli("translate", "runs/times-cyclegan", "--to", "day")
    assert shown.out.startswith("1 image of night as day in translations.png")
    assert Path("translations.png").is_file()

    for arguments, said in (
        (("--to", "dusk"), "--to must be one of the domains of runs/times-cyclegan, day or night, got dusk"),
        ((), "--to must be one of the domains"),
        (("times/day", "--to", "night", "-o", "times/day"), "must end in .png or .npz"),
        (("--to", "night", "-n", 0), "-n/--number: expected a whole number of at least 1"),
    ):
        refused = cli("translate", "runs/times-cyclegan", *arguments)
        assert refused.code != 0
        assert said in refused.err
    measured = cli("evaluate", "runs/times-cyclegan")
    assert "does not know which rows of its domains are pairs" in measured.err


@pytest.mark.filterwarnings("always:.*bears the name")
def test_files_of_one_name_keep_their_folders_and_a_folder_of_the_wrong_domain_is_said(cli, tmp_path: Path) -> None:
    write(tmp_path / "times", day=200, night=40)
    assert cli("fit", "cyclegan", "times", *_TINY, "--run-dir", "r").code == 0
    for place in ("one", "two"):
        write(tmp_path / place, 2, day=200)
    done = cli("translate", "r", "one/day", "two/day", "--to", "night", "-o", "out/")
    assert done.code == 0, done.err
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"{place}-day-day{i:02}.png" for place in ("one", "two") for i in range(2)]
    done = cli("translate", "r", "one/day", "--to", "day", "-o", "x.png")
    assert "one/day bears the name of the domain to translate to; its images are taken for night" in done.err


def test_a_twin_is_measured_by_the_pairs_that_training_did_not_see(cli, tmp_path: Path) -> None:
    fitted = cli("fit", "cyclegan", "digits", "--data.twin", "inverted", *_TINY)
    assert fitted.code == 0, fitted.err
    scores = json.loads(Path("runs/digits-cyclegan/config.json").read_text())["scores"]
    assert scores["alignment"]["candidates"] == 180
    evaluated = cli("evaluate", "runs/digits-cyclegan")
    assert f"{100 * scores['alignment']['error']:.1f} ± " in evaluated.out
    shown = cli("translate", "runs/digits-cyclegan", "--to", "inverted", "-n", 5, "-o", "five.npz")
    assert shown.out.startswith("5 images of original as inverted")
    original = np.load("five.npz")["original"]
    assert np.array_equal(original, an.load_data("digits").test.x[:5].numpy())


@pytest.mark.parametrize(
    ("grounds", "said"),
    [
        ({"day": 200}, "learns from two domains, which times does not have; put them in folders, one for each"),
        ({"day": 200, "dusk": 90, "night": 40}, "take two of its classes, day, dusk, night, as --data.domains [...]"),
    ],
)
def test_one_domain_or_three(cli, tmp_path: Path, grounds: dict[str, int], said: str) -> None:
    write(tmp_path / "times", **grounds)
    refused = cli("fit", "cyclegan", "times", *_TINY)
    assert refused.code == main.FAILURE
    assert said in refused.err
    assert not (tmp_path / "runs").exists()


def test_domains_of_different_sizes_or_modes_or_without_images(cli, tmp_path: Path) -> None:
    write(tmp_path / "a", day=200)
    write(tmp_path / "a", size=9, night=40)
    assert "images must have one size and mode" in cli("fit", "cyclegan", "a", *_TINY).err
    write(tmp_path / "b", day=200, night=40)
    for path in (tmp_path / "b" / "night").iterdir():
        Image.open(path).convert("L").save(path)
    assert "images must have one size and mode" in cli("fit", "cyclegan", "b", *_TINY).err
    (tmp_path / "c" / "day").mkdir(parents=True)
    (tmp_path / "c" / "night").mkdir()
    assert "/c is empty; expected" in cli("fit", "cyclegan", "c", *_TINY).err
    assert not (tmp_path / "runs").exists()


def test_other_models_do_not_translate(cli) -> None:
    cli("fit", "gan", "digits", "--steps", 1)
    assert "gan does not translate: it is no Translator" in cli("translate", "runs/digits-gan", "--to", "b").err
