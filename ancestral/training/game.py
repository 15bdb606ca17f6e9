"""A model's phases at work: each with its optimizer, one after another on each batch."""

import math
from collections.abc import Sequence
from dataclasses import is_dataclass, replace
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from ancestral.interface import Batch, InputError, Losses, Model, Phase
from ancestral.training.devices import Devices
from ancestral.training.diagnosis import find_fault, find_spoiled_parameter
from ancestral.training.losses import LossRecord
from ancestral.training.report import TrainingDiverged
from ancestral.training.settings import Settings


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
        self.index, self.name, self.every, self.after_step = index, phase.name, phase.every, phase.after_step
        # What the caller has frozen before the fit stays as it is.
        self.parameters = [parameter for parameter in phase.parameters if parameter.requires_grad]
        if not self.parameters:
            raise InputError(f"the phase {phase.name!r} has no parameter to train: none has requires_grad=True")
        spec = settings.optimizer or phase.optimizer
        if settings.lr is not None:
            if not is_dataclass(spec):
                raise InputError(f"lr needs an optimizer that is a dataclass with the field lr, got {spec!r}")
            spec = replace(spec, lr=settings.lr)
        self._lr = spec.lr
        self.optimizer = spec.build(self.parameters)

    def scale_lr(self, factor: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self._lr * factor


class Stage:
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
            raise InputError(f"{type(model).__name__} has no phases and no closed-form fit: there is nothing to train")
        self.players = [Player(index, phase, settings) for index, phase in enumerate(self.phases)]
        self.stage = Stage(model, self.players)
        self.forward = devices.wrap(PhaseLosses(model, self.phases))
        self.record = LossRecord()
        # On a CPU a loss is there to be looked at before it does harm; elsewhere looking would stall the device.
        self._looks = devices.device.type == "cpu" and devices.world == 1

    def play(self, step: int, batch: Batch, weight: float) -> None:
        """One step. `weight` makes the mean over processes the mean over the whole batch."""
        self._latest = batch
        for player in self.players:
            if step % player.every == 0:
                self._move(player, step, batch, weight)

    def _move(self, player: Player, step: int, batch: Batch, weight: float) -> None:
        self.stage.enter(player.index)
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
        if player.after_step is not None:
            player.after_step()

    def _backward(self, player: Player, step: int, batch: Batch, weight: float) -> None:
        with self.devices.autocast():
            total, parts = self.forward(player.index, batch.x, batch.y, batch.context)
        if self._looks and not math.isfinite(total.item()):
            self.report_fault(player.name, step)
        self.devices.backward(total if weight == 1 else total * weight)
        self.record.add(step, player.name, total, parts)

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
        return {"optimizers": optimizers, "record": self.record.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for player, saved in zip(self.players, state["optimizers"], strict=True):
            player.optimizer.load_state_dict(saved)
        self.record.load_state_dict(state["record"])


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
