"""The one engine for everything that learns by gradients: the phases of a model, in order, on every batch.

The inner loop does as little as it can in Python. It never waits for an accelerator: losses stay where they are until
they are logged, and the terminal is redrawn a few times a second.
"""

import math
import time
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, get_args

import torch
from torch import Tensor

from ancestral.interface import InputError, Model
from ancestral.persistence import CHECKPOINT
from ancestral.training.checkpoint import (
    Identity,
    bytes_of,
    check_same_run,
    open_run_dir,
    read_checkpoint,
    run_identity,
    write_checkpoint,
)
from ancestral.training.devices import Devices
from ancestral.training.display import losses_text, monitor_text, open_display
from ancestral.training.ema import MovingAverage
from ancestral.training.game import Game
from ancestral.training.interrupt import Interrupt
from ancestral.training.loader import Loader
from ancestral.training.logs import Logs
from ancestral.training.preview import Preview, preview_of
from ancestral.training.report import Ending, Report, Row, TrainingDiverged, Weights
from ancestral.training.schedules import Constant
from ancestral.training.settings import BUDGET, Settings
from ancestral.training.sources import Source
from ancestral.training.validation import Validation

#: A checkpoint is written at the end of an epoch, and inside a long one this often ...
_CHECKPOINT_SECONDS = 300.0
#: ... but writing takes at most one part in so many of the run's time.
_CHECKPOINT_SHARE = 20
#: Copies of the weights in a checkpoint: themselves, the best ones, Adam's two moments, the moving average.
_CHECKPOINT_COPIES = 5


class Engine:
    """One run: built from checked settings, run once."""

    def __init__(self, model: Model, train: Source, valid: Source | None, settings: Settings, devices: Devices) -> None:
        self.model, self.settings, self.devices = model, settings, devices
        devices.place(model)
        self.game = Game(model, settings, devices)
        shared = {"rank": devices.rank, "world": devices.world}
        self.loader = Loader(train, model.batching, settings.batch_size, settings.seed, **shared)
        self.validation = None
        if valid is not None and model.monitor is not None:
            self.validation = Validation(model, valid, settings.batch_size, **shared)
        self.average = None if settings.ema is None else MovingAverage(model, settings.ema)
        self.preview: Preview | None = None
        if settings.run_dir is not None and settings.preview_every is not None:
            self.preview = preview_of(model, train, settings.run_dir, settings.preview_every)
        self.interrupt = Interrupt()
        self.sources = {"training": train, "validation": valid}

        self.step = 0
        self.history: list[Row] = []
        #: The best row of this stage, and the weights to fall back on: the best ones, or the last that were good.
        self.best: Row | None = None
        self.kept, self.kept_step = _copied(model), 0
        self.clock = _Clock()
        self.latest_losses = ""

    # -- The run ------------------------------------------------------------------------------------------------------

    def run(self) -> Report:
        settings, devices = self.settings, self.devices
        cuda = [devices.device] if devices.device.type == "cuda" else []
        with torch.random.fork_rng(devices=cuda), torch.enable_grad(), self.interrupt.listening():
            torch.manual_seed(settings.seed + devices.rank)
            resumed = self._open()
            # Of a run that is finished already, nothing is written again.
            finished = self._budget_used() if resumed else None
            self.logs = Logs(settings.run_dir if devices.leads else None, tensorboard=settings.tensorboard)
            self.logs.start(self.step, len(self.history))
            self.display = open_display(settings.progress and devices.leads)
            self.clock.start(self.step)
            try:
                if not resumed:
                    self._save()
                ending = finished or self._train()
                weights = self._load_final()
            except TrainingDiverged as error:
                self.model.load_state_dict(self.kept)
                epochs = {0: 0, **{row["step"]: row["epoch"] for row in self.history}}
                kept = self.kept_step
                where = f"epoch {epochs[kept]}" if kept in epochs else f"step {kept}, when a stage began"
                where += ", its best" if self.best else ""
                advice = "a lower lr or clip_gradient often helps"
                diverged = TrainingDiverged(f"{error}; the model holds the weights after {where}; {advice}")
                diverged.trained = kept > 0
                raise diverged from None
            finally:
                self.display.close()
                self.logs.close()
                self.game.freezing.leave()
                self.model.eval()
        return Report(
            history=self.history,
            best=self.best,
            monitor=None if self.validation is None else self.model.monitor,
            weights=weights,
            epochs=len(self.history),
            steps=self.step,
            seconds=self.clock.seconds,
            ended_by=ending,
            run_dir=settings.run_dir,
            recipe=settings.recipe,
            done_before=finished is not None,
        )

    def _train(self) -> Ending:
        while True:
            ending = self._budget_used()
            if ending is None:
                ending = self._train_epoch()
                if ending is not None and (self.loader.position < len(self.loader) or ending == "interrupted"):
                    # Saved as it stands: a resumed run goes on as if it had not stopped here ...
                    self._save()
                    if ending != "interrupted":
                        # ... and one that has nothing left of its budget ends as this one does.
                        self._close_epoch()
                        self._save_conclusion()
                    return ending
                self._close_epoch()
                self.loader.next_epoch()
                ending = ending or self._impatient()
            if ending is not None or self._save_is_due():
                self._save()
            if ending is not None:
                return ending

    def _train_epoch(self) -> Ending | None:
        """The rest of the current epoch; what ended it before its time, if anything did."""
        settings, model, game = self.settings, self.model, self.game
        scheduled = not isinstance(settings.schedule, Constant)
        model.train()
        for batch, share in self.loader:
            batch = model.prepare(batch)
            if scheduled:
                game.scale_lr(settings.schedule.factor_at(self.step, self.loader.epoch, self._progress()))
            if game.staged and game.enter_stage(self._stage_progress()):
                self._begin_stage()
            self.step += 1
            game.play(self.step, batch, share * self.devices.world)
            if self.average is not None:
                self.average.update(self.step)
            if self.step % settings.log_every == 0:
                self._log()
            if (ending := self._after_step()) is not None:
                return ending
        return None

    def _begin_stage(self) -> None:
        """What one stage has made is the next one's start: its weights are no rivals of those before it."""
        self._check()
        self.best = None
        self.kept, self.kept_step = _copied(self.model), self.step

    def _after_step(self) -> Ending | None:
        now = time.perf_counter()
        if now >= self.display.due:
            self._draw()
        if self.step == self.settings.steps:
            return "steps"
        if self.devices.world == 1:
            if now - self.clock.saved > _CHECKPOINT_SECONDS:
                self._save()
            return self._told_to_end()
        # All processes must end at the same step: they agree on it now and then.
        return self._agreed(self._told_to_end()) if self.step % self.settings.log_every == 0 else None

    # -- When it ends -------------------------------------------------------------------------------------------------

    def _budget_used(self) -> Ending | None:
        settings = self.settings
        if settings.epoch_limit is not None and self.loader.epoch >= settings.epoch_limit:
            return "epochs"
        if settings.steps is not None and self.step >= settings.steps:
            return "steps"
        # A resumed run may have ended for these, too.
        return self._impatient() or self._agreed("minutes" if self._told_to_end() == "minutes" else None)

    def _told_to_end(self) -> Ending | None:
        if self.interrupt.requested:
            return "interrupted"
        minutes = self.settings.minutes
        return "minutes" if minutes is not None and self.clock.seconds >= 60 * minutes else None

    def _agreed(self, ending: Ending | None) -> Ending | None:
        if self.devices.world == 1:
            return ending
        endings: tuple[Ending | None, ...] = (None, *get_args(Ending))
        return endings[int(self.devices.reduced(torch.tensor([float(endings.index(ending))]), "max"))]

    def _impatient(self) -> Ending | None:
        patience, best = self.settings.patience, self.best
        if not self.game.in_last_stage:
            return None
        return "patience" if patience and best and len(self.history) - best["epoch"] >= patience else None

    def _progress(self) -> float:
        """The share of the budget that is used; of the budget that will be used up first, if there are several."""
        settings = self.settings
        shares = [0.0]
        if settings.epoch_limit is not None:
            shares.append(self.step / (settings.epoch_limit * len(self.loader)))
        if settings.steps is not None:
            shares.append(self.step / settings.steps)
        if settings.minutes is not None:
            shares.append(self.clock.seconds / (60 * settings.minutes))
        return max(shares)

    def _stage_progress(self) -> float:
        """`_progress`, on which all processes agree: they must begin a stage at the same step."""
        if self.devices.world == 1 or self.settings.minutes is None:
            return self._progress()
        if self.step % self.settings.log_every:
            return self.game.progress
        return float(self.devices.reduced(torch.tensor([self._progress()], dtype=torch.float64), "max"))

    # -- Epochs -------------------------------------------------------------------------------------------------------

    def _close_epoch(self) -> None:
        """Write the history's row: the epoch's mean losses and the validation, which picks the weights to keep."""
        self._check()
        epoch = self.loader.epoch + 1
        losses = self.devices.mean(self.game.record.epoch_means())
        self.game.record.next_epoch()
        row: Row = {"epoch": epoch, "step": self.step, "seconds": self.clock.seconds}
        row |= {f"train/{name}": value for name, value in losses.items()}
        with nullcontext() if self.average is None else self.average.applied():
            better = self._validate(row)
            if better:
                self.kept, self.kept_step = _copied(self.model), self.step
            if self.preview is not None and self.devices.leads:
                self.preview.after_epoch(epoch)
        self.history.append(row)
        self.logs.write(epoch, self.step, row["seconds"], {name: row[name] for name in row if "/" in name})
        shown = [self._epoch_text(), f"{row['seconds']:.0f} s", self._validation_text(), losses_text(losses)]
        self.display.epoch(", ".join(filter(None, shown)))

    def _validate(self, row: Row) -> bool:
        """Add the monitor to the row; whether the weights are to be kept."""
        if self.validation is None:
            return True
        total, rows = self.devices.reduced(self.validation.sums(self.game.running[0].phase), "sum").tolist()
        key = f"valid/{self.model.monitor}"
        row[key] = total / rows
        if math.isnan(row[key]) or (self.best and not self.validation.better(row[key], self.best[key])):
            return False
        self.best = row
        return True

    def _load_final(self) -> Weights:
        if self.best is not None:
            self.model.load_state_dict(self.kept)
        elif self.average is not None:
            self.average.apply()
        if self.average is not None:
            return "ema"
        return "last" if self.best is None else "best"

    # -- Telling ------------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        """Before anything is kept or saved: raise `TrainingDiverged` if the losses or the weights are not finite."""
        self._read_losses()
        self.game.check_weights(self.step)

    def _read_losses(self) -> dict[str, float]:
        """The mean losses since the last time; raises `TrainingDiverged` if one was not finite."""
        means, bad = self.game.record.read()
        if self.devices.any(bad is not None):
            self.game.report_fault(*(bad or (self.game.running[0].phase.name, self.step)))
        return means

    def _log(self) -> None:
        losses = self.devices.mean(self._read_losses())
        self.latest_losses = losses_text(losses)
        values = {f"loss/{name}": value for name, value in losses.items()}
        self.logs.write(self.loader.epoch + 1, self.step, self.clock.seconds, values)

    def _draw(self) -> None:
        parts = (self._epoch_text(), self._validation_text(), self.latest_losses, self.clock.rate(self.step))
        self.display.update(self._progress(), ", ".join(filter(None, parts)))

    def _epoch_text(self) -> str:
        limit = self.settings.epoch_limit
        return f"epoch {self.loader.epoch + 1}" + (f"/{limit}" if limit else "")

    def _validation_text(self) -> str:
        value = self.history[-1].get(f"valid/{self.model.monitor}") if self.history else None
        return "" if value is None else monitor_text(str(self.model.monitor), value, self.model.event)

    # -- Checkpoints --------------------------------------------------------------------------------------------------

    def _open(self) -> bool:
        """Open the run's folder, and go on where its checkpoint stands; whether there was one."""
        folder, settings = self.settings.run_dir, self.settings
        if folder is None:
            return False
        if self.devices.leads:
            needed = _CHECKPOINT_COPIES * bytes_of(self.model.state_dict()) + bytes_of(self.model.training_state())
            open_run_dir(folder, resume=settings.resume, bytes_needed=needed)
        self.devices.barrier()
        saved = read_checkpoint(folder) if settings.resume else None
        if saved is None:
            return False
        state, before = saved
        if settings.unlimited:
            self.settings = replace(settings, **state.get("budget", {}))
        check_same_run(folder, before, self._identity())
        try:
            self._restore(state)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise InputError(f"{folder / CHECKPOINT} does not hold the state of this run: {error!r}") from error
        return True

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        for name, tensor in self.model.training_state().items():
            tensor.copy_(state["training_state"][name])
        self.game.load_state_dict(state["game"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.loader.epoch, self.loader.position = state["epoch"], state["position"]
        self.step, self.clock.before = state["step"], state["seconds"]
        self.history, self.best = state["history"], state["best"]
        self.kept, self.kept_step = state["kept"], state["kept_step"]
        self.devices.set_generator_states(state["generators"])
        if (conclusion := state.get("conclusion")) and self._budget_used() is not None:
            self.history, self.best = conclusion["history"], conclusion["best"]
            self.kept, self.kept_step = conclusion["kept"], conclusion["kept_step"]

    def _save_conclusion(self) -> None:
        """Add to the checkpoint what an epoch that the budget cut short came to."""
        folder = self.settings.run_dir
        if folder is None or not self.devices.leads:
            return
        saved = read_checkpoint(folder)
        assert saved is not None
        state, identity = saved
        names = ("history", "best", "kept", "kept_step")
        write_checkpoint(folder, state | {"conclusion": {name: getattr(self, name) for name in names}}, identity)

    def _identity(self) -> Identity:
        return run_identity(self.settings, self.model, self.sources, staged=self.game.staged)

    def _save_is_due(self) -> bool:
        # Processes that looked at their own clocks would not all come to the same answer.
        return self.devices.world > 1 or self.clock.since_saved() > _CHECKPOINT_SHARE * self.clock.saving

    def _save(self) -> None:
        folder = self.settings.run_dir
        if folder is None:
            return
        begin = time.perf_counter()
        self._check()
        generators = self.devices.generator_states()
        if self.devices.leads:
            state: dict[str, Any] = {
                "model": self.model.state_dict(),
                "training_state": dict(self.model.training_state()),
                "game": self.game.state_dict(),
                "average": None if self.average is None else self.average.state_dict(),
                "budget": {name: getattr(self.settings, name) for name in BUDGET},
                "epoch": self.loader.epoch,
                "position": self.loader.position,
                "step": self.step,
                "seconds": self.clock.seconds,
                "history": self.history,
                "best": self.best,
                "kept": self.kept,
                "kept_step": self.kept_step,
                "generators": generators,
            }
            write_checkpoint(folder, state, self._identity())
        self.clock.has_saved(since=begin)


class _Clock:
    """Seconds of the run, over all its resumptions, and since things were last done."""

    def __init__(self) -> None:
        self.before = self.saving = 0.0
        self.start(0)

    def start(self, step: int) -> None:
        self._started = self.saved = self._rated = time.perf_counter()
        self._rated_step = step

    @property
    def seconds(self) -> float:
        return self.before + time.perf_counter() - self._started

    def since_saved(self) -> float:
        return time.perf_counter() - self.saved

    def has_saved(self, since: float) -> None:
        self.saved = time.perf_counter()
        self.saving = self.saved - since

    def rate(self, step: int) -> str:
        """Steps in a second since the last time that this was asked."""
        now = time.perf_counter()
        rate = (step - self._rated_step) / max(now - self._rated, 1e-9)
        self._rated, self._rated_step = now, step
        return f"{rate:.3g} steps/s"


def _copied(model: Model) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
