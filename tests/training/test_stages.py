"""Phases one after another, and state of training that is no part of the model."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from training_toys import PLANE, interrupt, points

from ancestral.data import Data, Split
from ancestral.interface import Batch, Event, InputError, Losses, Model, Phase
from ancestral.persistence import save
from ancestral.training import Cosine, TrainingDiverged, fit


class Staged(Model):
    """A denoiser, whose code a second stage reads out; both losses draw noise."""

    def __init__(self, shares: tuple[float, float] = (0.5, 0.5), event: Event = PLANE) -> None:
        super().__init__(event)
        torch.manual_seed(1)
        self.denoiser = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 2))
        self.readout = nn.Linear(2, 1)
        self.shares = shares
        self.moves: list[str] = []
        self.watch: Callable[[int], None] = lambda move: None
        #: Added to the second loss, to make it larger than the first, and larger each time.
        self.handicap = 0.0

    def phases(self) -> Sequence[Phase]:
        first, second = list(self.denoiser.parameters()), list(self.readout.parameters())
        ends, starts = self.shares
        return [Phase("denoiser", first, self._denoise, ends=ends), Phase("readout", second, self._read, starts=starts)]

    def _denoise(self, batch: Batch) -> Losses:
        self._note("denoiser")
        error = self.denoiser(batch.x + torch.randn_like(batch.x)) - batch.x
        return Losses(error.square().mean())

    def _read(self, batch: Batch) -> Losses:
        self._note("readout")
        error = self.readout(self.denoiser(batch.x + torch.randn_like(batch.x))) - batch.x.sum(1, keepdim=True)
        self.handicap += 1.0 if self.handicap else 0.0
        return Losses(error.square().mean() + self.handicap)

    def _note(self, move: str) -> None:
        if self.training:
            self.moves.append(move)
            self.watch(len(self.moves))


def data() -> Data:
    return Data("points", PLANE, *(Split(points(40, seed), PLANE) for seed in range(3)))


#: 40 rows in batches of 10 are 4 steps an epoch.
SETTINGS: dict[str, Any] = {"batch_size": 10, "progress": False, "log_every": 3}


@pytest.mark.parametrize(
    ("budget", "steps"),
    [({"epochs": 6}, 24), ({"steps": 10}, 10), ({"epochs": 6, "steps": 10}, 10), ({}, 80)],
    ids=["epochs", "steps", "the one used up first", "none"],
)
def test_phases_run_in_their_shares_of_the_budget(budget: dict[str, int], steps: int) -> None:
    model = Staged()
    report = fit(model, data(), **budget, **SETTINGS)
    assert model.moves == ["denoiser"] * (steps // 2) + ["readout"] * (steps // 2)
    assert "train/readout" not in report.history[0]
    assert "train/denoiser" not in report.history[-1]


def test_minutes_are_shared_out_too() -> None:
    model = Staged()
    fit(model, data(), minutes=0.3 / 60, **SETTINGS)
    assert model.moves == sorted(model.moves)
    assert {"denoiser", "readout"} == set(model.moves)


def test_stages_may_overlap_but_leave_no_gap() -> None:
    model = Staged((0.75, 0.25))
    fit(model, data(), steps=8, **SETTINGS)
    assert model.moves == ["denoiser"] * 2 + ["denoiser", "readout"] * 4 + ["readout"] * 2
    with pytest.raises(InputError, match="no phase of Staged runs when 0.4 of the budget is used"):
        fit(Staged((0.4, 0.6)), data(), **SETTINGS)
    with pytest.raises(InputError, match="must run between two shares"):
        Phase("late", [], lambda batch: Losses(batch.x.sum()), starts=0.5, ends=0.2)


def test_the_weights_kept_are_the_last_stages() -> None:
    """Though its loss is larger, and grows: its first epoch is the best, and patience is not lost before it."""
    model = Staged()
    model.handicap = 100.0
    report = fit(model, data(), epochs=10, patience=2, **SETTINGS)
    assert (report.epochs, report.ended_by) == (8, "patience")
    assert report.best is not None
    assert report.best["epoch"] == 6
    assert report.best["valid/loss"] > 100 > report.history[4]["valid/loss"]
    validated = [name for name in ("denoiser", "readout") if f"train/{name}" in report.best]
    assert validated == ["readout"]


def test_where_the_second_stage_diverges_the_first_ones_work_is_kept() -> None:
    model, before = Staged(), Staged()
    before.watch = lambda move: interrupt() if move == 12 else None
    fit(before, points(40), steps=24, **SETTINGS)
    model.watch = lambda move: model.readout.weight.data.fill_(torch.nan) if move == 14 else None
    with pytest.raises(TrainingDiverged, match=r"'readout'.*the weights after epoch 3; "):
        fit(model, points(40), steps=24, **SETTINGS)
    assert all(torch.equal(before.state_dict()[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("stop", [5, 17, 19], ids=["first stage", "second stage", "late"])
def test_resumes_in_the_middle_of_a_stage(tmp_path: Path, stop: int) -> None:
    settings = {**SETTINGS, "epochs": 6, "schedule": Cosine(), "ema": 0.9}

    whole, parts, resumed = Staged(), Staged(), Staged()
    straight = fit(whole, data(), **settings)
    parts.watch = lambda move: interrupt() if move == stop else None
    assert fit(parts, data(), run_dir=tmp_path, **settings).steps == stop
    report = fit(resumed, data(), run_dir=tmp_path, resume=True, **settings)
    assert parts.moves + resumed.moves == whole.moves
    assert all(torch.equal(whole.state_dict()[name], value) for name, value in resumed.state_dict().items())
    assert [row["valid/loss"] for row in report.history] == [row["valid/loss"] for row in straight.history]
    assert report.best is not None
    assert straight.best is not None
    assert report.best["epoch"] == straight.best["epoch"] >= 4
    with pytest.raises(InputError, match="epochs was 6 and is now 7"):  # the stages are shares of them
        fit(Staged(), data(), run_dir=tmp_path, resume=True, **{**settings, "epochs": 7, "schedule": None})


class Pooled(Model):
    """Compares with observations that it has seen before: a pool, as a GAN's of images."""

    monitor = None

    def __init__(self, event: Event, size: int = 8) -> None:
        super().__init__(event)
        self.centre = nn.Parameter(torch.zeros(event.shape))
        self.pool: Tensor
        self.register_buffer("pool", torch.zeros(size, *event.shape), persistent=False)
        self.calls = 0
        self.watch: Callable[[int], None] = lambda call: None

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", [self.centre], self._loss)]

    def training_state(self) -> dict[str, Tensor]:
        return {"pool": self.pool}

    @torch.no_grad()
    def _exchange(self, x: Tensor) -> Tensor:
        rows = torch.randint(len(self.pool), (len(x),))
        old = self.pool[rows]
        self.pool[rows] = x
        return old

    def _loss(self, batch: Batch) -> Losses:
        self.calls += 1
        self.watch(self.calls)
        return Losses((self._exchange(batch.x) - self.centre).square().mean())


def test_state_of_training_survives_resumption_and_is_not_in_the_model(tmp_path: Path) -> None:
    settings = {**SETTINGS, "epochs": 5, "ema": 0.9, "schedule": Cosine()}
    whole, parts, resumed = Pooled(PLANE), Pooled(PLANE), Pooled(PLANE)
    fit(whole, points(40), **settings)
    parts.watch = lambda call: interrupt() if call == 10 else None
    assert fit(parts, points(40), run_dir=tmp_path / "run", **settings).steps == 10
    place = resumed.pool.data_ptr()
    fit(resumed, points(40), run_dir=tmp_path / "run", resume=True, **settings)
    assert torch.equal(resumed.centre, whole.centre)
    assert torch.equal(resumed.pool, whole.pool)
    assert resumed.pool.data_ptr() == place
    with pytest.raises(InputError, match="the shape of pool was"):
        fit(Pooled(PLANE, size=9), points(40), run_dir=tmp_path / "run", resume=True, **settings)
    resumed.registered_name, resumed.settings = "pooled", {}
    save(resumed, tmp_path / "saved")
    assert list(load_file(tmp_path / "saved" / "model.safetensors")) == ["centre"]
