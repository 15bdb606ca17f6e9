"""A model's phases at work: each with its optimizer, one after another on each batch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass, replace
from typing import Any, NoReturn, TypeVar

import torch
from torch import Tensor, nn

from ancestral.interface import Batch, InputError, Losses, Model, Phase, SparseSGD
from ancestral.suggestions import did_you_mean
from ancestral.training.devices import Devices
from ancestral.training.diagnosis import find_fault, find_spoiled_parameter
from ancestral.training.losses import LossRecord
from ancestral.training.report import TrainingDiverged
from ancestral.training.settings import Settings

T = TypeVar("T")


class PhaseLosses(nn.Module):
    """The losses of all phases as one module: distributed training averages what passes through a forward."""

    def __init__(self, model: Model, phases: Sequence[Phase]) -> None:
        super().__init__()
        self.model = model
        self.losses = [phase.loss for phase in phases]

    def forward(
        self, phase: int, x: Tensor, y: Tensor | None, context: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        losses: Losses = self.losses[phase](Batch(x, y, context))
        return losses.total, dict(losses.parts)


class Player:
    """A phase with its optimizer."""

    def __init__(self, index: int, phase: Phase, settings: Settings) -> None:
        self.index, self.phase = index, phase
        # What the caller has frozen before the fit stays as it is.
        self.parameters = [parameter for parameter in phase.parameters if parameter.requires_grad]
        if not self.parameters:
            raise InputError(f"the phase {phase.name!r} has no parameter to train: none has requires_grad=True")
        spec = _of_phase(settings.optimizer, phase.name) or phase.optimizer
        lr = _of_phase(settings.lr, phase.name)
        if lr is not None:
            if not is_dataclass(spec):
                raise InputError(f"lr needs an optimizer that is a dataclass with the field lr, got {spec!r}")
            spec = replace(spec, lr=lr)
        if phase.sparse != isinstance(spec, SparseSGD):
            kind = "sparse: SparseSGD alone follows them" if phase.sparse else "dense: SparseSGD follows sparse ones"
            raise InputError(f"the gradients of the phase {phase.name!r} are {kind}; got {spec}")
        self._lr = spec.lr
        self.optimizer = spec.build(self.parameters)

    def scale_lr(self, factor: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self._lr * factor

    def runs_at(self, progress: float) -> bool:
        """Whether its phase is on. The last step of a budget of minutes may lie a little above 1."""
        return self.phase.starts <= progress and (progress < self.phase.ends or self.phase.ends == 1)


class Freezing:
    """Thaws the parameters of the phase that moves and freezes all others; only what differs is touched."""

    def __init__(self, model: nn.Module, players: Sequence[Player]) -> None:
        self._trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._current = -1
        everyone = {id(parameter): parameter for parameter in self._trainable}
        sets = [{id(parameter): parameter for parameter in player.parameters} for player in players]
        self._changes = {
            (before, after): (_minus(sets[after], was), _minus(was, sets[after]))
            for after in range(len(players))
            for before, was in [(-1, everyone), *enumerate(sets)]
            if before != after
        }

    def enter(self, index: int) -> None:
        if index == self._current:
            return
        thaw, freeze = self._changes[self._current, index]
        for parameter in thaw:
            parameter.requires_grad = True
        for parameter in freeze:
            parameter.requires_grad = False
        self._current = index

    def leave(self) -> None:
        """Everything as it was before the fit, without gradients."""
        for parameter in self._trainable:
            parameter.requires_grad = True
            parameter.grad = None
        self._current = -1


class Game:
    """All phases of a model on its device: `play` runs those that are due on a batch."""

    def __init__(self, model: Model, settings: Settings, devices: Devices) -> None:
        self.model, self.devices = model, devices
        self.accumulate, self.clip_gradient = settings.accumulate, settings.clip_gradient
        self.phases = list(model.phases())
        if not self.phases:
            raise InputError(f"{model.display_name} has no phases and no closed-form fit: there is nothing to train")
        if self.clip_gradient is not None and (sparse := [phase.name for phase in self.phases if phase.sparse]):
            raise InputError(f"the gradients of the phase {sparse[0]!r} are sparse: clip_gradient has no norm of them")
        for name in ("optimizer", "lr"):
            self._check_phases_of(getattr(settings, name), name)
        self.players = [Player(index, phase, settings) for index, phase in enumerate(self.phases)]
        #: Whether there are stages: phases that do not run over the whole budget.
        self.staged = any(phase.starts > 0 or phase.ends < 1 for phase in self.phases)
        for share in {0.0, *(phase.ends % 1 for phase in self.phases)}:
            if not any(player.runs_at(share) for player in self.players):
                raise InputError(f"no phase of {model.display_name} runs when {share:g} of the budget is used")
        #: The share of the budget that was used at the latest step, and the players of the stage that it lies in.
        self.progress, self.running = 0.0, [player for player in self.players if player.runs_at(0.0)]
        self.freezing = Freezing(model, self.players)
        self.forward = devices.wrap(PhaseLosses(model, self.phases))
        self.record = LossRecord()
        # On a CPU a loss is there to be looked at before it does harm; elsewhere looking would stall the device.
        self._looks = devices.device.type == "cpu" and devices.world == 1

    def enter_stage(self, progress: float) -> bool:
        """Let those phases run that are on where this share of the budget is used; whether these are other ones now."""
        before, self.progress = self.running, progress
        self.running = [player for player in self.players if player.runs_at(progress)]
        return before != self.running

    @property
    def in_last_stage(self) -> bool:
        """Whether no phase is still to start, or to end before the others."""
        return all(max(phase.starts, phase.ends % 1) <= self.progress for phase in self.phases)

    def play(self, step: int, batch: Batch, weight: float) -> None:
        """One step. `weight` makes the mean over processes the mean over the whole batch."""
        self._latest = batch
        for player in self.running:
            if step % player.phase.every == 0:
                self._move(player, step, batch, weight)

    def _move(self, player: Player, step: int, batch: Batch, weight: float) -> None:
        self.freezing.enter(player.index)
        for parameter in player.parameters:
            parameter.grad = None
        if self.accumulate == 1:
            self._backward(player, step, batch, weight)
        else:
            *first, (last, share) = _pieces(batch, self.accumulate)
            with self.devices.without_averaging(self.forward):
                for piece, its_share in first:
                    self._backward(player, step, piece, weight * its_share)
            self._backward(player, step, last, weight * share)
        if self.clip_gradient is not None:
            torch.nn.utils.clip_grad_norm_(player.parameters, self.clip_gradient)
        player.optimizer.step()
        if player.phase.after_step is not None:
            player.phase.after_step()

    def _backward(self, player: Player, step: int, batch: Batch, weight: float) -> None:
        with self.devices.autocast():
            total, parts = self.forward(player.index, batch.x, batch.y, batch.context)
        if self._looks and not math.isfinite(total.item()):
            self.report_fault(player.phase.name, step)
        self.devices.backward(total if weight == 1 else total * weight)
        self.record.add(step, player.phase.name, total, parts)

    def report_fault(self, phase: str, step: int) -> NoReturn:
        """Raise `TrainingDiverged` for the loss of a phase, with what goes bad in the model on the latest batch."""
        batch = self._latest
        loss = next(candidate.loss for candidate in self.phases if candidate.name == phase)
        self.model.train()
        fault = find_fault(self.model, lambda: loss(batch))
        raise TrainingDiverged(f"the loss of the phase {phase!r} is not finite at step {step}; {fault}")

    def check_weights(self, step: int) -> None:
        """Raise `TrainingDiverged` if an update has spoiled the weights, which the next loss would show."""
        if fault := find_spoiled_parameter(self.model):
            raise TrainingDiverged(f"the weights are not finite after step {step}; {fault}")

    def scale_lr(self, factor: float) -> None:
        for player in self.players:
            player.scale_lr(factor)

    def state_dict(self) -> dict[str, Any]:
        optimizers = [player.optimizer.state_dict() for player in self.players]
        return {"optimizers": optimizers, "record": self.record.state_dict(), "progress": self.progress}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for player, saved in zip(self.players, state["optimizers"], strict=True):
            player.optimizer.load_state_dict(saved)
        self.record.load_state_dict(state["record"])
        self.enter_stage(state["progress"])

    def _check_phases_of(self, given: Any, name: str) -> None:
        phases = [phase.name for phase in self.phases]
        for phase in given if isinstance(given, Mapping) else ():
            if phase not in phases:
                raise InputError(
                    f"{name} names the phase {phase!r}{did_you_mean(str(phase), phases)};"
                    f" the phases of {self.model.display_name} are {', '.join(phases)}"
                )


def _of_phase(given: T | Mapping[str, T] | None, phase: str) -> T | None:
    """What is given for all phases, or for this one by its name."""
    return given.get(phase) if isinstance(given, Mapping) else given


def _minus(a: dict[int, nn.Parameter], b: dict[int, nn.Parameter]) -> list[nn.Parameter]:
    return [parameter for key, parameter in a.items() if key not in b]


def _pieces(batch: Batch, count: int) -> list[tuple[Batch, float]]:
    """The batch in `count` pieces with their shares of its rows; every count-th row, so that an order survives."""
    rows = len(batch.x)
    return [
        (
            Batch(
                batch.x[start::count],
                None if batch.y is None else batch.y[start::count],
                None if batch.context is None else batch.context[start::count],
            ),
            len(range(start, rows, count)) / rows,
        )
        for start in range(min(count, rows))
    ]
