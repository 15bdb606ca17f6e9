"""Pictures of a latent space from the command line: what they show, and what is said where there is none."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from ancestral import registry
from ancestral.cli import analogies, interpolate, manifold, sample, traverse
from ancestral.persistence import load, save
from tests.evaluation.styled_classes import CLASSES, StyledClasses, rows

pytestmark = pytest.mark.filterwarnings("ignore:.*training rows", "ignore:.*rows to")
TINY = ("--steps", 2, "--model.hidden", "[8]", "--run-dir", "r")


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """What the commands draw; nothing is written."""
    drawn: list[Figure] = []
    for module in (interpolate, traverse, manifold, analogies, sample):
        monkeypatch.setattr(module, "save_figure", lambda figure, path: drawn.append(figure))
    return drawn


@pytest.fixture
def styled(monkeypatch: pytest.MonkeyPatch, cli) -> str:
    """A run of a model whose class is a latent, on images with classes of their own names."""
    registry.list_models()  # found before the copy, not into it
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    registered = registry.register("styled_classes")(StyledClasses)
    x, y = rows(60)
    np.savez("data.npz", x=x.numpy(), y=np.array(["ape", "bee", "cat"])[y])
    model = registered(StyledClasses().event)
    save(model, "styled", recipe={"data": {"name": "data.npz"}, "classes": ["ape", "bee", "cat"]})
    return "styled"


def pixels(figure: Figure) -> np.ndarray:
    return np.asarray(figure.axes[0].images[0].get_array())[..., 0]


def test_a_manifold_of_two_latents_is_its_decoded_quantiles(cli, figures: list[Figure]) -> None:
    assert cli("fit", "vae", "digits", "--model.latent_dim", 2, *TINY).code == 0
    said = cli("manifold", "r", "--side", 5).out
    assert said == (
        "5 x 5 decoded means over axis 0 (to the right) and axis 1 (upwards), from -1.28 to 1.28 standard deviations,"
        " in manifold.png\n"
    )
    (figure,) = figures
    names = [text.get_text() for text in figure.texts]
    assert names == ["1.3", "0.52", "0", "-0.52", "-1.3", "-1.3", "-0.52", "0", "0.52", "1.3"]
    model = load("r")
    corner = model.decode_mean(torch.tensor([[-1.2815516, 1.2815516]])).detach()[0, 0] / 16
    shown = pixels(figure)
    scale = 7
    assert np.allclose(shown[scale : 9 * scale : scale, scale : 9 * scale : scale], corner.numpy(), atol=1e-4)


def test_of_more_latents_two_are_asked_for_and_one_at_a_time_is_offered(cli, figures: list[Figure]) -> None:
    assert cli("fit", "vae", "digits", "--model.latent_dim", 5, *TINY).code == 0
    refused = cli("manifold", "r")
    assert refused.code == 1
    two = re.search(r"has 5 latent dimensions, and a plane takes two: choose them, as --axes (\d,\d)", refused.err)
    assert two is not None
    assert "`ancestral traverse r`" in refused.err
    assert "the others those of row 3" in cli("manifold", "r", "--axes", two[1], "--side", 3, "--row", 3).out
    traversed = cli("traverse", "r", "-n", 3, "--steps", 4)
    assert "3 of 5 latent dimensions from -3 to 3 standard deviations, the others those of row 0" in traversed.out
    used = [float(value) for value in re.findall(r"\((\d[^)]*)\)", traversed.out)]
    assert len(used) == 3
    assert used == sorted(used, reverse=True)
    chosen = cli("traverse", "r", "--axes", "4,0", "--steps", 3)
    assert [text.get_text() for text in figures[-1].texts] == ["axis 4", "axis 0", "-3", "0", "3"]
    assert len(chosen.out.splitlines()) == 1
    for wrong in ("0,5", "1,1", "-1,2", "a,b", ""):
        assert "--axes must be different numbers from 0 to 4" in cli("traverse", "r", f"--axes={wrong}").err
    assert "--axes takes two dimensions" in cli("manifold", "r", "--axes", "1,2,3").err
    assert "--row must be below the 180 rows" in cli("traverse", "r", "--row", 1000).err


def test_a_spherical_walk_is_another_way_between_the_same_ends(cli, figures: list[Figure]) -> None:
    assert cli("fit", "ppca", "wine", "--model.latent_dim", 3, "--run-dir", "r").code == 0
    assert "4 linear walks of 5 steps between observations" in cli("interpolate", "r", "-n", 4, "--steps", 5).out
    assert "4 spherical walks" in cli("interpolate", "r", "-n", 4, "--steps", 5, "--path", "spherical").out
    straight, turned = (np.stack([line.get_ydata() for line in figure.axes[0].get_lines()]) for figure in figures)
    assert np.allclose(straight[:, [0, -1]], turned[:, [0, -1]])
    assert np.allclose(straight, np.linspace(straight[:, 0], straight[:, -1], 5).T)  # PPCA decodes linearly
    assert not np.allclose(straight, turned)
    assert "choose from 'linear', 'spherical'" in cli("interpolate", "r", "--path", "round").err


def test_a_plane_of_a_table_is_a_panel_a_column(cli, figures: list[Figure]) -> None:
    assert cli("fit", "ppca", "wine", "--model.latent_dim", 2, "--run-dir", "r").code == 0
    assert cli("manifold", "r", "--side", 6).code == 0
    panels = [axes for axes in figures[-1].axes if axes.get_title()]
    assert panels[0].get_title() == "alcohol"
    alcohol = panels[0].collections[0].get_array().reshape(6, 6)
    # PPCA is linear: the middle of the plane is its mean, and all rows of it rise alike.
    origin = float(load("r").decode_mean(torch.zeros(1, 2, dtype=torch.float64))[0, 0])
    assert alcohol.mean() == pytest.approx(origin, rel=1e-5)
    assert np.allclose(np.diff(alcohol), np.diff(alcohol)[:1])


def test_a_conditional_model_is_shown_at_a_class(cli, figures: list[Figure]) -> None:
    assert cli("fit", "vae", "digits", "--context", "labels", "--model.latent_dim", 2, *TINY).code == 0
    assert "in the context of row 0" in cli("manifold", "r", "--side", 2).out
    assert "in the context of a draw of the prior of class 7" in cli("manifold", "r", "--side", 2, "--class", 7).out
    shown = [pixels(figure) for figure in figures]
    assert not np.allclose(shown[0], shown[1])
    assert "of class 3" in cli("traverse", "r", "--class", 3).out
    assert "draws of the prior of class 3" in cli("interpolate", "r", "--class", 3).out
    assert "--class must be one of 0 to 9" in cli("traverse", "r", "--class", 10).err
    assert "--class draws from the prior, so digits is not needed" in cli("traverse", "r", "digits", "--class", 1).err
    told = cli("analogies", "r", "-n", 3)
    assert told.out == "3 observations, and the style of each as 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, in analogies.png\n"
    assert [text.get_text() for text in figures[-1].texts] == ["real", *map(str, range(10))]


def test_a_class_that_is_a_latent_is_replaced_drawn_and_held(cli, styled: str, figures: list[Figure]) -> None:
    told = cli("analogies", styled, "data.npz", "-n", 4)
    assert "4 observations, and the style of each as ape, bee, cat" in told.out
    assert cli("sample", styled, "--class", "bee", "-n", 6, "-o", "bees.npz").out == (
        "6 samples of styled_classes of class bee, the means of draws of its latents, in bees.npz\n"
    )
    drawn = np.load("bees.npz")
    assert (drawn["x"].reshape(6, -1)[:, :CLASSES] == [0, 1, 0]).all()
    assert len(set(drawn["x"].reshape(6, -1)[:, CLASSES].tolist())) == 6
    assert drawn["y"].tolist() == [1] * 6
    cli("sample", styled, "--class", "all", "-o", "all.csv")
    frame = pd.read_csv("all.csv")
    assert len(frame) == 8 * CLASSES
    assert all(frame.loc[frame["class"] == name, f"x{i}"].eq(1).all() for i, name in enumerate(("ape", "bee", "cat")))
    # Without a class it is drawn as ever; and a wrong one is refused.
    assert cli("sample", styled, "-n", 6).out == "6 samples of styled_classes in samples.png\n"
    assert "--class must be one of ape, bee, cat, got cow" in cli("sample", styled, "--class", "cow").err
    # The plane is that of the style, whose prior is not standard, at the class of the row or the one that is named.
    plane = cli("manifold", styled, "data.npz", "--side", 3).out
    assert "axis 3 (to the right) and axis 4 (upwards)" in plane
    assert "standard deviations of the prior's draws, the others those of row 0" in plane
    assert "a draw of the prior of class cat" in cli("manifold", styled, "--class", "cat").out
    assert "--axes 1 is part of 'y', which is one-hot" in cli("traverse", styled, "data.npz", "--axes", "1").err
    assert "2 of 5 latent dimensions" in cli("traverse", styled, "data.npz").out


def test_a_clustering_shows_its_values(cli, figures: list[Figure]) -> None:
    np.save("rows.npy", np.random.default_rng(0).normal(size=(60, 1, 4, 4)))
    for model, latent in (("gaussian-mixture", "component"), ("kmeans", "cluster")):
        settings = ("--model.components", 3, "--support", "real", "--run-dir", model)
        assert cli("fit", model, "rows.npy", *settings).code == 0
        assert f"decoded means of the 3 values of {latent!r}" in cli("manifold", model).out
        assert "do not move little by little; `ancestral manifold" in cli("traverse", model).err
        assert "is told no class" in cli("analogies", model).err


def test_a_model_without_an_encoder_is_moved_about_a_draw(cli) -> None:
    fitted = cli("fit", "gan", "two-moons", "--model.latent_dim", 3, *TINY)
    assert fitted.code == 0, fitted.err
    traversed = cli("traverse", "r", "--seed", 1)
    assert "3 of 3 latent dimensions from -3 to 3 standard deviations, the others those of a draw" in traversed.out
    assert "the codes vary along most" not in cli("manifold", "r").err
    assert cli("manifold", "r", "--axes", "0,2", "--seed", 1).code == 0
    with Image.open("manifold.png") as picture:
        assert min(picture.size) > 100
    assert "gan is no Encoder, so two-moons is not needed" in cli("traverse", "r", "two-moons").err


def test_without_a_latent_space_the_reason_is_said(cli) -> None:
    assert cli("fit", "made", "digits", *TINY).code == 0
    assert cli("fit", "ppca", "digits", "--model.latent_dim", 2, "--run-dir", "p").code == 0
    for command in ("interpolate", "reconstruct", "traverse", "manifold", "analogies"):
        assert "made in r has no latent space: it is no Decoder" in cli(command, "r").err
        assert "fit it with `--support real` for a latent space" in cli(command, "p").err


def test_between_views_of_the_data_there_are_no_walks(cli) -> None:
    small = ("--model.channels", 4, "--model.blocks", 1, "--model.components", 2)
    assert cli("fit", "hierarchical-pixelcnn", "digits", *small, "--steps", 2, "--run-dir", "r").code == 0
    for command in ("interpolate", "traverse", "manifold"):
        assert "are views of the data (4x4), and there is no way from one to another" in cli(command, "r").err
    assert cli("reconstruct", "r", "-n", 4, "-o", "x.png").code == 0


@pytest.mark.parametrize(
    ("command", "flag", "said"),
    [
        ("manifold", ("--side", "1"), "--side must be from 2 to 100, got 1"),
        ("manifold", ("--row", "-1"), "--row is counted from 0, got -1"),
        ("traverse", ("-n", "0"), "-n/--number: expected a whole number of at least 1"),
        ("traverse", ("--reach", "0"), "--reach must be above 0"),
        ("traverse", ("--steps", "1"), "--steps: expected a whole number of at least 2, got '1'"),
        ("traverse", ("-o", "x.jpg"), "the output must end in .png"),
        ("analogies", ("-n", "0"), "-n/--number: expected a whole number of at least 1"),
    ],
)
def test_numbers_that_make_no_picture_are_refused(cli, styled: str, command: str, flag: tuple, said: str) -> None:
    done = cli(command, styled, "data.npz", *flag)
    assert done.code in (1, 2)
    assert said in done.err
    assert not list(Path().glob("*.png"))
