"""From a training to everything that a run is good for."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from ancestral.cli import interpolate, reconstruct
from ancestral.persistence import load, read_config


def _width(path: str) -> int:
    with Image.open(path) as picture:
        return picture.size[0]


def test_a_run_on_images(cli, tmp_path: Path) -> None:
    fitted = cli("fit", "vae", "digits", "--steps", 60, "--model.latent_dim", 4, "--model.hidden", "[32]", "--lr", 0.01)
    assert fitted.code == 0, fitted.err
    assert "ancestral sample runs/digits-vae" in fitted.out
    config = read_config("runs/digits-vae")
    assert (config["settings"]["latent_dim"], config["recipe"]["data"]["name"]) == (4, "digits")

    evaluated = cli("evaluate", "runs/digits-vae")
    said = f"{config['scores']['test']['nats']:.3f}"
    assert re.fullmatch(
        rf"vae on digits test: {said} ± .* nats \(lower bound, 10 samples\), .* n = 180\n", evaluated.out
    )
    tighter = cli("evaluate", "runs/digits-vae", "--importance-samples", 200).out
    assert float(tighter.split()[4]) > config["scores"]["test"]["nats"]

    cli("sample", "runs/digits-vae", "-n", 9, "-o", "samples.png")
    assert _width("samples.png") > 100
    cli("sample", "runs/digits-vae", "-n", 9, "--seed", 3, "-o", "samples.npz")
    x = np.load("samples.npz")["x"]
    assert x.shape == (9, 1, 8, 8)
    assert 0 <= x.min() <= x.max() <= 16
    cli("sample", "runs/digits-vae", "-n", 9, "--seed", 3, "-o", "samples.csv")
    assert np.array_equal(pd.read_csv("samples.csv").to_numpy(), x.reshape(9, 64))

    cli("score", "runs/digits-vae", "samples.csv", "-o", "scores.csv", "--seed", 5)
    cli("score", "runs/digits-vae", "samples.npz", "-o", "scores.npz", "--seed", 5)
    scores = pd.read_csv("scores.csv")
    model = load("runs/digits-vae")
    generator = torch.Generator().manual_seed(5)
    bound = model.log_prob_lower_bound(torch.from_numpy(x), importance_samples=10, generator=generator).detach()
    assert scores["log_likelihood_nats"].to_numpy() == pytest.approx(bound.numpy(), rel=1e-5)
    assert np.load("scores.npz")["bits_per_dim"] == pytest.approx(-bound.numpy() / (64 * np.log(2)), rel=1e-5)

    cli("encode", "runs/digits-vae", "digits", "--split", "valid", "-o", "codes.npz")
    codes = np.load("codes.npz")
    assert codes["z"].shape == (180, 4)
    assert set(codes["y"]) == set(range(10))
    for command in ("reconstruct", "interpolate"):
        done = cli(command, "runs/digits-vae", "-n", 3, "-o", f"{command}.png")
        assert done.code == 0, done.err
        assert _width(f"{command}.png") > 100
    assert "holds    save and load give the same numbers" in cli("check", "runs/digits-vae").out


def test_a_game_with_an_encoder_shows_its_latents_as_an_autoencoder_does(cli) -> None:
    fit = ("fit", "bigan", "digits", "--steps", 2, "--model.hidden", "[8, 8]", "--model.latent_dim", 2)
    assert cli(*fit, "--run-dir", "r").code == 0
    for command in ("sample", "reconstruct", "interpolate", "traverse", "manifold"):
        done = cli(command, "r", "-o", f"{command}.png")
        assert done.code == 0, done.err
        assert _width(f"{command}.png") > 100
    assert cli("encode", "r", "digits", "-o", "codes.npz").code == 0
    codes = np.load("codes.npz")["z"]
    assert codes.shape[1] == 2
    assert np.abs(codes).max() <= 1


def test_a_conditional_run_and_its_replacement(cli) -> None:
    command = ("fit", "vae", "digits", "--context", "labels", "--steps", 2, "--model.hidden", "[8]", "--run-dir", "r")
    done = cli(*command)
    assert done.code == 0
    # The next step that is named works as it stands.
    (step,) = (line.split()[1:] for line in done.out.splitlines() if line.startswith("  ancestral sample"))
    assert cli(*step).code == 0
    assert "a class, 0 to 9; say which with --class" in cli("sample", "r").err
    assert "--class must be one of 0 to 9, got 12" in cli("sample", "r", "--class", 12).err
    assert cli("sample", "r", "--class", 3, "-n", 4, "-o", "three.npz").code == 0
    assert cli("evaluate", "r").code == 0
    assert cli(*command).code == 1
    assert cli(*command, "--overwrite").code == 0
    # With nothing left of its budget, a resumed run ends where it was.
    assert cli(*command, "--resume").code == 0


def test_a_run_given_views_of_the_data_itself(cli) -> None:
    """Conditioned on something else than labels: every command takes the contexts of the data's own rows."""
    options = ("--data.n", 100, "--data.context", "grey:4")
    fitted = cli("fit", "vae", "shapes", *options, "--steps", 2, "--model.hidden", "[8]", "--run-dir", "r")
    assert fitted.code == 0, fitted.err
    assert read_config("r")["recipe"]["data"]["context"] == "grey:4"
    sampled = cli("sample", "r", "-n", 9, "-o", "x.npz")
    assert "9 samples of vae given the contexts of rows of shapes" in sampled.out
    assert np.load("x.npz")["x"].shape == (9, 3, 32, 32)
    assert "not on a class; leave --class out" in cli("sample", "r", "--class", 1).err
    for command in ("evaluate", "score", "encode", "reconstruct", "interpolate"):
        done = cli(command, "r")
        assert done.code == 0, done.err


def test_a_run_on_few_labels_and_on_windows_remembers_them(cli) -> None:
    assert cli("fit", "ppca", "digits", "--data.labels", 20, "--model.latent_dim", 2, "--run-dir", "few").code == 0
    assert read_config("few")["recipe"]["data"]["labels"] == 20
    assert cli("evaluate", "few").code == 0
    waves = np.sin(np.linspace(0, 20, 60) + np.random.default_rng(0).uniform(0, 6, (40, 1))).astype(np.float32)
    np.save("waves.npy", waves)
    fitted = cli("fit", "realnvp", "waves.npy", "--data.window", 6, "--steps", 3, "--run-dir", "w")
    assert fitted.code == 0, fitted.err
    scored = read_config("w")["scores"]["test"]["nats"]
    assert f"{scored:.3f}" in cli("evaluate", "w").out
    np.save("others.npy", waves[:9])
    assert cli("evaluate", "w", "others.npy").code == 0


def test_a_flagless_fit_takes_the_models_own_settings_and_flags_override_them(cli) -> None:
    assert cli("fit", "vae", "digits", "--steps", 1, "--lr", 0.5).code == 0
    config = read_config("runs/digits-vae")
    assert (config["settings"]["hidden"], config["settings"]["latent_dim"]) == ([256, 128], 16)
    how = config["recipe"]["fit"]
    assert (how["lr"], how["batch_size"], how["steps"]) == (0.5, 64, 1)
    assert "warmup_steps=50" in how["schedule"]
    # An optimizer that is named comes with its own rate, not with that of the model's quick settings.
    named = ("--optimizer", "sgd", "--optimizer.lr", 0.1, "--steps", 1, "--run-dir", "named")
    assert cli("fit", "vae", "digits", *named).code == 0
    how = read_config("named")["recipe"]["fit"]
    assert how["optimizer"] == "SGD(lr=0.1, momentum=0.0)"
    assert "lr" not in how


def test_a_run_on_a_table(cli, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(200, 2, generator=generator) @ torch.tensor([[1.0, 0.8], [0.0, 0.6]])
    pd.DataFrame(rows.numpy(), columns=["height", "weight"]).to_csv("rows.csv", index=False)
    assert cli("fit", "gaussian-mixture", "rows.csv", "--model.components", 1).code == 0
    pd.DataFrame({"height": [0.0, 9.0], "weight": [0.0, -9.0]}).to_csv("two.csv", index=False)
    assert "lowest" in cli("score", "runs/rows-gaussian-mixture", "two.csv").out
    scores = pd.read_csv("scores.csv")["log_likelihood_nats"]
    assert scores[0] > -3 > -50 > scores[1]
    # Every row in its own order, not the split that the training made.
    cli("score", "runs/rows-gaussian-mixture", "rows.csv")
    model = load("runs/rows-gaussian-mixture")
    assert pd.read_csv("scores.csv")["log_likelihood_nats"].to_numpy() == pytest.approx(
        model.log_prob(rows).numpy(), rel=1e-4
    )


def test_reconstructions_and_walks_of_a_table_are_drawn_by_its_columns(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    latent = torch.randn(400, 1, generator=generator)
    rows = latent * torch.tensor([1.0, -2.0, 3.0]) + 0.1 * torch.randn(400, 3, generator=generator)
    pd.DataFrame(rows.numpy(), columns=["a", "b", "c"]).to_csv("rows.csv", index=False)
    assert cli("fit", "ppca", "rows.csv", "--model.latent_dim", 1, "--run-dir", "r").code == 0
    figures = []
    for module in (reconstruct, interpolate):
        monkeypatch.setattr(module, "save_figure", lambda figure, path: figures.append(figure))
    said = cli("reconstruct", "r").out
    assert "40 originals against their reconstructions" in said  # all test rows: a table has room for many points
    assert float(said.split()[-1]) < 0.2
    assert cli("interpolate", "r", "-n", 5, "--steps", 7).code == 0
    pairs, walks = figures
    original, back = pairs.axes[1].get_lines()[1].get_data()
    assert np.corrcoef(original, back)[0, 1] > 0.99
    assert [len(line.get_ydata()) for line in walks.axes[0].get_lines()] == [7] * 5


def test_a_run_without_a_density(cli) -> None:
    fitted = cli("fit", "gan", "two-moons", "--steps", 3, "--model.hidden", "[8]", "--model.latent_dim", 2)
    assert "Fréchet" in fitted.out
    assert "Fréchet" in cli("evaluate", "runs/two-moons-gan", "--samples", 200).out
    assert "defines no density" in cli("score", "runs/two-moons-gan").err
    assert "it is no Encoder" in cli("encode", "runs/two-moons-gan").err
    assert cli("interpolate", "runs/two-moons-gan").code == 0


@pytest.mark.filterwarnings("always:.*not in the vocabulary")
def test_a_run_on_text_samples_text_and_scores_other_text_in_its_own_tokens(cli, tmp_path: Path) -> None:
    lines = [f"the {animal} sat on the {place}" for animal in ("cat", "dog", "rat") for place in ("mat", "log")] * 20
    (tmp_path / "train.txt").write_text("\n".join(lines))
    other = ["the zebra sat on the mat"] * 20  # "zebra" is no token of train.txt
    (tmp_path / "other.txt").write_text("\n".join(other))
    words = ("--data.tokens", "words", "--model.hidden", "[32]", "--epochs", 300, "--lr", 0.02)
    assert cli("fit", "made", "train.txt", *words, "--run-dir", "r").code == 0
    assert cli("sample", "r", "-n", 200, "-o", "s.txt").code == 0
    drawn = (tmp_path / "s.txt").read_text().splitlines()
    assert len(drawn) == 200
    assert sum(line in lines for line in drawn) > 150
    assert "lower bound" not in cli("evaluate", "r", "other.txt").out
    scored = cli("score", "r", "other.txt", "-o", "o.csv")
    assert scored.code == 0
    assert "other.txt: 20 of 120 tokens are not in the vocabulary" in scored.err
    assert len(pd.read_csv("o.csv")) == 20
    cli("fit", "made", "digits", "--steps", 1, "--run-dir", "d")
    assert "models no text" in cli("sample", "d", "-o", "s.txt").err
