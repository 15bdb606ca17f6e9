"""What a fit returns, and how it fails."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ancestral.output import counted

#: Which weights a fitted model holds: those of the best validation, the last ones, or their moving average (the best
#: of it where there is a validation).
Weights: TypeAlias = Literal["best", "last", "ema"]
#: One row of a history, by column.
Row: TypeAlias = dict[str, int | float]
#: What ended a run.
Ending: TypeAlias = Literal["epochs", "steps", "minutes", "patience", "converged", "interrupted"]


@dataclass(frozen=True)
class Report:
    """What happened in a fit.

    `history` has one row an epoch (an iteration, for a closed-form fit): "epoch", "step", "seconds", the mean training
    losses "train/<phase>" and "train/<phase>/<part>", and the validation "valid/<monitor>", in nats per example where
    they are likelihoods (a share of the labelled rows for accuracy). `best` is the row whose weights the model holds,
    the best of the last stage that ran, or None where the last ones were kept. `trace` is the objective after each
    half-step of a closed-form fit.
    """

    history: list[Row]
    best: Row | None
    monitor: str | None
    weights: Weights
    epochs: int
    steps: int
    seconds: float
    ended_by: Ending
    trace: list[tuple[str, float]] = field(default_factory=list)
    run_dir: Path | None = None
    recipe: Mapping[str, Any] | None = None
    #: Whether this resumed a run that had nothing left of its budget, so that nothing was trained.
    done_before: bool = False

    @property
    def interrupted(self) -> bool:
        return self.ended_by == "interrupted"

    def curve(self, name: str) -> list[tuple[float, float]]:
        """A column of the history over the epochs, [(epoch, value), ...]: `report.curve("valid/elbo")`."""
        return [(float(row["epoch"]), float(row[name])) for row in self.history if name in row]

    def __str__(self) -> str:
        text = f"{counted(self.epochs, 'epoch')}, {counted(self.steps, 'step')} in {self.seconds:.1f} s"
        text += f", ended by {self.ended_by}"
        if self.best is not None and self.monitor is not None:
            value = self.best[f"valid/{self.monitor}"]
            shown = f"{100 * value:.2f} %" if self.monitor == "accuracy" else f"{value:.4g}"
            text += f"; {self.weights} weights, of epoch {self.best['epoch']:g} ({self.monitor} {shown})"
        else:
            text += f"; {self.weights} weights"
        if self.interrupted and self.run_dir is not None:
            text += f"; resume goes on with it in {str(self.run_dir)!r}"
        return text


class TrainingDiverged(RuntimeError):
    """The objective is no longer finite. The message names the phase, the step and the layer; the model holds the last
    good weights, which are `trained` if any epoch, or stage, ended well."""

    trained: bool = False
