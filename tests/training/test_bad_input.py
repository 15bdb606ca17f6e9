"""Whatever is wrong is said before any training starts, in one line."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset
from training_toys import PLANE, Duel, Gaussian, Noisy, points

from ancestral.data import Data, Split
from ancestral.interface import Binary, Classifier, Event, InputError, Levels, Unpaired
from ancestral.training import Cosine, Step, fit


class Labels(Gaussian, Classifier):
    classes = 3

    def _class_log_probs(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), 3)


class Rows(Dataset[Any]):
    def __init__(self, *items: Any) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


def refused(match: str, model: Any = None, data: Any = None, **settings: Any) -> None:
    model = model or Gaussian()
    start = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(InputError, match=match) as caught:
        fit(model, points() if data is None else data, **settings)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(start[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        ({"steps": -1}, "steps must be a whole number of at least 1"),
        ({"minutes": 0.0}, "minutes must be a finite number above 0"),
        ({"minutes": float("nan")}, "minutes must be"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1"),
        ({"seed": -1}, "seed must be"),
        ({"lr": 0.0}, "lr must be"),
        ({"ema": 1.0}, "ema must be above 0 and below 1"),
        ({"accumulate": 200}, "accumulate splits a batch of 128"),
        ({"precision": "fp8"}, "precision must be one of 32-true, bf16-mixed"),
        ({"accelerator": "abacus"}, "accelerator must be one of"),
        ({"accelerator": "cpu", "devices": 10**6}, "devices is 1000000, but on this machine there are"),
        ({"log_every": 0}, "log_every must be"),
        ({"resume": True}, "resume needs a folder"),
        ({"tensorboard": True}, "tensorboard needs a folder"),
        ({"preview_every": 5}, "preview_every needs a folder"),
        ({"patience": 3}, "patience waits for a better validation, but there is no validation split"),
    ],
)
def test_settings(settings: dict[str, Any], match: str) -> None:
    refused(match, **settings)


def test_schedules() -> None:
    for make in (lambda: Cosine(warmup_steps=-1), lambda: Cosine(final=2.0), lambda: Step(0), lambda: Step(2, 0.0)):
        with pytest.raises(InputError, match="needs"):
            make()


def test_data() -> None:
    refused(r"must have shape \(n, 2\) for this Gaussian, got \(5, 3\)", data=torch.zeros(5, 3))
    refused("found nan at index", data=torch.full((4, 2), torch.nan))
    refused("found inf at index", data=torch.full((4, 2), torch.inf))
    refused("no observations", data=torch.zeros(0, 2))
    refused("found 2.5 at index", model=Gaussian(Event((2,), Binary())), data=torch.full((4, 2), 2.5))
    split = Split(torch.zeros(4, 2, dtype=torch.uint8), Event((2,), Levels(4)))
    refused("the data are on Levels.* but this Gaussian is of Real", data=split)
    labelled = Split(points(4), PLANE, torch.tensor([0, 1, 2, 3]))
    refused("below the 3 classes of this Labels, found 3", model=Labels(), data=labelled)
    refused("a validation split, but there is no monitor|no monitor", model=Duel(), data=_data(), patience=2)


def test_foreign_data_sets() -> None:
    refused("the data set is empty", data=Rows())
    refused("must be a Batch, a tensor x or a pair", data=Rows("text"))
    refused(r"must have shape \(n, 2\)", data=Rows(torch.zeros(3)))
    refused("found nan", data=Rows(torch.zeros(2), torch.full((2,), torch.nan)))
    refused("below the 3 classes", model=Labels(), data=Rows((torch.zeros(2), 5)))
    late = Rows(*[torch.zeros(2)] * 99, torch.full((2,), torch.nan))
    with pytest.raises(InputError, match="found nan"):
        fit(Gaussian(), late, progress=False)


def test_contexts() -> None:
    conditioned = _data(classes=("a", "b")).conditioned_on("labels")
    refused("the data have a context but this Gaussian is unconditional", data=conditioned)
    model = Gaussian()
    model.context_event = Event((), Levels(3))
    refused("context is .* but this Gaussian is conditioned on", model=model, data=conditioned)
    refused("is conditional but the data have no context", model=model, data=_data())


def test_two_domains() -> None:
    model = Gaussian()
    model.batching = Unpaired()
    lacks = "learns from two domains, which points does not have"
    refused(f"{lacks}; put them in folders, one for each, or in trainA", model=model, data=_data())
    refused(f"{lacks}; take two of its classes, a, b, as domains=", model=model, data=_data(classes=("a", "b")))
    classes = Split(points(9), PLANE, torch.arange(9) % 3)
    refused(r"labelled y = 0 and y = 1, each with rows, found the labels \[0, 1, 2\]", model=model, data=classes)


def test_run_folders(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused("cannot be written", run_dir=tmp_path / "file")
    refused("cannot be written", run_dir=tmp_path / "file" / "below")
    refused("is not empty", run_dir=tmp_path)
    refused("draws no samples", model=Noisy(), run_dir=tmp_path / "a", preview_every=1)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10})())
    refused("MB left on its disk but a checkpoint of this model takes", run_dir=tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())


def _data(classes: tuple[str, ...] | None = None) -> Data:
    y = torch.arange(8) % 2
    return Data("points", PLANE, *(Split(points(8, seed), PLANE, y) for seed in range(3)), classes=classes)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"optimizer": "adam"},
            r"optimizer must be Adam\(...\), .* or SparseSGD\(...\).*got 'adam'",
        ),
        ({"optimizer": {"model": "adam"}}, "optimizer must be Adam"),
        ({"epochs": 1.5}, "epochs must be a whole number of at least 1, got 1.5"),
        ({"max_iterations": 0}, "max_iterations must be a whole number of at least 1"),
        ({"batch_size": "64"}, "batch_size must be a whole number"),
        ({"lr": "0.1"}, "lr must be a finite number above 0, got '0.1'"),
        ({"seed": True}, "seed must be a whole number"),
    ],
)
def test_settings_of_a_wrong_type_are_refused(untyped: None, settings: dict[str, Any], words: str) -> None:
    refused(words, **settings)
