"""The ledger, by a recipe of a few seconds."""

import json
import math
from pathlib import Path

import pytest
import soundfile

from ancestral.data import load_data
from ancestral.interface import InputError
from ancestral.reproduction import list_figures, list_recipes, markdown_table, read_ledger
from ancestral.reproduction.baselines import markov_chain
from tests.data.data_files import write_spoken_digits

RECIPE = """
name: tiny
model: made
model_settings: {hidden: [16]}
data: digits
training: {epochs: 2, batch_size: 256}
budget: cpu
metric: negative log-likelihood per dimension
unit: bits/dim
published: {value: 2.0, source: "nobody, 2000"}
baselines: [independent]
notes: a test
"""

#: The design's fields, and what the issue asks for besides.
FIELDS = [
    "name", "model", "data", "split", "selected_on", "metric", "unit", "value", "stderr", "kind",
    "importance_samples", "published", "source", "epochs", "seconds", "parameters", "command", "seeds", "device",
    "threads", "versions", "date", "notes", "settings", "baselines",
]  # fmt: skip


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(RECIPE)
    return path


def test_a_result_goes_into_the_ledger(cli, tmp_path: Path, recipe: Path) -> None:
    done = cli("reproduce", recipe, "--seeds", "0,1", "--runs-dir", "kept")
    assert done.code == 0, done.err
    assert not (tmp_path / "runs").exists()
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"reproduce-tiny", "reproduce-tiny-seed1"}
    entry = json.loads((tmp_path / "results" / "tiny.json").read_text())
    assert list(entry) == FIELDS
    assert (entry["seeds"], entry["selected_on"], entry["kind"], entry["unit"]) == (
        [0, 1],
        "valid",
        "exact",
        "bits/dim",
    )
    assert entry["baselines"]["independent"] == pytest.approx(2.428, abs=0.01)
    assert 2 < entry["value"] < 4.1  # log2 17 = 4.09
    assert f"{entry['value']:.4f}" in done.out
    assert "published: 2 (nobody, 2000)" in done.out
    assert (tmp_path / "results" / "tiny.png").read_bytes().startswith(b"\x89PNG")
    assert "| `tiny` | made | digits, test |" in cli("reproduce", "--table").out
    assert "is not empty" in cli("reproduce", recipe, "--runs-dir", "kept").err


def test_other_metrics_stand_beside_what_gives_them_meaning(cli, tmp_path: Path, recipe: Path) -> None:
    """k-means beside scikit-learn's from the same start; a GAN's samples beside real data."""
    made = {
        "kmeans": "model_settings: {components: 8}\nmetric: squared reconstruction error\nbaselines: [sklearn_kmeans]",
        "dcgan": "model_settings: {channels: 4}\ntraining: {epochs: 1}\nmetric: Fréchet distance\nbaselines: [real]",
    }
    for model, rest in made.items():
        unit = "unit: squared distance"
        recipe.write_text(f"name: {model}\nmodel: {model}\ndata: digits\nbudget: cpu\n{unit}\n{rest}\n")
        done = cli("reproduce", recipe)
        assert done.code == 0, done.err
        assert (tmp_path / "results" / f"{model}.png").exists()
    dcgan, kmeans = read_ledger("results")
    assert kmeans.value == pytest.approx(kmeans.baselines["sklearn_kmeans"], rel=1e-9)
    assert dcgan.value > dcgan.baselines["real"] > 0
    assert dcgan.stderr is None
    assert f"{dcgan.value:.2f} squared distance (Fréchet distance)" in markdown_table([dcgan])


def test_an_override_is_written_down(cli, tmp_path: Path, recipe: Path) -> None:
    places = ("--results-dir", "other", "--runs-dir=elsewhere")
    assert cli("reproduce", recipe, *places, "--minutes", 0.01).code == 0
    (entry,) = read_ledger("other")
    assert "not the recipe's own run: ended after 0.01 minutes" in entry.notes
    # Where the files lie says nothing of how the number was made.
    assert entry.command == f"ancestral reproduce {recipe} --minutes 0.01"


def test_a_wrong_recipe_is_refused_before_training(cli, recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("[independent]", "[independant]"))
    assert "did you mean 'independent'" in cli("reproduce", recipe).err
    recipe.write_text(RECIPE.replace("negative log-likelihood per", "negative loglikelihood per"))
    assert "did you mean 'negative log-likelihood per dimension'" in cli("reproduce", recipe).err
    recipe.write_text(RECIPE.replace("unit: bits/dim", "unit: bits"))
    assert (
        "unit of the recipe tiny must be 'bits/dim' for negative log-likelihood per dimension, got 'bits'"
        in cli("reproduce", recipe).err
    )


def test_a_foreign_file_in_the_ledger_is_named(tmp_path: Path) -> None:
    assert markdown_table(read_ledger(tmp_path)).startswith("| result |")
    (tmp_path / "x.json").write_text('{"name": "x"}')
    with pytest.raises(InputError, match="is not an entry of the ledger"):
        read_ledger(tmp_path)


def test_figures_are_listed_made_and_tabulated_as_recipes_are(cli, tmp_path: Path) -> None:
    listed = cli("reproduce", "--list").out
    assert "em-elbo" in listed
    assert "made-dna" in listed
    done = cli("reproduce", "em-elbo")
    assert done.code == 0, done.err
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["em-elbo.json", "em-elbo.png"]
    assert list(json.loads((tmp_path / "results" / "em-elbo.json").read_text())) == FIELDS
    assert "| `em-elbo` | gaussian_mixture, ppca | wine, train |" in cli("reproduce", "--table").out
    assert "did you mean 'em-elbo'" in cli("reproduce", "em-elb").err
    assert "em-elbo is a figure, made in one go" in cli("reproduce", "em-elbo", "--minutes", 1).err


def test_names_that_a_command_line_takes_are_listed_whole(cli) -> None:
    listed = cli("reproduce", "--list").out.split()
    assert set(list_recipes()) | set(list_figures()) <= set(listed)


def test_a_recipe_of_sounds(cli, tmp_path: Path) -> None:
    """A histogram and a bigram beside it, spectrograms in its picture, and a run that can be heard."""
    write_spoken_digits(tmp_path / "fsdd.zip")
    (tmp_path / "sound.yaml").write_text("""
name: sound
model: wavenet
model_settings: {channels: 4, layers: 2, head: 8}
data: fsdd
data_options: {window: 64, context: factors}
training: {steps: 2}
budget: cpu
metric: negative log-likelihood per dimension
unit: bits/dim
baselines: [histogram, bigram]
""")
    done = cli("reproduce", "sound.yaml", "--data-root", ".")
    assert done.code == 0, done.err
    entry = json.loads(Path("results/sound.json").read_text())
    data = load_data("fsdd", data_root=".", window=64)
    for order, name in enumerate(("histogram", "bigram")):
        nats = markov_chain(data.train.sequences, data.test.x, 256, order).mean().item()
        assert entry["baselines"][name] == pytest.approx(-nats / (64 * math.log(2)))
    drawn = cli("sample", "runs/reproduce-sound", "-n", 2, "--class", "7,adam", "--length", 100, "-o", "x.wav")
    assert (drawn.code, soundfile.info("x.wav").frames) == (0, 100 + 2000 + 100)
