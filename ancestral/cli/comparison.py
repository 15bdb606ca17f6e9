"""Train several models on the same data for the same time, and measure them with the same ruler."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from ancestral.cli.baselines import independent
from ancestral.cli.runs import count_parameters, rows_to_judge_samples
from ancestral.data import Data, Split
from ancestral.evaluation import SampleQuality, Score, bits_per_dim, evaluate, evaluate_samples
from ancestral.interface import BoundedDensity, ClosedFormFit, ExactDensity, InputError, Model, Sampler
from ancestral.registry import build, find_model, list_models, supports
from ancestral.training import Cosine, Report, TrainingDiverged, fit

#: Importance samples of every lower bound: one number for all, so that bounds are compared alike.
IMPORTANCE_SAMPLES = 64
#: Test rows that are scored, drawn at random where there are more.
TEST_ROWS = 2000
#: Of the time given, the share that gradients get; scoring and sampling take the rest.
_TRAINING_SHARE = 0.72
#: Seconds that the closed-form models and the start are reckoned to take.
_SET_UP = 12.0
#: Seconds for 1,000 samples above which a sampler is timed on 64.
_SLOW_SAMPLER = 10.0
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

#: Settings of models, and then of their training, for minutes on two cores, by the kind of data; the library's own
#: defaults are used where there are none.
_SETTINGS: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]] = {
    ("gaussian_mixture", "small image"): ({"components": 60, "covariance": "diagonal"}, {}),
    ("gaussian_mixture", "image"): ({"components": 30, "covariance": "diagonal"}, {"max_iterations": 30}),
    ("gaussian_mixture", "vector"): ({"components": 20}, {}),
    ("dcgan", "small image"): ({"latent_dim": 32, "channels": 32, "upsampling": "nearest"}, {}),
    ("dcgan", "image"): ({"latent_dim": 64, "channels": 24}, {}),
    ("vae", "small image"): ({"latent_dim": 16, "hidden": [256, 128], "activation": "relu"}, {"lr": 2e-3}),
    ("vae", "image"): ({"latent_dim": 32, "hidden": [400, 200], "activation": "relu"}, {}),
    ("vae", "vector"): ({"latent_dim": 8, "hidden": [128, 128], "activation": "relu"}, {}),
    ("realnvp", "small image"): ({"channels": 32, "blocks": 1, "dropout": 0.1}, {"lr": 2e-3, "clip_gradient": 50.0}),
    ("realnvp", "image"): ({"channels": 24, "blocks": 1}, {"clip_gradient": 100.0}),
    ("gated_pixelcnn", "small image"): ({"channels": 32, "blocks": 3}, {"lr": 3e-3, "clip_gradient": 100.0}),
    ("gated_pixelcnn", "image"): ({"channels": 24, "blocks": 3}, {"lr": 3e-3, "clip_gradient": 100.0}),
    ("realnvp", "vector"): ({"hidden": [64, 64]}, {}),
    ("gan", "vector"): ({"latent_dim": 8, "hidden": [128, 128], "discriminator_hidden": [128, 128]}, {}),
    ("made", "small image"): ({"hidden": [256]}, {}),
}
_BATCH_SIZE, _WARM_UP = 64, 50


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
    training: Mapping[str, Any]
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
    by_gradient = sum(not issubclass(find_model(name), ClosedFormFit) for name in names)
    budget = max(60 * minutes - _SET_UP, 30 * minutes) * _TRAINING_SHARE / (max(by_gradient, 1) * seeds)
    entries = [planned(name, data, budget) for name in names]
    test = _some_rows(data.test, TEST_ROWS)
    for entry in entries:
        for seed in range(seeds):
            on_start(entry, seed)
            try:
                entry.trials.append(_trial(entry, data, test, seed, progress))
            except (InputError, TrainingDiverged) as error:
                entry.failure = " ".join(str(error).split())
                break
        on_end(entry)
    return Comparison(
        data, entries, _baseline(data, test), seeds, budget, len(test), seconds=time.perf_counter() - started
    )


def planned(name: str, data: Data, budget: float) -> Entry:
    """The model with settings for `budget` seconds of training on data of this kind."""
    family = next(info.family for info in list_models() if info.cls is find_model(name))
    kind = "vector" if len(data.event.shape) < 3 else "small image" if data.event.size <= 256 else "image"
    settings, training = _SETTINGS.get((name, kind), ({}, {}))
    if not issubclass(find_model(name), ClosedFormFit):
        training = {"batch_size": _BATCH_SIZE, "schedule": Cosine(warmup_steps=_WARM_UP), **training}
        if find_model(name).monitor is not None:
            training["patience"] = _PATIENCE
    return Entry(name, family, settings, {"minutes": budget / 60, **training})


def _trial(entry: Entry, data: Data, test: Split, seed: int, progress: bool) -> Trial:
    torch.manual_seed(seed)
    model = build(entry.name, data.event, **entry.settings)
    report = fit(model, data, seed=seed, progress=progress, **entry.training)
    if report.interrupted:
        raise KeyboardInterrupt
    measured: dict[str, Any] = {}
    if isinstance(model, ExactDensity | BoundedDensity):
        count = IMPORTANCE_SAMPLES if isinstance(model, BoundedDensity) else None
        measured["score"] = evaluate(model, test, importance_samples=count, seed=seed)
    if isinstance(model, Sampler):
        measured["sample_seconds"], measured["samples"] = _timed_samples(model, seed)
        if not isinstance(model, ExactDensity | BoundedDensity):
            measured["quality"] = evaluate_samples(model, rows_to_judge_samples(data), seed=seed)
    return Trial(
        seed=seed,
        parameters=count_parameters(model),
        train_seconds=report.seconds,
        curve=_curve(report, model),
        trace=tuple(report.trace),
        epochs=report.epochs,
        **measured,
    )


def _timed_samples(model: Sampler, seed: int) -> tuple[float, Tensor]:
    """Seconds for 1,000 samples, and the samples; a slow sampler is timed on fewer."""
    generator = torch.Generator().manual_seed(seed)
    for n in (64, 1000):
        started = time.perf_counter()
        samples = model.sample(n, generator=generator)
        seconds = (time.perf_counter() - started) * 1000 / n
        if seconds > _SLOW_SAMPLER:
            break
    return seconds, samples.cpu()


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
    return Entry(name, "baseline", {}, {}, [Trial(0, 0, time.perf_counter() - started, score=score)])


def _some_rows(split: Split, limit: int) -> Split:
    if len(split) <= limit:
        return split
    return split.take(torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:limit].sort().values)


def _spread(values: Sequence[float], alone: float) -> float:
    if len(values) < 2:
        return alone
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
