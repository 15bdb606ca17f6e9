"""A line for what a run can be measured by, and one for how well it classifies."""

import re
from collections.abc import Iterable, Sequence

import pytest
from torch import Tensor, nn

from ancestral import registry
from ancestral.data import load_data
from ancestral.evaluation import evaluate_classifier
from ancestral.interface import Adam, Batch, Classifier, Event, Levels, Losses, Model, Phase
from ancestral.persistence import read_config, save
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
    for name in ("gaussian-mixture", "kmeans"):
        assert cli("fit", name, "digits", "--model.components", 3, "--steps", 2).code == 0
    mixture = cli("evaluate", "runs/digits-gaussian-mixture")
    assert re.fullmatch(r"gaussian_mixture on digits test: .* nats .*\n", mixture.out)
    assert "KMeans is no Classifier" in cli("evaluate", "runs/digits-kmeans").err


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
