"""A loss that is not finite stops a run, and the message says where it went bad."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from training_toys import PLANE, points

from ancestral.interface import Batch, ClosedFormFit, Event, FitStep, Losses, Model, Phase
from ancestral.training import TrainingDiverged, fit


class Breaking(Model):
    """Goes bad in a chosen place, in the second phase's move at step 7 (the second epoch's third)."""

    monitor = None

    def __init__(self, where: str, event: Event = PLANE) -> None:
        super().__init__(event)
        self.network = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2))
        self.other = nn.Parameter(torch.zeros(()))
        self.where, self.calls = where, 0
        self.before: list[Tensor] = []

    def phases(self) -> Sequence[Phase]:
        calm = Phase("calm", [self.other], lambda batch: Losses(self.other.square()))
        return [calm, Phase("wild", list(self.network.parameters()), self._loss)]

    def _loss(self, batch: Batch) -> Losses:
        self.calls += 1
        x = batch.x
        if self.calls >= 7:
            if self.where == "layer":
                self.network[1].forward = lambda x: x / 0
            if self.where == "gradient" and self.calls == 7:
                # The loss is finite, its derivative at 0 is not.
                return Losses((self.network[2](self.network[1](self.network[0](x))) * 0).abs().sqrt().sum())
        error = (self.network(x) - x).square().mean()
        penalty = error.log() * 0 if self.where != "loss" or self.calls < 7 else (error - 1e9).log()
        return Losses(error + penalty, {"error": error, "penalty": penalty})


def check(model: Model, *words: str, **settings: object) -> str:
    with pytest.raises(TrainingDiverged) as caught:
        fit(model, points(64), **{"batch_size": 16, "epochs": 9, "progress": False, **settings})
    for word in words:
        assert word in str(caught.value)
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not model.training
    return str(caught.value)


def test_names_phase_step_and_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ancestral.training.engine._CHECKPOINT_SHARE", 0)
    model = Breaking("layer")
    message = check(model, "'wild'", "at step 7", "'network.1' (Tanh)", "weights after epoch 1", run_dir=tmp_path / "a")
    assert "\n" not in message
    saved = torch.load(tmp_path / "a" / "checkpoint.pt", weights_only=True)["state"]
    assert all(torch.equal(saved["model"][name], value) for name, value in model.state_dict().items())
    assert not list((tmp_path / "a").glob(".*"))


def test_names_the_part_of_a_loss_behind_the_last_layer() -> None:
    check(Breaking("loss"), "'wild'", "at step 7", "the output of every layer is finite", "'penalty'")


def test_names_the_parameter_that_a_gradient_spoiled() -> None:
    # Seen before the next epoch, and before anything is kept: with batches of 10, step 7 is the first epoch's last.
    check(Breaking("gradient"), "after step 7", "'network.2.bias'", "weights after epoch 0", batch_size=10)
    check(Breaking("gradient"), "at step 8", "'network.2.bias'", "gradient was not finite")


def test_where_looking_at_each_step_would_stall_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    from ancestral.training.game import Game

    start: Callable[..., None] = Game.__init__

    def asynchronous(self: Game, *args: object) -> None:
        start(self, *args)
        self._looks = False

    monkeypatch.setattr(Game, "__init__", asynchronous)
    check(Breaking("loss"), "'wild'", "not finite at step 7", log_every=10)
    check(Breaking("loss"), "'wild'", "not finite at step 7", log_every=100)


def test_a_closed_form_fit_keeps_its_last_parameters() -> None:
    class Bursting(ClosedFormFit):
        def __init__(self) -> None:
            super().__init__(PLANE)
            self.mean: Tensor
            self.register_buffer("mean", torch.ones(2))

        def _fit_start(self, x: Tensor) -> None:
            return

        def _fit_step(self, x: Tensor) -> FitStep:
            self.mean *= 1e15
            return FitStep(float(self.mean.sum()))

    model = Bursting()
    with pytest.raises(TrainingDiverged, match="iteration 3"):
        fit(model, points(), progress=False)
    assert model.mean.tolist() == pytest.approx([1e30, 1e30])
