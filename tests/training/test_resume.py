"""A run that was interrupted and resumed ends with the weights of one that never was, to the last bit."""

import csv
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from training_toys import PLANE, Gaussian, Halving, Noisy, points

from ancestral.data import Data, Split
from ancestral.interface import Adam, InputError
from ancestral.training import Cosine, Report, fit

SETTINGS: dict[str, Any] = {
    "epochs": 5, "batch_size": 16, "schedule": Cosine(warmup_steps=3), "ema": 0.9, "log_every": 3, "progress": False,
}  # fmt: skip
#: 100 rows in batches of 16 are 7 steps an epoch: the 17th is in the middle of the third.
STOP = 17


def data() -> Data:
    parts = {name: Split(points(100, seed), PLANE) for seed, name in enumerate(("train", "valid", "test"))}
    return Data("points", PLANE, **parts)


def noisy() -> Noisy:
    torch.manual_seed(3)
    return Noisy()


def run(model: Noisy, folder: Path, **changes: Any) -> Report:
    return fit(model, data(), run_dir=folder, **{**SETTINGS, **changes})


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a if key != "seconds")
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def state(folder: Path) -> Any:
    return torch.load(folder / "checkpoint.pt", weights_only=True)["state"]


def losses(folder: Path) -> list[tuple[str, ...]]:
    with (folder / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return [(row["step"], row["name"], row["value"]) for row in rows if not row["name"].startswith("loss/")]


@pytest.fixture
def straight(tmp_path: Path) -> tuple[Noisy, Path]:
    model = noisy()
    run(model, tmp_path / "straight")
    return model, tmp_path / "straight"


def raise_interrupt(call: int) -> None:
    if call == STOP:
        raise KeyboardInterrupt


def send(number: int) -> Any:
    return lambda call: os.kill(os.getpid(), number) if call == STOP else None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_the_step(straight: tuple[Noisy, Path], tmp_path: Path, number: int) -> None:
    model, folder = noisy(), tmp_path / "run"
    model.watch = send(number)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    report = run(model, folder)
    assert report.interrupted
    assert (report.steps, report.epochs, report.ended_by) == (STOP, 2, "interrupted")
    assert "resume=True" in str(report)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    resumed = Noisy()
    report = run(resumed, folder, resume=True)
    assert (report.steps, report.epochs, report.ended_by) == (35, 5, "epochs")
    assert same(resumed.state_dict(), straight[0].state_dict())
    assert same(state(folder), state(straight[1]))
    assert losses(folder) == losses(straight[1])


def test_a_hard_stop_falls_back_on_the_last_checkpoint(straight: tuple[Noisy, Path], tmp_path: Path) -> None:
    model, folder = noisy(), tmp_path / "run"
    model.watch = raise_interrupt
    with pytest.raises(KeyboardInterrupt):
        run(model, folder)
    assert not model.training
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.pt", "metrics.csv"]
    resumed = Noisy()
    run(resumed, folder, resume=True)
    assert same(resumed.state_dict(), straight[0].state_dict())
    assert same(state(folder), state(straight[1]))


def test_a_finished_run_can_be_made_longer(tmp_path: Path) -> None:
    long, short = noisy(), noisy()
    run(long, tmp_path / "long", schedule=None)
    run(short, tmp_path / "short", schedule=None, steps=STOP)
    run(short, tmp_path / "short", schedule=None, resume=True)
    assert same(short.state_dict(), long.state_dict())
    again = Noisy()
    report = run(again, tmp_path / "short", schedule=None, resume=True)
    assert (report.steps, report.epochs) == (35, 5)
    assert same(again.state_dict(), long.state_dict())


def test_what_cannot_be_resumed_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(noisy(), folder, epochs=1)
    with pytest.raises(InputError, match="not empty; continue its run with resume=True"):
        run(noisy(), folder)
    with pytest.raises(InputError, match="seed was 0 and is now 1"):
        run(noisy(), folder, epochs=1, seed=1, resume=True)
    with pytest.raises(InputError, match="epochs was 1 and is now 2"):  # the cosine is stretched over them
        run(noisy(), folder, epochs=2, resume=True)
    with pytest.raises(InputError, match="optimizer was None and is now {'model': Adam"):
        run(noisy(), folder, epochs=1, optimizer={"model": Adam()}, resume=True)
    with pytest.raises(InputError, match="model was Noisy and is now Gaussian"):
        fit(Gaussian(), data(), run_dir=folder, resume=True, **{**SETTINGS, "epochs": 1})
    with pytest.raises(InputError, match="training rows was 100 and is now 99"):
        fit(noisy(), points(99), run_dir=folder, resume=True, **{**SETTINGS, "epochs": 1})
    whole = (folder / "checkpoint.pt").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"no checkpoint", b""):
        (folder / "checkpoint.pt").write_bytes(damaged)
        with pytest.raises(InputError, match="is damaged"):
            run(noisy(), folder, epochs=1, resume=True)
    torch.save({"version": 99}, folder / "checkpoint.pt")
    with pytest.raises(InputError, match="no checkpoint of this version"):
        run(noisy(), folder, epochs=1, resume=True)
    (folder / "checkpoint.pt").unlink()
    with pytest.raises(InputError, match=r"holds no checkpoint\.pt"):
        run(noisy(), folder, epochs=1, resume=True)


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ancestral.training.engine._CHECKPOINT_SHARE", 0)
    folder = tmp_path / "run"
    whole = torch.save
    written = []

    def full_disk(value: object, path: Path) -> None:
        if len(written) < 2:
            written.append(path)
            return whole(value, path)
        path.write_bytes(b"half")
        raise RuntimeError("PytorchStreamWriter failed writing file: file write failed")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(InputError, match="could not be written"):
        run(noisy(), folder)
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.pt", "metrics.csv"]
    assert state(folder)["step"] == 7


def test_a_closed_form_fit_resumes(tmp_path: Path) -> None:
    def interrupt() -> None:
        steps.append(1)
        if len(steps) == 5:
            os.kill(os.getpid(), signal.SIGINT)

    steps: list[int] = []
    whole, parts = Halving(), Halving()
    straight = fit(whole, points(), progress=False)
    parts.watch = interrupt
    assert fit(parts, points(), run_dir=tmp_path, progress=False).interrupted
    parts = Halving()
    resumed = fit(parts, points(), run_dir=tmp_path, resume=True, progress=False)
    assert torch.equal(whole.mean, parts.mean)
    assert resumed.trace == straight.trace
