"""A line for what a run can be measured by, and one for how well it classifies."""

import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from ancestral import registry
from ancestral.data import load_data
from ancestral.evaluation import amortization_gap, evaluate_classifier, evaluate_samples, latent_information
from ancestral.interface import Adam, Batch, Classifier, Event, Levels, Losses, Model, Phase, Real
from ancestral.models.linear.gaussian_mixture import GaussianMixture
from ancestral.models.linear.kmeans import KMeans
from ancestral.persistence import load, read_config, save
from ancestral.training import fit


class Linear(Classifier):
    """Logistic regression: no density, no samples."""

    monitor = "accuracy"

    def __init__(self, event: Event, *, context_event: Event | None = None, classes: int = 10) -> None:
        super().__init__(event, context_event=context_event)
        self.network = nn.Sequential(nn.Flatten(), nn.Linear(event.size, classes))

    @classmethod
    def examples(cls) -> Iterable[Model]:
        yield cls(Event((3,), Levels(4)), classes=2)

    @property
    def classes(self) -> int:
        return int(self.network[1].out_features)

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self._loss, optimizer=Adam(1e-2))]

    def _loss(self, batch: Batch) -> Losses:
        assert batch.y is not None
        return Losses(nn.functional.nll_loss(self._class_log_probs(batch.x), batch.y))

    def _class_log_probs(self, x: Tensor) -> Tensor:
        return self.network(x).log_softmax(1)


def test_a_classifier_is_judged_by_its_error(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.list_models()  # found before the copy, not into it
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    registered = registry.register("linear")(Linear)
    data = load_data("digits")
    model = registered(data.event)
    fit(model, data, epochs=20, progress=False)
    save(model, "run", recipe={"data": {"name": "digits"}})
    measured = evaluate_classifier(model, data.test)
    assert measured.error < 0.1
    assert cli("evaluate", "run").out == f"linear on digits test: {measured}\n"
    assert "n = 50\n" in cli("evaluate", "run", "--limit", 50, "--batch-size", 20).out


def test_what_learned_its_classes_alone_has_none(cli) -> None:
    assert cli("fit", "gaussian-mixture", "digits", "--model.components", 3, "--steps", 2).code == 0
    mixture = cli("evaluate", "runs/digits-gaussian-mixture")
    assert re.fullmatch(r"gaussian_mixture on digits test: .* nats .*\n", mixture.out)


def table(path: str) -> np.ndarray:
    """A column in metres about 0, one in the hundreds of thousands, and three clusters of 100 rows."""
    x = np.random.default_rng(0).normal(size=(300, 2)) + 8 * np.repeat([[0, 0], [1, 0], [0, 1]], 100, axis=0)
    x = x * [1e-3, 1e5] + [0.0, 4e5]
    pd.DataFrame(x, columns=["length", "price"]).to_csv(path, index=False)
    return x


def test_clusters_of_a_table_are_numbered_measured_and_say_how_far_a_row_is(cli) -> None:
    x = table("rows.csv")
    done = cli("fit", "kmeans", "rows.csv", "--model.components", 3)
    assert done.code == 0, done.err
    said = re.search(r"^reconstruction \(test\): (.*inertia.*)$", done.out, re.MULTILINE)
    assert said is not None, done.out
    assert cli("evaluate", "runs/rows-kmeans").out == f"kmeans on rows.csv test: {said[1]}\n"
    assert cli("encode", "runs/rows-kmeans", "rows.csv", "-o", "codes.csv").code == 0
    codes = pd.read_csv("codes.csv")
    assert list(codes.columns) == ["cluster", "distance"]
    # The clusters are those that were drawn, though one column is 10^8 times the other.
    assert [codes["cluster"][i * 100 : (i + 1) * 100].value_counts().iloc[0] >= 98 for i in range(3)] == [True] * 3
    assert codes["cluster"].nunique() == 3
    model = load("runs/rows-kmeans")
    assert isinstance(model, KMeans)
    inertia = float(model.inertia(torch.from_numpy(x)))
    assert float(codes["distance"].pow(2).sum()) == pytest.approx(inertia, rel=1e-6)
    cli("fit", "gaussian-mixture", "rows.csv", "--model.components", 3)
    assert cli("encode", "runs/rows-gaussian-mixture", "rows.csv", "-o", "codes.csv").code == 0
    codes = pd.read_csv("codes.csv")
    assert list(codes.columns) == ["component", "z0", "z1", "z2", "distance"]
    assert (codes[["z0", "z1", "z2"]].to_numpy().argmax(1) == codes["component"]).all()


@pytest.mark.parametrize("rows", [200, 12_000])
def test_a_model_without_a_density_is_judged_alike_after_its_training_and_later(cli, rows: int) -> None:
    done = cli("fit", "gan", "two-moons", "--data.n", rows, "--steps", 2, "--model.hidden", "[8]")
    assert done.code == 0, done.err
    split = "train" if rows == 200 else "test"
    said = re.findall(rf"^samples \({split}\): (.*)$", done.out, re.MULTILINE)
    assert [line.split()[0] for line in said] == ["Fréchet", "kernel", "precision", "told", "nearest"], done.out
    later = cli("evaluate", "runs/two-moons-gan").out
    assert later == "".join(f"gan on two-moons {split}: {line}\n" for line in said)
    assert cli("evaluate", "runs/two-moons-gan", "--split", "valid").out.startswith("gan on two-moons valid: Fréchet")


def test_samples_of_any_model_that_draws_are_judged_where_they_are_asked_for(cli) -> None:
    data = load_data("digits")
    model = registry.build("gaussian_mixture", data, components=2, covariance="diagonal")
    fit(model, data, steps=2, progress=False)
    save(model, "run", recipe={"data": {"name": "digits"}})
    assert len(cli("evaluate", "run").out.splitlines()) == 1
    found = cli("evaluate", "run", "--samples", 200, "--features", "pca", "--seed", 3).out.splitlines()
    expected = evaluate_samples(model, data, samples=200, features="pca", seed=3)
    assert found[1:] == [f"gaussian_mixture on digits train: {line}" for line in str(expected).splitlines()]
    assert "64 features of a classifier of 10 classes" in cli("evaluate", "run", "--samples", 200).out
    assert "there is no file 'w.npz'" in cli("evaluate", "run", "--features", "inception:w.npz").err
    assert "did you mean 'pca'" in cli("evaluate", "run", "--features", "pcaa").err
    kmeans = registry.build("kmeans", data, components=2)
    fit(kmeans, data, progress=False)
    save(kmeans, "clusters", recipe={"data": {"name": "digits"}})
    assert "kmeans cannot be sampled" in cli("evaluate", "clusters", "--samples", 10).err


def test_optimizers_and_schedules_are_spelled_as_in_recipes(cli) -> None:
    small = ("--steps", 2, "--model.hidden", "[8]", "--model.latent_dim", 2)
    done = cli("fit", "vae", "digits", *small, "--optimizer", "adam", "--optimizer.weight_decay", 0.1,
               "--schedule", "cosine", "--schedule.warmup-steps", 50)  # fmt: skip
    assert done.code == 0, done.err
    how = read_config("runs/digits-vae")["recipe"]["fit"]
    assert "weight_decay=0.1" in how["optimizer"]
    assert how["schedule"] == "Cosine(warmup_steps=50, final=0.0)"
    done = cli("fit", "gan", "two-moons", *small, "--optimizer.generator", "sgd", "--optimizer.generator.lr", 1e-4,
               "--lr.discriminator", 1e-5)  # fmt: skip
    assert done.code == 0, done.err
    how = read_config("runs/two-moons-gan")["recipe"]["fit"]
    assert "{'generator': SGD(lr=0.0001, momentum=0.0)}" in how["optimizer"]
    for arguments, words in {
        ("--optimizer", "adamm"): "there is no optimizer 'adamm' (did you mean 'adam'?)",
        ("--optimizer.name", "adam", "--optimizer.momentum", "1"): "the optimizer 'adam' has no setting 'momentum'",
        ("--optimizer.lr", "1"): "the optimizer needs a name, such as adam",
        ("--optimizer.generators", "adam"): "the phase 'generators' (did you mean 'generator'?)",
        ("--schedule", "cosin"): "there is no schedule 'cosin' (did you mean 'cosine'?)",
    }.items():
        done = cli("fit", "gan", "two-moons", *small, *arguments, "--run-dir", "wrong")
        assert done.code == 1
        assert words in done.err
        assert len(done.err.strip().splitlines()) == 1


def test_what_amortized_inference_loses_stands_below_the_likelihood(cli) -> None:
    data = load_data("digits")
    model = registry.build("vae", data, latent_dim=2, hidden=[16])
    fit(model, data, epochs=1, progress=False)
    save(model, "run", recipe={"data": {"name": "digits"}})
    measured = amortization_gap(model, data.test, limit=20, seed=3)
    done = cli("evaluate", "run", "--amortization-gap", "--limit", 20, "--seed", 3)
    assert done.out.splitlines()[1] == f"vae on digits test: {measured}"
    assert "amortization" not in cli("evaluate", "run", "--limit", 20).out
    held = latent_information(model, data.test, limit=20, seed=3)
    done = cli("evaluate", "run", "--kl", "--limit", 20, "--seed", 3)
    assert done.out.splitlines()[1] == f"vae on digits test: {held}"
    save(GaussianMixture(Event((2,), Real()), components=2), "mixture")
    np.save("x.npy", np.zeros((4, 2), np.float32))
    assert "has no amortization gap" in cli("evaluate", "mixture", "x.npy", "--amortization-gap").err
