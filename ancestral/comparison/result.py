"""What a comparison found: a table, a page with every model's samples, and what a notebook shows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from ancestral.data import Data, Split
from ancestral.evaluation import ErrorRate, SampleQuality, Score, bits_per_dim, standard_error
from ancestral.output import check_output, write_bytes

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Trial:
    """One model trained once, with one seed."""

    seed: int
    parameters: int
    train_seconds: float
    score: Score | None = None
    #: What the score averages: the nats of every scored row, (rows,).
    log_likelihoods: Tensor | None = None
    quality: SampleQuality | None = None
    #: Of a classifier on labelled test rows.
    error_rate: ErrorRate | None = None
    sample_seconds: float | None = None
    samples: Tensor | None = None
    #: Validation over seconds of training, in bits/dim.
    curve: tuple[tuple[float, float], ...] = ()
    trace: tuple[tuple[str, float], ...] = ()
    epochs: int = 0
    #: Whether validation rows chose the weights; otherwise the last ones were kept.
    chosen: bool = True


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

    @property
    def error_rate(self) -> float | None:
        """The mean over the seeds of a classifier's error, in [0, 1]; None where it was not measured."""
        values = [trial.error_rate.error for trial in self.trials if trial.error_rate]
        return sum(values) / len(values) if values else None

    @property
    def error_rate_spread(self) -> float:
        """Its standard error over the test rows, or its standard deviation over several seeds."""
        rates = [trial.error_rate for trial in self.trials if trial.error_rate]
        return _spread([rate.error for rate in rates], rates[0].stderr if rates else math.nan)

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


@dataclass(frozen=True, repr=False)
class Comparison:
    """Models trained on the same data for the same time and measured by the same ruler, as `compare` returns them."""

    data: Data
    entries: Sequence[Entry]
    baseline: Entry
    #: Minutes that the whole was given.
    minutes: float
    seeds: int
    #: Seconds of training that each model with gradients was given, for each seed.
    budget: float
    #: The test rows that were scored.
    test: Split
    #: Test rows in an order of chance: the real data beside the samples, which are drawn at their contexts.
    shown: Split
    seconds: float = 0.0
    #: What samples are held against: the name of the split, how many of its rows, and the features; None where nothing.
    judged: tuple[str, int, str] | None = None

    @property
    def ranked(self) -> list[Entry]:
        """The models with a likelihood, and the baseline, best first."""
        scored = [entry for entry in (*self.entries, self.baseline) if entry.nats is not None]
        return sorted(scored, key=lambda entry: -(entry.nats or 0.0))

    def behind(self, entry: Entry) -> tuple[float, float]:
        """By how many nats the mean log-likelihood of a model of `ranked` is below that of the first, and the error of
        this difference.

        With one seed it is the standard error of the mean of the rows' own differences: both models are measured on the
        same rows, and what makes a row hard for both cancels. With several seeds it is the root of the sum of the two
        variances over the seeds, which counts what a training hangs on as well.
        """
        best = self.ranked[0]
        if entry is best:
            return 0.0, 0.0
        difference = (best.nats or 0.0) - (entry.nats or 0.0)
        mine, its = entry.trials[0].log_likelihoods, best.trials[0].log_likelihoods
        if self.seeds > 1 or mine is None or its is None:
            return difference, math.hypot(entry.spread, best.spread)
        return difference, standard_error(its - mine)

    @property
    def level(self) -> list[Entry]:
        """The entries of `ranked` that are not told apart from the first: behind it by less than two errors."""
        behind = [(entry, *self.behind(entry)) for entry in self.ranked[1:]]
        return [entry for entry, difference, error in behind if not difference > 2 * error]

    @property
    def density_free(self) -> list[Entry]:
        """The models without a likelihood, best samples first."""
        return sorted(
            (entry for entry in self.entries if entry.trials and entry.nats is None),
            key=lambda entry: math.inf if entry.frechet is None else entry.frechet,
        )

    @property
    def classifiers(self) -> list[Entry]:
        """The models that classify and were given labels to judge it by, best first."""
        judged = [entry for entry in self.entries if entry.error_rate is not None]
        return sorted(judged, key=lambda entry: entry.error_rate or 0.0)

    @property
    def failed(self) -> list[Entry]:
        """The models that could not be trained or measured; `failure` says why."""
        return [entry for entry in self.entries if entry.failure is not None]

    def bits(self, nats: float) -> float:
        """Nats of this data set as bits/dim."""
        return bits_per_dim(nats, self.data.event)

    @property
    def table(self) -> "pandas.DataFrame":
        """A row for each model, best first: those with a likelihood and the baseline, those judged by their samples
        alone, and those with a `failure`.

        `test_nats` is the mean log-likelihood of a test row, larger is better; `error` and `bits_per_dim_error` are
        the standard errors over test rows, or, with several seeds, the standard deviations over them. `behind_best` and
        `behind_best_error` are what `behind` says: the difference to the best model and its own, paired error, by which
        models are told apart. `frechet` is the distance of so many `samples` from as many real rows, 0 is best, beside
        that of real rows from others. `error_rate` is that of a classifier. NaN where there is nothing.
        """
        import pandas as pd  # costs half a second

        entries = [*self.ranked, *self.density_free, *(entry for entry in self.failed if not entry.trials)]
        return pd.DataFrame([self._row(entry) for entry in entries]).set_index("model")

    def save_report(self, path: str | Path, *, command: str | None = None) -> Path:
        """Write the page with the tables, every model's samples and the learning curves: one HTML file that needs no
        other. `command` is what it says it was made by."""
        from ancestral.comparison.report import comparison_page  # waits for matplotlib

        path = check_output(path, (".html",))
        write_bytes(comparison_page(self, command or self._call()).encode(), path)
        return path

    def __repr__(self) -> str:
        from ancestral.comparison.rows import headline

        return f"{headline(self)}\n{self.table.to_string(na_rep='-', float_format='{:.4g}'.format)}"

    def _repr_html_(self) -> str:
        from ancestral.comparison.report import notebook_view

        return notebook_view(self)

    def _call(self) -> str:
        names = [entry.name for entry in self.entries]
        return f"an.compare({self.data.name!r}, {names}, minutes={self.minutes:g}, seeds={self.seeds})"

    def _row(self, entry: Entry) -> dict[str, Any]:
        first = entry.trials[0] if entry.trials else None
        score, quality = (first.score, first.quality) if first else (None, None)
        nats = math.nan if entry.nats is None else entry.nats
        behind, behind_error = (math.nan, math.nan) if entry.nats is None else self.behind(entry)
        return {
            "model": entry.name,
            "family": entry.family,
            "parameters": first.parameters if first else 0,
            "test_nats": nats,
            "error": entry.spread,
            "behind_best": behind,
            "behind_best_error": behind_error,
            "bits_per_dim": self.bits(nats),
            "bits_per_dim_error": abs(self.bits(entry.spread)),
            "kind": score.kind if score else None,
            "frechet": math.nan if entry.frechet is None else entry.frechet,
            "frechet_of_real": quality.reference if quality else math.nan,
            "samples": quality.n if quality else 0,
            "error_rate": math.nan if entry.error_rate is None else entry.error_rate,
            "error_rate_error": entry.error_rate_spread,
            "train_seconds": entry.mean("train_seconds"),
            "seconds_per_1000_samples": entry.mean("sample_seconds"),
            "failure": entry.failure,
        }


def _spread(values: Sequence[float], alone: float) -> float:
    if len(values) < 2:
        return alone
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
