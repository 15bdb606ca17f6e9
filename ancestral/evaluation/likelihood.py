"""The one ruler for likelihood: `evaluate`, and the one place where nats become bits per dimension."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ancestral.data import Split
from ancestral.interface import Batch, BoundedDensity, Columns, Event, ExactDensity, InputError, Model, Sampler
from ancestral.output import counted

#: Importance samples for a bound where the caller names no number.
DEFAULT_IMPORTANCE_SAMPLES = 10
#: Importance samples of all rows where only some of them get more.
_FIRST_SAMPLES = 4
#: Rows that a bound is taken of at once. Fixed, so that the draws for a row hang on neither a batch size nor a limit;
#: the model's `rows_at_once` bounds the memory.
_BLOCK = 64


@dataclass(frozen=True)
class Score:
    """A mean log-likelihood in nats per example (larger is better), with what kind of number it is.

    `stderr` is the standard error of the mean over the `n` examples, in nats; NaN for a single one. `bits_per_dim` is
    the negative log-likelihood per dimension in bits (smaller is better). For Real data both are of a density, so they
    depend on the data's unit. `importance_samples` is None where the likelihood is exact.
    """

    nats: float
    stderr: float
    bits_per_dim: float
    kind: Literal["exact", "lower bound"]
    n: int
    importance_samples: int | None = None
    #: Rows by which the bound of `importance_samples` is known, drawn from the n; None where it is that of all.
    refined_rows: int | None = None
    #: Of a table of several kinds of columns, how many of them are densities.
    densities: int | None = None
    #: Bits/dim of a uniform guess, of data that all have equally many values.
    uniform: float | None = None

    @classmethod
    def of(cls, nats_of_rows: Float[Tensor, " n"], event: Event, *, importance_samples: int | None = None) -> "Score":
        """The score of rows of `event` with these log-likelihoods: exact, or lower bounds of that many
        `importance_samples`."""
        values, n = nats_of_rows.double(), len(nats_of_rows)
        nats = values.mean().item()
        return cls(
            nats=nats,
            stderr=standard_error(values),
            bits_per_dim=bits_per_dim(nats, event),
            kind="exact" if importance_samples is None else "lower bound",
            n=n,
            importance_samples=importance_samples,
            densities=event.densities if isinstance(event.support, Columns) else None,
            uniform=None if event.values is None else math.log2(event.values),
        )

    def __str__(self) -> str:
        samples = self.importance_samples
        how = self.kind if samples is None else f"{self.kind}, {counted(samples, 'sample')}"
        nats = f"{in_digits(self.nats)} nats, standard error unknown"
        if not math.isnan(self.stderr):
            nats = f"{in_digits(self.nats)} ± {in_digits(self.stderr)} nats"
        if self.refined_rows:
            how = f"{how} on {self.refined_rows:,} random rows and {_FIRST_SAMPLES} on all"
        if self.densities:
            how = f"{how}, densities in {counted(self.densities, 'column')}"
        score = f"{nats} ({how}), {in_digits(self.bits_per_dim, 4)} bits/dim, n = {self.n}"
        if self.uniform is None or self.bits_per_dim <= self.uniform:
            return score
        return f"{score}; worse than a uniform guess, of {in_digits(self.uniform, 4)} bits/dim: trained too little?"


def in_digits(value: float, places: int = 3) -> str:
    """A number with so many decimals; its leading digits beyond a million, which one outlier makes of a mean, and where
    it is so small that no decimal would show it."""
    if value and abs(value) < 0.5 * 10**-places:
        return f"{value:.1e}"
    return f"{value:.{places}f}" if abs(value) < 1e6 else f"{value:.4g}"


def standard_error(values: Float[Tensor, " n"]) -> float:
    """Of the mean of independent values: their standard deviation over the root of n; NaN for a single one."""
    return float(values.double().std()) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def bits_per_dim(nats: float, event: Event) -> float:
    """The negative log-likelihood per dimension in bits, of a log-likelihood in nats per example."""
    return -nats / (event.size * math.log(2))


@torch.no_grad()
def evaluate(
    model: Model,
    data: Split | Tensor,
    *,
    importance_samples: int | None = None,
    refined_rows: int | None = None,
    batch_size: int = 256,
    limit: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Score:
    """The mean log-likelihood of `data` (at most its first `limit` rows) under `model`.

    Exact where the model's density is; otherwise the importance-weighted lower bound, in which a row's draws do not
    depend on `batch_size` or `limit`. Where a model accepts missing values (NaN), the likelihood is that of the
    observed ones, and bits/dim divide it by all dimensions.

    Args:
        model: one with a density.
        data: rows of the model's event.
        importance_samples: of the lower bound of a model that has no exact density (default: 10); more are tighter.
        refined_rows: take that bound on so many rows, drawn at random, and one of 4 samples on all. What the bound of
            these rows gains by more samples is then taken for the gain of all, which costs a slow decoder less and
            the standard error hardly anything (double sampling: Cochran 1977, chapter 12).
        batch_size: rows at once of an exact density; a bound takes blocks of rows, so that no draw hangs on it.
        limit: take the first rows alone, at most so many.
        seed: of the draws of a lower bound.
        progress: show progress on stderr.

    Raises:
        InputError: The model defines no density, or an exact one is given `importance_samples`.
    """
    how: dict[str, Any] = {"batch_size": batch_size, "seed": seed, "progress": progress}
    if refined_rows is not None:
        return _refined(model, data, importance_samples, refined_rows, limit, how)
    values = log_likelihoods(model, data, importance_samples=importance_samples, limit=limit, **how)
    exact = isinstance(model, ExactDensity)
    return Score.of(
        values, model.event, importance_samples=None if exact else importance_samples or DEFAULT_IMPORTANCE_SAMPLES
    )


def _refined(
    model: Model, data: Split | Tensor, samples: int | None, rows: int, limit: int | None, how: Mapping[str, Any]
) -> Score:
    """The bound of `samples` importance samples, by that of few on all rows and its gain on some `rows`."""
    if isinstance(model, ExactDensity):
        raise InputError(f"{model.display_name} is exact: it takes no refined_rows")
    if samples is None or samples <= _FIRST_SAMPLES:
        raise InputError(f"refined_rows are for more than {_FIRST_SAMPLES} importance_samples, got {samples}")
    n = len(data) if limit is None else min(len(data), limit)
    if not 2 <= rows <= n:
        raise InputError(f"refined_rows must be at least 2 and at most the {n} rows that are scored, got {rows}")
    first = log_likelihoods(model, data, importance_samples=_FIRST_SAMPLES, limit=limit, **how)
    chosen = torch.randperm(n, generator=torch.Generator().manual_seed(how["seed"]))[:rows].sort().values
    some = data.take(chosen) if isinstance(data, Split) else data[chosen]
    gain = log_likelihoods(model, some, importance_samples=samples, **how) - first[chosen]
    score = Score.of(first + gain.mean(), model.event, importance_samples=samples)
    return replace(score, stderr=math.hypot(score.stderr, standard_error(gain)), refined_rows=rows)


@torch.no_grad()
def log_likelihoods(
    model: Model,
    data: Split | Tensor,
    *,
    importance_samples: int | None = None,
    batch_size: int = 256,
    limit: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Float[Tensor, " n"]:
    """The log-likelihood (or its lower bound) of every row in nats, (n,), float64: what `evaluate` averages.

    Args:
        model: one with a density.
        data: rows of the model's event.
        importance_samples: of the lower bound of a model that has no exact density (default: 10); more are tighter.
        batch_size: rows at once of an exact density; a bound takes blocks of rows, so that no draw hangs on it.
        limit: take the first rows alone, at most so many.
        seed: of the draws of a lower bound.
        progress: show progress on stderr.

    Raises:
        InputError: The model defines no density, or an exact one is given `importance_samples`.
    """
    if not isinstance(model, ExactDensity | BoundedDensity):
        hint = "; `ancestral evaluate`, or evaluate_samples, judges its samples" if isinstance(model, Sampler) else ""
        raise InputError(f"{model.display_name} defines no density{hint}")
    if isinstance(model, ExactDensity) and importance_samples is not None:
        raise InputError(f"{model.display_name} is exact: it takes no importance_samples")
    if batch_size < 1 or (limit is not None and limit < 1):
        raise InputError(f"batch_size and limit must be at least 1, got {batch_size} and {limit}")
    samples = DEFAULT_IMPORTANCE_SAMPLES if importance_samples is None else importance_samples
    generator = torch.Generator().manual_seed(seed)
    whole = limit
    if not isinstance(model, ExactDensity):
        # Each block of rows takes its draws as a whole, whatever is asked of it.
        batch_size = _BLOCK
        whole = None if limit is None else math.ceil(limit / _BLOCK) * _BLOCK
    found = []
    for batch in batches(data, batch_size, whole, "scoring" if progress else None):
        x, context = batch.x.to(model.device), None if batch.context is None else batch.context.to(model.device)
        if isinstance(model, ExactDensity):
            values = model.log_prob(x, context=context)
        else:
            values = model.log_prob_lower_bound(x, importance_samples=samples, context=context, generator=generator)
        found.append(values.double().cpu())
    return torch.cat(found)[:limit]


def batches(
    data: Split | Tensor, batch_size: int, limit: int | None = None, description: str | None = None
) -> Iterator[Batch]:
    """The rows of `data` in order, whole batches at a time; with a progress bar where there is a `description`."""
    if not isinstance(data, Split | Tensor):
        raise InputError(f"data must be a Split, as data.test, or a tensor of observations, got {type(data).__name__}")
    n = len(data) if limit is None else min(len(data), limit)
    if n == 0:
        raise InputError("the data are empty: there is nothing to evaluate")
    starts: Iterator[int] = iter(range(0, n, batch_size))
    if description is not None:
        from rich.progress import track

        starts = iter(track(range(0, n, batch_size), description, transient=True))
    for start in starts:
        rows = range(start, min(start + batch_size, n))
        yield Batch(data[start : rows.stop]) if isinstance(data, Tensor) else data.__getitems__(list(rows))
