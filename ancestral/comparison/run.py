"""Train several models on the same data for the same time, and measure them with the same ruler."""

import math
import os
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ancestral.comparison.quick import quick_training
from ancestral.comparison.result import Comparison, Entry, Trial
from ancestral.data import Data, Split, load_data
from ancestral.evaluation import (
    SampleJudge,
    SampleQuality,
    Score,
    bits_per_dim,
    contexts_of,
    count_parameters,
    evaluate_classifier,
    independent,
    log_likelihoods,
    spike,
    why_no_error_rate,
)
from ancestral.interface import BoundedDensity, ClosedFormFit, ExactDensity, InputError, Model, Sampler
from ancestral.registry import build, find_model, list_models, quick_settings, representatives
from ancestral.training import Report, TrainingDiverged, fit, training_arguments

#: Importance samples of every lower bound: one number for all, so that bounds are compared alike.
IMPORTANCE_SAMPLES = 64
#: Test rows that are scored, drawn at random where there are more.
TEST_ROWS = 2000
#: Of the time given, the share that gradients get; scoring and sampling take the rest.
_TRAINING_SHARE = 0.72
#: Seconds that the closed-form models and the start are reckoned to take.
_SET_UP = 12.0
#: Samples that a sampler is timed on first, and seconds for 1,000 above which it draws only as many as in that time.
_TIMED, _SLOW_SAMPLER = 64, 10.0
_NO_MISSING = "{data} has missing values (NaN), which {who} learn from; fill them in, or drop their rows"
#: Samples that are kept.
_SAMPLES = 1000


def compare(
    data: Data | str | os.PathLike[str],
    models: Sequence[str] | None = None,
    *,
    minutes: float = 2.5,
    seeds: int = 1,
    progress: bool = True,
    on_start: Callable[[Entry, int], None] | None = None,
    on_end: Callable[[Entry], None] | None = None,
) -> Comparison:
    """Train models on the same data for the same time, and measure them with the same ruler on test rows that none has
    seen. A model that fails becomes an entry that says why.

    Args:
        data: a data set, or what `load_data` takes: a name or a path. Where it has a context
            (`load_data(..., context="labels")`), the models are conditional on it.
        models: registered names; by default one of each family, the one that the family thinks fits such data best.
        minutes: for the whole comparison, about: models that learn by gradients share what the others leave.
        seeds: trainings of each model; with several, errors are standard deviations over them.
        progress: show the progress of each training on stderr.
        on_start: called before each training with the entry and the seed.
        on_end: called when a model is done, or has failed.

    Raises:
        InputError: There is no such data or model, or the budget is none.
        KeyboardInterrupt: A training was interrupted.
    """
    started = time.perf_counter()
    if not 0 < minutes < math.inf or seeds < 1:
        raise InputError(f"minutes must be a finite number above 0 and seeds at least 1, got {minutes} and {seeds}")
    if not isinstance(data, Data):
        data = load_data(data)
    missing = any(split.missing and bool(split.x.isnan().any()) for split in data.splits.values())
    names = _names(models, data, missing)
    by_gradient = sum(not issubclass(find_model(name), ClosedFormFit) for name in names)
    judge = _judge(data)
    left = 60 * minutes - _SET_UP - (time.perf_counter() - started)
    budget = max(left, 30 * minutes) * _TRAINING_SHARE / (max(by_gradient, 1) * seeds)
    entries = [_planned(name, data, budget) for name in names]
    order = torch.randperm(len(data.test), generator=torch.Generator().manual_seed(0))
    test = data.test if len(order) <= TEST_ROWS else data.test.take(order[:TEST_ROWS].sort().values)
    # What stands in pictures is whole, as samples are.
    whole = order[~data.test.x.flatten(1).isnan().any(1)[order]] if missing else order
    shown = data.test.take((whole if len(whole) else order)[:_SAMPLES])
    for entry in entries:
        for seed in range(seeds):
            if on_start is not None:
                on_start(entry, seed)
            try:
                entry.trials.append(_trial(entry, data, test, shown, judge, seed, progress))
            except (InputError, TrainingDiverged) as error:
                entry.failure = " ".join(str(error).split())
                break
        if on_end is not None:
            on_end(entry)
    baseline = _baseline(data, test)
    return Comparison(
        data,
        entries,
        baseline,
        minutes,
        seeds,
        budget,
        test,
        shown,
        seconds=time.perf_counter() - started,
        judged=None if judge is None else (judge.rows.name, judge.n, str(judge.extractor)),
    )


def _names(models: Sequence[str] | None, data: Data, missing: bool) -> list[str]:
    if models is None:
        names = representatives(data.event, data.context_event, missing=missing)
    else:
        names = [name.replace("-", "_") for name in models]
        accepted = [name for name in names if find_model(name).accepts_missing or not missing]
        if names and not accepted:
            raise InputError(_NO_MISSING.format(data=data.name, who=f"{', '.join(names)} cannot"))
    if not names and missing:
        raise InputError(_NO_MISSING.format(data=data.name, who="no model for such data can"))
    if not names:
        raise InputError("there is no model to compare: name some, or leave the names out for one of each family")
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise InputError(f"the model {twice[0]} is named twice: name each once, and ask for seeds to train it again")
    return names


def _planned(name: str, data: Data, budget: float) -> Entry:
    """The model with its own quick settings and `budget` seconds of training."""
    family = next(info.family for info in list_models() if info.cls is find_model(name))
    how = training_arguments(quick_training(name, data.event))
    how.pop("preview_every", None)  # a comparison has no folder for it
    training = {"minutes": budget / 60, **how}
    return Entry(name, family, quick_settings(name, data.event).model, training)


def _judge(data: Data) -> SampleJudge | None:
    """The real rows and the features that the samples of every model are held against; None where there are none."""
    try:
        return SampleJudge(data, samples=_SAMPLES)
    except InputError:  # too few rows
        return None


def _trial(
    entry: Entry, data: Data, test: Split, shown: Split, judge: SampleJudge | None, seed: int, progress: bool
) -> Trial:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = build(entry.name, data, **entry.settings)
    report = fit(model, data, **{**entry.training, "seed": seed, "progress": progress})
    if report.interrupted:
        raise KeyboardInterrupt
    measured: dict[str, Any] = {}
    if isinstance(model, ExactDensity | BoundedDensity):
        count = IMPORTANCE_SAMPLES if isinstance(model, BoundedDensity) else None
        values = log_likelihoods(model, test, importance_samples=count, seed=seed)
        measured["score"] = Score.of(values, model.event, importance_samples=count)
        measured["log_likelihoods"] = values
        if reason := spike(measured["score"].nats, test):
            warnings.warn(f"{entry.name}: {reason}", stacklevel=2)
    if isinstance(model, Sampler):
        measured["sample_seconds"], measured["samples"] = _timed_samples(model, shown, seed)
        if judge is not None:
            measured["quality"] = _quality(entry.name, model, measured["samples"], judge, seed)
    if why_no_error_rate(model, test) is None:
        measured["error_rate"] = evaluate_classifier(model, test)
    return Trial(
        seed=seed,
        parameters=count_parameters(model),
        train_seconds=report.seconds,
        curve=_curve(report, model),
        trace=tuple(report.trace),
        epochs=report.epochs,
        chosen=report.best is not None or isinstance(model, ClosedFormFit),
        **measured,
    )


def _timed_samples(model: Sampler, rows: Split, seed: int) -> tuple[float, Tensor]:
    """Seconds for 1,000 samples at the contexts of rows, and the samples; a slow sampler draws fewer."""
    generator = torch.Generator().manual_seed(seed)

    def timed(n: int) -> tuple[float, Tensor]:
        context = contexts_of(rows, n)
        context = None if context is None else context.to(model.device)
        started = time.perf_counter()
        samples = model.sample(n, context=context, generator=generator)
        return (time.perf_counter() - started) * 1000 / n, samples.cpu()

    seconds, samples = timed(_TIMED)
    n = min(_SAMPLES, int(1000 * _SLOW_SAMPLER / seconds))
    return timed(n) if n > _TIMED else (seconds, samples)


def _quality(name: str, model: Sampler, samples: Tensor, judge: SampleJudge, seed: int) -> SampleQuality | None:
    """The Fréchet distance of samples; None where they are no more than the features that they are compared by, or not
    finite.

    What stands beside real rows in pictures is drawn at their contexts; the judge has rows of its own.
    """
    n = min(len(samples), judge.n)
    if n <= judge.real.shape[1]:
        return None
    if model.context_event is not None:
        samples = judge.draw(model, limit=n, seed=seed)
    try:
        return judge.frechet(samples)
    except InputError as error:
        warnings.warn(f"{name}: {error}", stacklevel=2)
        return None


def _curve(report: Report, model: Model) -> tuple[tuple[float, float], ...]:
    if report.monitor not in ("log_prob", "elbo", "log_prob_lower_bound"):
        return ()
    key = f"valid/{report.monitor}"
    return tuple((row["seconds"], bits_per_dim(row[key], model.event)) for row in report.history if key in row)


def _baseline(data: Data, test: Split) -> Entry:
    started = time.perf_counter()
    name, values = independent(data.train.x, test.x, data.event)
    values = values.double()
    trial = Trial(0, 0, time.perf_counter() - started, Score.of(values, data.event), values)
    return Entry(name, "baseline", {}, {}, [trial])
