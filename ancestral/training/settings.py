"""The settings of a fit, checked before anything starts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from ancestral.interface import InputError, OptimizerSpec
from ancestral.training.schedules import Schedule

DEFAULT_EPOCHS = 20
PRECISIONS = ("32-true", "bf16-mixed")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")

#: What may differ between a run and its resumption without changing what is learned.
_FREE_TO_CHANGE = (
    "run_dir",
    "resume",
    "patience",
    "progress",
    "preview_every",
    "log_every",
    "tensorboard",
    "recipe",
    "accelerator",
)
#: What limits a run, and a resumed one where nothing else is given.
BUDGET = ("epochs", "minutes", "steps")


@dataclass(frozen=True)
class Settings:
    """The keyword arguments of `fit`, which documents them."""

    epochs: int | None
    minutes: float | None
    steps: int | None
    batch_size: int
    seed: int
    optimizer: OptimizerSpec | Mapping[str, OptimizerSpec] | None
    lr: float | Mapping[str, float] | None
    schedule: Schedule
    clip_gradient: float | None
    accumulate: int
    ema: float | None
    patience: int | None
    run_dir: Path | None
    resume: bool
    precision: str
    accelerator: str
    devices: int
    progress: bool
    preview_every: int | None
    log_every: int
    tensorboard: bool
    max_iterations: int
    tolerance: float
    recipe: Mapping[str, Any] | None

    def __post_init__(self) -> None:
        for name in (
            "epochs",
            "steps",
            "batch_size",
            "accumulate",
            "patience",
            "devices",
            "preview_every",
            "log_every",
            "max_iterations",
        ):
            self._require(name, "a whole number of at least 1", lambda value: _whole(value) and value >= 1)
        for name in ("minutes", "lr", "clip_gradient"):
            self._require(name, "a finite number above 0", lambda value: _number(value) and 0 < value < math.inf)
        self._require(
            "tolerance", "a finite number of at least 0", lambda value: _number(value) and 0 <= value < math.inf
        )
        self._require("seed", "a whole number in 0 .. 2**63 - 1", lambda value: _whole(value) and 0 <= value < 2**63)
        self._require("ema", "above 0 and below 1, such as 0.999", lambda value: _number(value) and 0 < value < 1)
        optimizer = "Adam(...), RMSProp(...), SGD(...) or SparseSGD(...), or a mapping from names of phases to these"
        self._require("optimizer", optimizer, lambda value: isinstance(value, OptimizerSpec))
        self._require(
            "schedule", "a Constant(), Cosine(), Linear() or Step() of ancestral", lambda v: isinstance(v, Schedule)
        )
        self._require("precision", f"one of {', '.join(PRECISIONS)}", lambda value: value in PRECISIONS)
        self._require("accelerator", f"one of {', '.join(ACCELERATORS)}", lambda value: value in ACCELERATORS)
        if self.accumulate > self.batch_size:
            raise InputError(f"accumulate splits a batch of {self.batch_size}: it cannot be {self.accumulate}")
        if self.run_dir is None:
            for name in ("resume", "tensorboard", "preview_every"):
                if getattr(self, name):
                    raise InputError(f"{name} needs a folder to work in: pass run_dir=... too")

    def _require(self, name: str, expected: str, holds: Any) -> None:
        given = getattr(self, name)
        for value in given.values() if isinstance(given, Mapping) else (given,):
            if value is not None and not holds(value):
                raise InputError(f"{name} must be {expected}, got {value!r}")

    @property
    def unlimited(self) -> bool:
        """Whether no budget of any kind is set."""
        return all(getattr(self, name) is None for name in BUDGET)

    @property
    def epoch_limit(self) -> int | None:
        """The budget of epochs; a default one where no budget of any kind is set."""
        return DEFAULT_EPOCHS if self.unlimited else self.epochs

    def fingerprint(self, *, staged: bool = False) -> dict[str, str]:
        """What a resumed run must share with the run that it continues: its budget, too, where the schedule or the
        model's stages stretch over it."""
        free = _FREE_TO_CHANGE if self.schedule.stretches or staged else (*_FREE_TO_CHANGE, *BUDGET, "max_iterations")
        return {field.name: _stable(getattr(self, field.name)) for field in fields(self) if field.name not in free}


def _whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _stable(value: Any) -> str:
    """What a setting prints as, whatever the order of its keys."""
    return repr(dict(sorted(value.items())) if isinstance(value, Mapping) else value)
