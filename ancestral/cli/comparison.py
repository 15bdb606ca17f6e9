"""Train several models on the same data for the same time, and measure them with the same ruler."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from ancestral.cli.baselines import independent
from ancestral.data import Data, Split
from ancestral.evaluation import SampleQuality, Score, bits_per_dim, evaluate, evaluate_samples
from ancestral.interface import BoundedDensity, ClosedFormFit, ExactDensity, InputError, Model, Sampler
from ancestral.registry import build, find_model, list_models, supports
from ancestral.training import Report, TrainingDiverged, fit

#: Importance samples of every lower bound: one number for all, so that bounds are compared alike.
IMPORTANCE_SAMPLES = 64
#: Test rows that are scored, drawn at random where there are more.
TEST_ROWS = 2000
#: Of the time given, the share that gradients get; scoring and sampling take the rest.
_TRAINING_SHARE = 0.72
#: Seconds that the closed-form models and the start are reckoned to take.
_SET_UP = 12.0
#: Epochs without a better validation that end a training early.
_PATIENCE = 60

#: For each family the models to take, the first that can be built for the data.
_FAMILIES = {
    "linear": ("gaussian_mixture", "ppca"),
    "adversarial": ("dcgan", "gan"),
    "variational": ("vae",),
    "flow": ("realnvp",),
    "autoregressive": ("gated_pixelcnn", "made"),
}

#: Settings for minutes of training on two cores, by the kind of data; where there are none the model's own are taken.
_SETTINGS: dict[tuple[str, str], dict[str, Any]] = {}


@dataclass(frozen=True)
class Trial:
    """One model trained once, with one seed."""

    seed: int
    parameters: int
    train_seconds: float
    score: Score | None = None
    quality: SampleQuality | None = None
    sample_seconds: float | None = None
    samples: Tensor | None = None
    #: Validation over seconds of training, in bits/dim.
    curve: tuple[tuple[float, float], ...] = ()
    trace: tuple[tuple[str, float], ...] = ()
    epochs: int = 0


@dataclass
class Entry:
    """A model of the comparison: its trials, or the reason why there are none."""

    name: str
    family: str
    settings: Mapping[str, Any]
    trials: list[Trial] = field(default_factory=list)
    failure: str | None = None

    @property
    def nats(self) -> float | None:
        """The mean over the seeds of the test log-likelihood, larger is better; None without a density."""
        scores = [trial.score.nats for trial in self.trials if trial.score]
        return sum(scores) / len(scores) if scores else None

    @property
    def frechet(self) -> float | None:
        """The mean over the seeds of the samples' Fréchet distance; None where it was not measured."""
        values = [trial.quality.frechet for trial in self.trials if trial.quality]
        return sum(values) / len(values) if values else None

    def mean(self, seconds: Literal["train_seconds", "sample_seconds"]) -> float:
        """The mean over the seeds; NaN where it was not measured."""
        values = [trial.train_seconds if seconds == "train_seconds" else trial.sample_seconds for trial in self.trials]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else math.nan

    @property
    def spread(self) -> float:
        """The standard error over the test rows of one trial, or the standard deviation over several seeds."""
        scores = [trial.score for trial in self.trials if trial.score]
        return _spread([score.nats for score in scores], scores[0].stderr if scores else math.nan)


@dataclass(frozen=True)
class Comparison:
    """Everything that a table and a report need."""

    data: Data
    entries: Sequence[Entry]
    baseline: Entry
    seeds: int
    #: Seconds of training that each model with gradients was given, for each seed.
    budget: float
    test_rows: int
    seconds: float = 0.0

    @property
    def ranked(self) -> list[Entry]:
        """The models with a likelihood, and the baseline, best first."""
        scored = [entry for entry in (*self.entries, self.baseline) if entry.nats is not None]
        return sorted(scored, key=lambda entry: -(entry.nats or 0.0))

    @property
    def density_free(self) -> list[Entry]:
        """The models without a likelihood, best samples first."""
        return sorted(
            (entry for entry in self.entries if entry.trials and entry.nats is None),
            key=lambda entry: math.inf if entry.frechet is None else entry.frechet,
        )

    @property
    def failed(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.failure is not None]

    def bits(self, nats: float) -> float:
        """Nats of this data set as bits/dim."""
        return bits_per_dim(nats, self.data.event)


def default_models(data: Data) -> list[str]:
    """One model of each family that can be built for the data, in the order of the families."""
    chosen = []
    for names in _FAMILIES.values():
        fitting = [name for name in names if not supports(name, data.event)]
        if fitting:
            chosen.append(fitting[0])
    return chosen


def compare(
    data: Data,
    names: Sequence[str],
    *,
    minutes: float,
    seeds: int = 1,
    on_start: Callable[[Entry, int], None] = lambda entry, seed: None,
    on_end: Callable[[Entry], None] = lambda entry: None,
    progress: bool = False,
) -> Comparison:
    """Train and measure each of the named models; one that fails becomes an entry that says why."""
    started = time.perf_counter()
    families = {info.name: info.family for info in list_models()}
    entries = [Entry(name, families[name], settings_for(name, data)) for name in names]
    by_gradient = sum(not issubclass(find_model(name), ClosedFormFit) for name in names)
    budget = max(60 * minutes - _SET_UP, 30 * minutes) * _TRAINING_SHARE / (max(by_gradient, 1) * seeds)
    test = _some_rows(data.test, TEST_ROWS)
    for entry in entries:
        for seed in range(seeds):
            on_start(entry, seed)
            try:
                entry.trials.append(_trial(entry, data, test, seed, budget, progress))
            except (InputError, TrainingDiverged) as error:
                entry.failure = " ".join(str(error).split())
                break
        on_end(entry)
    return Comparison(
        data, entries, _baseline(data, test), seeds, budget, len(test), seconds=time.perf_counter() - started
    )


def settings_for(name: str, data: Data) -> dict[str, Any]:
    """Settings for minutes of training on two cores, by the size of an observation."""
    kind = "vector" if len(data.event.shape) < 3 else "small image" if data.event.size <= 256 else "image"
    return dict(_SETTINGS.get((name, kind), {}))


def _trial(entry: Entry, data: Data, test: Split, seed: int, budget: float, progress: bool) -> Trial:
    torch.manual_seed(seed)
    model = build(entry.name, data.event, **entry.settings)
    report = fit(model, data, minutes=budget / 60, seed=seed, patience=_PATIENCE, progress=progress)
    if report.interrupted:
        raise KeyboardInterrupt
    measured: dict[str, Any] = {}
    if isinstance(model, ExactDensity | BoundedDensity):
        count = IMPORTANCE_SAMPLES if isinstance(model, BoundedDensity) else None
        measured["score"] = evaluate(model, test, importance_samples=count, seed=seed)
    if isinstance(model, Sampler):
        measured["sample_seconds"], measured["samples"] = _timed_samples(model, seed)
        if not isinstance(model, ExactDensity | BoundedDensity):
            measured["quality"] = evaluate_samples(model, test, seed=seed)
    return Trial(
        seed=seed,
        parameters=_size(model),
        train_seconds=report.seconds,
        curve=_curve(report, model),
        trace=tuple(report.trace or ()),
        epochs=report.epochs,
        **measured,
    )


def _timed_samples(model: Sampler, seed: int) -> tuple[float, Tensor]:
    """Seconds for 1,000 samples, and some of them; a slow sampler is timed on fewer."""
    generator = torch.Generator().manual_seed(seed)
    started = time.perf_counter()
    shown = model.sample(64, generator=generator)
    if (time.perf_counter() - started) * 1000 / 64 > 10:
        return (time.perf_counter() - started) * 1000 / 64, shown
    started = time.perf_counter()
    model.sample(1000, generator=generator)
    return time.perf_counter() - started, shown


def _size(model: Model) -> int:
    """The number of parameters; of a model that is fitted in closed form they are buffers."""
    tensors = model.buffers() if isinstance(model, ClosedFormFit) else model.parameters()
    return sum(tensor.numel() for tensor in tensors if tensor.is_floating_point())


def _curve(report: Report, model: Model) -> tuple[tuple[float, float], ...]:
    if report.monitor not in ("log_prob", "elbo"):
        return ()
    key = f"valid/{report.monitor}"
    return tuple((row["seconds"], bits_per_dim(row[key], model.event)) for row in report.history if key in row)


def _baseline(data: Data, test: Split) -> Entry:
    started = time.perf_counter()
    name, nats = independent(data.train.x, test.x, data.event)
    score = Score(
        nats=nats.mean().item(),
        stderr=nats.std().item() / math.sqrt(len(nats)),
        bits_per_dim=bits_per_dim(nats.mean().item(), data.event),
        kind="exact",
        n=len(nats),
    )
    return Entry(name, "baseline", {}, [Trial(0, 0, time.perf_counter() - started, score=score)])


def _some_rows(split: Split, limit: int) -> Split:
    if len(split) <= limit:
        return split
    return split.take(torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:limit].sort().values)


def _spread(values: Sequence[float], alone: float) -> float:
    if len(values) < 2:
        return alone
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
