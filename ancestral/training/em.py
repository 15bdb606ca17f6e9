"""Fits without gradients: expectation-maximisation, k-means, and closed solutions."""

import math
import time

import torch

from ancestral.interface import ClosedFormFit, InputError
from ancestral.training.checkpoint import (
    bytes_of,
    check_same_run,
    open_run_dir,
    read_checkpoint,
    run_identity,
    write_checkpoint,
)
from ancestral.training.devices import Devices
from ancestral.training.display import open_display
from ancestral.training.interrupt import Interrupt
from ancestral.training.logs import Logs
from ancestral.training.report import Ending, Report, Row, TrainingDiverged
from ancestral.training.settings import Settings
from ancestral.training.sources import Source

#: Settings of gradient descent, which would silently be without effect.
_GRADIENT_ONLY = ("optimizer", "lr", "clip_gradient", "ema", "preview_every", "patience")
_CHECKPOINT_SECONDS = 10.0


def fit_closed_form(model: ClosedFormFit, source: Source, settings: Settings) -> Report:
    """Iterate `model.fit_step` on all the training data until the objective settles or the budget is used up."""
    name = model.display_name
    for setting in _GRADIENT_ONLY:
        if getattr(settings, setting) is not None:
            raise InputError(f"{name} is fitted without gradients: leave {setting} out")
    if settings.devices > 1:
        raise InputError(f"{name} is fitted on one device, got devices={settings.devices}")
    Devices(settings).place(model)
    model.eval()
    return _Fit(model, source, settings).run()


class _Fit:
    def __init__(self, model: ClosedFormFit, source: Source, settings: Settings) -> None:
        self.model, self.settings = model, settings
        # In the data's own units: `fit_step` is a public method.
        self.x = source.batch(torch.arange(len(source))).x.to(model.device)
        self.identity = run_identity(settings, model, {"training": source}, staged=False)
        budgets = (settings.max_iterations, settings.epochs, settings.steps)
        self.limit = min(budget for budget in budgets if budget is not None)
        self.history: list[Row] = []
        self.trace: list[tuple[str, float]] = []
        self.interrupt = Interrupt()
        self.seconds_before = 0.0
        self.start = time.perf_counter()

    def run(self) -> Report:
        settings = self.settings
        resumed = self._open()
        self.done_before = resumed and self._ending() is not None
        logs = Logs(settings.run_dir, tensorboard=settings.tensorboard)
        logs.start(len(self.history), len(self.history))
        display = open_display(settings.progress)
        saved = self.start = time.perf_counter()
        try:
            with self.interrupt.listening():
                if not resumed:
                    generator = torch.Generator().manual_seed(settings.seed)
                    self.model.fit_start(self.x, generator=generator)
                while (ending := self._ending()) is None:
                    objective = self._iterate()
                    row = self.history[-1]
                    logs.write(int(row["epoch"]), int(row["step"]), row["seconds"], {"train/objective": objective})
                    text = f"iteration {len(self.history)}: objective {objective:.6g}"
                    display.epoch(text)
                    if (now := time.perf_counter()) >= display.due:
                        display.update(len(self.history) / self.limit, text)
                    if now - saved > _CHECKPOINT_SECONDS:
                        self._save()
                        saved = time.perf_counter()
                self._save()
        finally:
            display.close()
            logs.close()
        iterations = len(self.history)
        return Report(
            history=self.history,
            best=None,
            monitor=None,
            weights="last",
            epochs=iterations,
            steps=iterations,
            seconds=self.seconds,
            ended_by=ending,
            trace=self.trace,
            run_dir=settings.run_dir,
            recipe=settings.recipe,
            done_before=self.done_before,
        )

    @property
    def seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.start

    def _iterate(self) -> float:
        before = {name: value.clone() for name, value in self.model.state_dict().items()}
        step = self.model.fit_step(self.x)
        iteration = len(self.history) + 1
        if not math.isfinite(step.objective):
            self.model.load_state_dict(before)
            raise TrainingDiverged(
                f"the objective became {step.objective} in iteration {iteration}; the model holds the parameters before"
                " it; fewer components or a stronger regularisation often help"
            )
        self.trace += step.trace or (("step", step.objective),)
        row: Row = {"epoch": iteration, "step": iteration, "seconds": self.seconds}
        self.history.append(row | {"train/objective": step.objective})
        return step.objective

    def _ending(self) -> Ending | None:
        if self.interrupt.requested:
            return "interrupted"
        if len(self.history) >= 2:
            before, after = (row["train/objective"] for row in self.history[-2:])
            if abs(after - before) <= self.settings.tolerance * max(1.0, abs(before)):
                return "converged"
        if len(self.history) >= self.limit:
            return "steps"
        minutes = self.settings.minutes
        return "minutes" if minutes is not None and self.seconds >= 60 * minutes else None

    def _open(self) -> bool:
        """Open the run's folder; whether there was a run to go on with."""
        folder = self.settings.run_dir
        if folder is None:
            return False
        open_run_dir(folder, resume=self.settings.resume, bytes_needed=bytes_of(self.model.state_dict()))
        saved = read_checkpoint(folder) if self.settings.resume else None
        if saved is None:
            return False
        state, before = saved
        check_same_run(folder, before, self.identity)
        self.model.load_state_dict(state["model"])
        self.history, self.trace, self.seconds_before = state["history"], state["trace"], state["seconds"]
        return True

    def _save(self) -> None:
        if self.settings.run_dir is not None:
            state = {
                "model": self.model.state_dict(),
                "history": self.history,
                "trace": self.trace,
                "seconds": self.seconds,
            }
            write_checkpoint(self.settings.run_dir, state, self.identity)
