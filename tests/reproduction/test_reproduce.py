"""A recipe as a library call: the entry, the picture, and a conditional model."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from ancestral.data import load_data
from ancestral.evaluation import (
    SampleJudge,
    count_parameters,
    evaluate,
    evaluate_nearest_neighbour,
    nearest_neighbour_error,
)
from ancestral.interface import Binary, Event, InputError, Model
from ancestral.persistence import load, read_config, save
from ancestral.registry import build
from ancestral.reproduction import list_recipes, load_recipe, pictures, read_ledger, recipes, reproduce
from ancestral.reproduction.making import seeded_build
from ancestral.reproduction.run import Outcome
from ancestral.reproduction.speed import SAME_SIZE
from ancestral.training import Cosine, fit

RECIPE = """
name: tiny
model: vae
model_settings: {hidden: [16], latent_dim: 2}
data: digits
training: {epochs: 1, batch_size: 256}
evaluation: {importance_samples: 3, seed: 4}
budget: cpu
metric: negative log-likelihood
unit: nats
baselines: [independent]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


def run(folder: Path, **changes) -> list[Outcome]:
    outcomes: list[Outcome] = []
    folders = {"results_dir": folder / "results", "runs_dir": folder / "runs"}
    reproduce(folder / "tiny.yaml", **folders, progress=False, on_end=outcomes.append, **changes)
    return outcomes


def test_the_entry_is_the_mean_over_seeds_of_what_the_saved_models_score(tmp_path: Path) -> None:
    write(tmp_path, RECIPE)
    outcomes = run(tmp_path, seeds=(0, 3))
    (entry,) = read_ledger(tmp_path / "results")
    values = []
    for name in ("reproduce-tiny", "reproduce-tiny-seed3"):
        model, data = load(tmp_path / "runs" / name), outcomes[0].trained.data
        values.append(-evaluate(model, data.test, importance_samples=3, seed=4).nats)
    assert entry.value == pytest.approx(sum(values) / 2, rel=1e-6)
    assert entry.stderr == pytest.approx(abs(values[0] - values[1]) / 2, rel=1e-4)
    assert entry.command.endswith("seeds=(0, 3))")
    assert (tmp_path / "results" / "tiny.png").exists()
    with pytest.raises(InputError, match="is not empty"):
        run(tmp_path)
    assert len(run(tmp_path, overwrite=True, minutes=0.001)) == 1
    assert "ended after 0.001 minutes" in read_ledger(tmp_path / "results")[0].notes


VIDEO = """
name: tiny
model: video_pixel_network
model_settings: {channels: 2, dilations: [1], blocks: 1}
data: moving-mnist
data_options: {source: digits, n: 40, frames: 3, side: 6, digit_side: 4}
training: {steps: 2}
evaluation: {given: 1}
budget: cpu
metric: negative log-likelihood of later frames
unit: nats/frame
baselines: [independent, entropy_bound]
"""


def test_later_frames_of_videos_beside_the_bound_of_their_grey_values(tmp_path: Path) -> None:
    write(tmp_path, VIDEO)
    (outcome,) = run(tmp_path)
    (entry,) = read_ledger(tmp_path / "results")
    test = outcome.trained.data.test
    logs = load(tmp_path / "runs" / "reproduce-tiny").conditional_log_probs(test.x)[0, :, 1:]
    assert entry.value == pytest.approx(-logs.flatten(1).sum(1).mean().item() / 2, rel=1e-5)
    p = test.factors["intensity"][:, 1:].double() / 255
    nats = -(p.xlogy(p) + (1 - p).xlogy(1 - p)).flatten(1).sum(1).mean().item() / 2
    assert entry.baselines["entropy_bound"] == pytest.approx(nats)
    assert nats < entry.baselines["independent"] < 36
    assert list(outcome.measurement.panels) == ["test videos, and what it draws after frame 1"]
    write(tmp_path, VIDEO.replace("digit_side: 4", "digit_side: 4, levels: 4"))
    with pytest.raises(InputError, match="no entropy bound"):
        run(tmp_path, overwrite=True)


RIVAL = """
name: rival
model: ppca
model_settings: {latent_dim: 3}
data: digits
budget: cpu
metric: negative log-likelihood
unit: nats
"""

GAN = """
name: tiny
model: dcgan
model_settings: {channels: 4}
data: digits
training: {steps: 2, batch_size: 64}
evaluation: {samples: 120, features: pca}
budget: cpu
metric: Fréchet distance
unit: squared distance
baselines: [real, rival]
"""


@pytest.fixture
def rival(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A second recipe that the package ships: its file."""
    path = tmp_path / "rival.yaml"
    path.write_text(RIVAL)
    monkeypatch.setattr(recipes, "_shipped", lambda: {"rival": recipes._parse(path.read_text(), str(path))})
    return path


def test_a_recipe_is_a_baseline_by_its_run_which_is_made_where_there_is_none(tmp_path: Path, rival: Path) -> None:
    write(tmp_path, GAN)
    (outcome,) = run(tmp_path)
    (entry,) = read_ledger(tmp_path / "results")
    other = load(tmp_path / "runs" / "reproduce-rival")
    judge = SampleJudge(outcome.trained.data, samples=120, split="test", features="pca")
    assert entry.baselines == {"real": judge.reference, "rival": judge.frechet(judge.draw(other)).frechet}
    assert entry.value == judge.frechet(judge.draw(outcome.trained.model)).frechet > entry.baselines["real"] > 0
    assert "64 principal components, sha256" in entry.kind
    # What is there is taken as it is: another one is another figure.
    remembered = read_config(tmp_path / "runs" / "reproduce-rival")["recipe"]
    save(build("ppca", outcome.trained.data, latent_dim=3), tmp_path / "runs" / "reproduce-rival", recipe=remembered)
    run(tmp_path, overwrite=True)
    assert read_ledger(tmp_path / "results")[0].baselines["rival"] != entry.baselines["rival"]


def test_a_baseline_that_is_not_what_its_recipe_says_is_refused_before_training(tmp_path: Path, rival: Path) -> None:
    write(tmp_path, GAN)
    folder = tmp_path / "runs" / "reproduce-rival"
    folder.mkdir(parents=True)
    (folder / "checkpoint.pt").write_bytes(b"")
    with pytest.raises(InputError, match="no finished run of the baseline rival; `ancestral reproduce rival --resume`"):
        run(tmp_path)
    (folder / "checkpoint.pt").unlink()
    data = load_data("digits")
    save(build("ppca", data, latent_dim=2), folder, recipe={"name": "rival", "data_digest": data.digests})
    with pytest.raises(InputError, match="is not that of the recipe rival as it is now"):
        run(tmp_path)
    save(build("ppca", data, latent_dim=3), folder, recipe={"name": "rival", "data_digest": {}})
    with pytest.raises(InputError, match="was trained on other rows of digits"):
        run(tmp_path)
    rival.write_text(RIVAL.replace("digits", "wine"))
    with pytest.raises(InputError, match="rival cannot be a baseline of tiny: it is of wine, not of digits"):
        run(tmp_path)
    write(tmp_path, GAN.replace("rival]", "rivals]"))
    with pytest.raises(InputError, match="no baseline 'rivals'.*there are real, and every recipe by its name"):
        run(tmp_path)
    write(tmp_path, VIDEO.replace("[independent", "[rival"))
    with pytest.raises(InputError, match="negative log-likelihood of later frames has no baseline 'rival'"):
        run(tmp_path)
    assert not (tmp_path / "runs" / "reproduce-tiny").exists()


STAGES = """
name: tiny
model: hierarchical_pixelcnn
model_settings: {channels: 4, blocks: 1, components: 2}
data: digits
training: {steps: 2, batch_size: 64}
evaluation: {importance_samples: 1, limit: 40}
budget: cpu
metric: negative log-likelihood
unit: nats
baselines: [independent, rival]
"""


def test_a_bound_in_stages_beside_the_likelihood_of_another_recipe_on_the_same_rows(
    tmp_path: Path, rival: Path
) -> None:
    rival.write_text(RIVAL.replace("model: ppca", "model: made").replace("latent_dim: 3", "hidden: [8]"))
    write(tmp_path, STAGES)
    (outcome,) = run(tmp_path)
    (entry,) = read_ledger(tmp_path / "results")
    rows = outcome.trained.data.test.x[:40]
    stages = -outcome.trained.model.stage_log_probs(rows).detach().mean(1)
    assert entry.value == pytest.approx(float(stages.sum()), rel=1e-5)
    assert [entry.baselines[f"of this in {name}"] for name in ("4x4", "details")] == pytest.approx(stages.tolist())
    other = load(tmp_path / "runs" / "reproduce-rival")
    assert entry.baselines["rival"] == pytest.approx(-other.log_prob(rows).mean().item(), rel=1e-5)
    assert (entry.kind, entry.importance_samples) == ("lower bound", 1)


def test_views_are_latents_without_walks_between_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panels: dict[str, Figure] = {}
    monkeypatch.setattr(pictures, "panels_figure", lambda drawn: panels.update(drawn) or Figure())
    write(tmp_path, STAGES.replace("components: 2}", "components: 2, scales: 2}").replace("[independent, rival]", "[]"))
    run(tmp_path)
    shown = "real data, and draws given their views"
    assert list(panels) == ["real data", "samples of hierarchical_pixelcnn", shown, "learning curve"]
    names = [text.get_text() for text in panels[shown].findobj(Text)]
    assert [name for name in names if name] == ["real data", "given 4x4", "given 2x2"]


SPEED = """
name: tiny
model: multiscale_pixelcnn
model_settings: {channels: 6, blocks: 1, base_channels: 4, base_blocks: 1, head: 8}
data: digits
training: {steps: 2, batch_size: 64}
evaluation: {images: 4, repetitions: 1, rival: gated_pixelcnn, rival_settings: {channels: 4, blocks: 9, head: 8}}
budget: cpu
metric: time of a sample
unit: ms
"""


def test_the_time_of_a_sample_stands_beside_that_of_a_rival_of_the_same_size(tmp_path: Path) -> None:
    write(tmp_path, SPEED)
    (outcome,) = run(tmp_path)
    (entry,) = read_ledger(tmp_path / "results")
    naive, cached = (entry.baselines[f"gated_pixelcnn, {how}"] for how in ("naively", "from cached features"))
    assert naive > cached > 0
    assert naive > entry.value > 0
    assert entry.baselines["gated_pixelcnn, naively, times as long"] == pytest.approx(naive / entry.value)
    nats = -evaluate(outcome.trained.model, outcome.trained.data.test).nats
    assert entry.baselines["negative log-likelihood, nats"] == pytest.approx(nats)
    write(tmp_path, SPEED.replace("blocks: 9, head: 8}}", "blocks: 1, head: 8}}"))
    with pytest.raises(InputError, match="parameters and multiscale_pixelcnn .*, more than 5% apart"):
        run(tmp_path, overwrite=True)


@pytest.mark.parametrize("name", [name for name in list_recipes() if load_recipe(name).metric == "time of a sample"])
def test_the_rivals_of_shipped_recipes_have_the_size_of_their_models(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.data == "binarized-mnist"
    event = Event((1, 28, 28), Binary())
    rival = build(recipe.evaluation["rival"], event, **recipe.evaluation["rival_settings"])
    sizes = [count_parameters(model) for model in (build(recipe.model, event, **recipe.model_settings), rival)]
    assert sizes[0] == pytest.approx(sizes[1], rel=SAME_SIZE)


def test_what_a_metric_needs_is_missed_before_training(tmp_path: Path) -> None:
    write(tmp_path, VIDEO.replace("given: 1", "batch_size: 8"))
    with pytest.raises(InputError, match="needs a setting 'given' in evaluation"):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


@pytest.mark.parametrize("seeds", [(), 3, (0, -1), ("a",), (0.5,)])
def test_seeds_are_whole_numbers_and_some(untyped: None, tmp_path: Path, seeds: object) -> None:
    write(tmp_path, RECIPE)
    with pytest.raises(InputError, match="seeds must be one or more whole numbers"):
        run(tmp_path, seeds=seeds)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


def test_a_conditional_recipe_remembers_its_context(tmp_path: Path) -> None:
    write(tmp_path, RECIPE + "data_options: {context: labels}\n")
    (outcome,) = run(tmp_path)
    assert outcome.trained.model.context_event == outcome.trained.data.context_event is not None
    saved = load(tmp_path / "runs" / "reproduce-tiny")
    assert saved.context_event == outcome.trained.data.context_event


def test_the_picture_of_a_table_carries_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[list[str]] = []

    def panels_figure(panels: dict[str, Figure]) -> Figure:
        for title in ("real data", "samples of vae", "latent walks between real data"):
            axes = panels[title].axes
            drawn.append([(one.get_ylabel() if "walks" in title else one.get_xlabel()) for one in axes])
        return Figure()

    monkeypatch.setattr(pictures, "panels_figure", panels_figure)
    write(tmp_path, RECIPE.replace("data: digits", "data: wine").replace("_histogram", ""))
    run(tmp_path)
    assert len(drawn) == 3
    assert all(names[:2] == ["alcohol", "malic_acid"] for names in drawn)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ["the plane of its two latents, at quantiles of the prior"]),
        (
            {"latent_dim: 2": "latent_dim: 3"},
            ["its most active latents, each from -3 to 3 standard deviations"],
        ),
        (
            {"data: digits": "data: digits\ndata_options: {context: labels}"},
            [
                "the plane of its two latents, at quantiles of the prior",
                "real data, and the style of each under every class",
            ],
        ),
        ({"data: digits": "data: wine", "latent_dim: 2": "latent_dim: 3"}, []),
    ],
    ids=["two latents", "three latents", "classes", "three latents of a table"],
)
def test_the_picture_shows_what_the_latents_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], expected: list[str]
) -> None:
    panels: dict[str, Figure] = {}
    monkeypatch.setattr(pictures, "panels_figure", lambda drawn: panels.update(drawn) or Figure())
    recipe = RECIPE.replace("_histogram", "")
    for old, new in change.items():
        recipe = recipe.replace(old, new)
    write(tmp_path, recipe)
    run(tmp_path)
    ordinary = ["real data", "samples of vae", "latent walks between real data", "learning curve"]
    assert list(panels) == [*ordinary[:3], *expected, ordinary[3]]


FEATURES = """
name: tiny
model: bigan
model_settings: {hidden: [16, 12], latent_dim: 3}
data: digits
training: {epochs: 2, batch_size: 200, lr: 1e-3, schedule: {name: cosine, final: 0.1}}
budget: cpu
metric: one-nearest-neighbour error
unit: "%"
baselines: [discriminator, latent_regressor, joint_latent_regressor, autoencoder, codes, raw_pixels, untrained]
"""


def test_features_stand_beside_those_of_rivals_that_were_trained_as_long(tmp_path: Path) -> None:
    write(tmp_path, FEATURES)
    (outcome,) = run(tmp_path, seeds=(1,))
    (entry,) = read_ledger(tmp_path / "results")
    data = outcome.trained.data

    def error(model: Model) -> float:
        return 100 * evaluate_nearest_neighbour(model, data.train, data.test).error

    assert entry.value == error(load(tmp_path / "runs" / "reproduce-tiny-seed1"))
    assert list(entry.baselines) == load_recipe(tmp_path / "tiny.yaml").baselines
    # By hand: the last layer of a discriminator of the same widths, and the encoder of a joint game.
    gan = seeded_build("gan", data, 1, {"latent_dim": 3, "hidden": [16, 12], "discriminator_hidden": [16, 12]})
    joint = seeded_build("latent_regressor", data, 1, {"latent_dim": 3, "hidden": [16, 12], "joint": True})
    for name, rival in (("discriminator", gan), ("joint_latent_regressor", joint)):
        fit(rival, data, epochs=2, batch_size=200, lr=1e-3, schedule=Cosine(final=0.1), seed=1, progress=False)
        assert entry.baselines[name] == error(rival)
    known, asked = (split.x.flatten(1).float() for split in (data.train, data.test))
    pixels = nearest_neighbour_error(known, data.train.y, asked, data.test.y)
    assert entry.baselines["raw_pixels"] == 100 * pixels.error < 3
    codes = [
        load(tmp_path / "runs" / "reproduce-tiny-seed1").encode(x).mean.detach() for x in (data.train.x, data.test.x)
    ]
    assert (
        entry.baselines["codes"] == 100 * nearest_neighbour_error(codes[0], data.train.y, codes[1], data.test.y).error
    )
    untrained = seeded_build("bigan", data, 1, {"latent_dim": 3, "hidden": [16, 12]})
    assert entry.baselines["untrained"] == error(untrained) != entry.value


def test_a_baseline_may_be_told_less_than_the_model_it_stands_beside(tmp_path: Path, rival: Path) -> None:
    settings = (
        "model_settings: {hidden: [8]}\ntraining: {steps: 2}\nbudget: cpu\nmetric: negative log-likelihood\nunit: nats"
    )
    rival.write_text(f"name: rival\nmodel: made\ndata: digits\n{settings}\n")
    told = f"name: tiny\nmodel: made\ndata: digits\ndata_options: {{context: labels}}\n{settings}\nbaselines: [rival]\n"
    write(tmp_path, told)
    run(tmp_path)
    (entry,) = read_ledger(tmp_path / "results")
    other = load(tmp_path / "runs" / "reproduce-rival")
    assert other.context_event is None
    score = evaluate(other, load_data("digits").test)
    assert entry.baselines["rival"] == pytest.approx(-score.nats)
