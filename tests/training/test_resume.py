"""A run that was interrupted and resumed ends with the weights of one that never was, to the last bit."""

import csv
import hashlib
import os
import pickle
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from training_toys import PLANE, Gaussian, Halving, Noisy, points

from ancestral.data import Data, Split
from ancestral.interface import Adam, InputError
from ancestral.registry import build
from ancestral.training import Constant, Cosine, Report, fit

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
    assert "resume goes on with it" in str(report)
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


def test_a_run_that_its_budget_cut_short_is_finished_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    long, short = noisy(), noisy()
    run(long, tmp_path / "long", schedule=None)
    first = run(short, tmp_path / "short", schedule=None, epochs=None, steps=STOP)
    assert not first.done_before
    before = [losses(tmp_path / "short"), state(tmp_path / "short")]
    again = Noisy()
    # Where no budget is named the run's own counts, the epoch that it cut short among what it came to.
    for budget in ({"epochs": None}, {"epochs": None, "steps": STOP}):
        report = run(again, tmp_path / "short", schedule=None, resume=True, **budget)
        assert report.done_before
        assert (report.steps, report.epochs, report.ended_by) == (STOP, 3, "steps")
        assert (report.history, report.best) == (first.history, first.best)
        assert same(again.state_dict(), short.state_dict())
        assert same([losses(tmp_path / "short"), state(tmp_path / "short")], before)
    more = run(again, tmp_path / "short", schedule=None, resume=True)
    assert not more.done_before
    assert same(again.state_dict(), long.state_dict())
    assert same(state(tmp_path / "short"), state(tmp_path / "long"))
    assert losses(tmp_path / "short") == losses(tmp_path / "long")


def test_a_budget_of_time_is_used_up_once(tmp_path: Path) -> None:
    first = run(noisy(), tmp_path, epochs=None, minutes=0.001)
    again = run(Noisy(), tmp_path, epochs=None, resume=True)
    assert again.done_before
    assert (again.steps, again.ended_by, again.history) == (first.steps, "minutes", first.history)


def test_other_data_are_noticed(tmp_path: Path) -> None:
    """By their content: as many rows, of the same shape, do not hide that they are others."""
    x, y = {seed: points(40, seed) for seed in range(3)}, torch.arange(40) % 2

    def of(train: int = 0, valid: int = 1, labels: torch.Tensor | None = y, factor: float = 1.0) -> Data:
        parts = {name: Split(x[seed] * factor, PLANE, labels) for name, seed in (("train", train), ("valid", valid))}
        return Data("points", PLANE, **parts, test=Split(x[2], PLANE))

    settings = {"run_dir": tmp_path, "epochs": 1, "progress": False}
    fit(noisy(), of(), **settings)
    fit(noisy(), of(), resume=True, **settings)
    for changed, words in {
        of(valid=2): "the validation observations are not those",
        of(train=1, valid=0): "the training observations and the validation observations are not those",
        of(labels=1 - y): "the training labels and the validation labels are not those",
        of(labels=None): "the training labels and the validation labels are not those",
        of(factor=1 + 1e-6): "the training observations and",
    }.items():
        with pytest.raises(InputError, match=f"cannot be resumed: {words}") as caught:
            fit(noisy(), changed, resume=True, **settings)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400
    settings["run_dir"] = tmp_path / "unlabelled"
    fit(noisy(), of(labels=None), **settings)
    with pytest.raises(InputError, match="the training labels and the validation labels are not those"):
        fit(noisy(), of(), resume=True, **settings)


def test_one_line_names_the_settings_that_changed(tmp_path: Path) -> None:
    folder, event = tmp_path, PLANE
    fit(build("realnvp", event, blocks=2, hidden=[8]), points(), run_dir=folder, epochs=1, progress=False)
    other = build("realnvp", event, blocks=3, hidden=[6])
    with pytest.raises(InputError) as caught:
        fit(other, points(), run_dir=folder, epochs=1, lr=0.1, resume=True, progress=False)
    changes = "model.blocks was 2 and is now 3; model.hidden was [8] and is now [6]; lr was not set and is now 0.1"
    assert (
        str(caught.value) == f"the run in {folder} cannot be resumed: {changes}; go on as it began, or start a new run"
    )


def test_a_larger_budget_goes_on_where_nothing_was_laid_out_over_it(tmp_path: Path) -> None:
    run(noisy(), tmp_path / "constant", epochs=1, schedule=Constant())
    assert run(noisy(), tmp_path / "constant", epochs=2, schedule=Constant(), resume=True).epochs == 2
    run(noisy(), tmp_path / "cosine", epochs=1)
    with pytest.raises(InputError, match="epochs was 1 and is now 2; .* with schedule='constant' .* a larger one"):
        run(noisy(), tmp_path / "cosine", epochs=2, resume=True)


def test_no_damage_of_a_checkpoint_is_resumed_from(tmp_path: Path) -> None:
    run(noisy(), tmp_path, epochs=1)
    path = tmp_path / "checkpoint.pt"
    whole = path.read_bytes()
    generator = torch.Generator().manual_seed(0)
    for place in [*torch.randint(len(whole), (60,), generator=generator).tolist(), 0, len(whole) - 1]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with pytest.raises(InputError, match="is damaged"):
            run(noisy(), tmp_path, epochs=1, resume=True)
    path.write_bytes(whole)
    run(noisy(), tmp_path, epochs=1, resume=True)


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    run(noisy(), tmp_path / "run", epochs=1)
    content = pickle.dumps(Trap())
    digest = hashlib.sha256(content).hexdigest().encode()
    for forged in (content, content + b"\nsha256:" + digest):
        (tmp_path / "run" / "checkpoint.pt").write_bytes(forged)
        with pytest.raises(InputError, match=r"is damaged|is no checkpoint"):
            run(noisy(), tmp_path / "run", epochs=1, resume=True)
    assert not (tmp_path / "sprung").exists()


def test_what_cannot_be_resumed_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(noisy(), folder, epochs=1)
    with pytest.raises(InputError, match="not empty; resume=True goes on with its run"):
        run(noisy(), folder)
    with pytest.raises(InputError, match="seed was 0 and is now 1"):
        run(noisy(), folder, epochs=1, seed=1, resume=True)
    with pytest.raises(InputError, match="epochs was 1 and is now 2"):  # the cosine is stretched over them
        run(noisy(), folder, epochs=2, resume=True)
    with pytest.raises(InputError, match="optimizer was not set and is now {'model': Adam"):
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
    torch.save({"version": 2, "identity": {}, "state": {}}, folder / "checkpoint.pt")
    with pytest.raises(InputError, match="of an older version of ancestral; start a new run"):
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
