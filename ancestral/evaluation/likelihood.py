"""The one ruler for likelihood: `evaluate`, and the one place where nats become bits per dimension."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ancestral.data import Split
from ancestral.interface import Batch, BoundedDensity, Event, ExactDensity, InputError, Model

#: Importance samples for a bound where the caller names no number.
DEFAULT_IMPORTANCE_SAMPLES = 10


@dataclass(frozen=True)
class Score:
    """A mean log-likelihood in nats per example (larger is better), with what kind of number it is.

    `stderr` is the standard error of the mean over the `n` examples, in nats. `bits_per_dim` is the negative
    log-likelihood per dimension in bits (smaller is better). For Real data both are of a density, so they depend on the
    data's unit. `importance_samples` is None where the likelihood is exact.
    """

    nats: float
    stderr: float
    bits_per_dim: float
    kind: Literal["exact", "lower bound"]
    n: int
    importance_samples: int | None = None

    def __str__(self) -> str:
        how = self.kind if self.importance_samples is None else f"{self.kind}, {self.importance_samples} samples"
        error = "unknown" if math.isnan(self.stderr) else f"{self.stderr:.3f}"
        return f"{self.nats:.3f} ± {error} nats ({how}), {self.bits_per_dim:.4f} bits/dim, n = {self.n}"


def bits_per_dim(nats: float, event: Event) -> float:
    """The negative log-likelihood per dimension in bits, of a log-likelihood in nats per example."""
    return -nats / (event.size * math.log(2))


@torch.no_grad()
def evaluate(
    model: Model,
    data: Split | Tensor,
    *,
    importance_samples: int | None = None,
    batch_size: int = 256,
    limit: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Score:
    """The mean log-likelihood of `data` (at most its first `limit` rows) under `model`.

    Exact where the model's density is; otherwise the importance-weighted lower bound with `importance_samples`
    (default 10), whose draws come from `seed`. Raises `InputError` for a model without a density.
    """
    total = squares = 0.0
    n = 0
    for values in _batches_of_log_likelihoods(model, data, importance_samples, batch_size, limit, seed, progress):
        # Shifted by the first batch's mean, the sum of squares loses no digits.
        if n == 0:
            shift = values.mean().item() if values.isfinite().all() else 0.0
        total += (values - shift).sum().item()
        squares += (values - shift).square().sum().item()
        n += len(values)
    mean = total / n
    variance = max(squares / n - mean**2, 0.0) * n / max(n - 1, 1)
    exact = isinstance(model, ExactDensity)
    return Score(
        nats=mean + shift,
        stderr=math.sqrt(variance / n) if n > 1 else math.nan,
        bits_per_dim=bits_per_dim(mean + shift, model.event),
        kind="exact" if exact else "lower bound",
        n=n,
        importance_samples=None if exact else importance_samples or DEFAULT_IMPORTANCE_SAMPLES,
    )


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
    """The log-likelihood (or its lower bound) of every row in nats, (n,), float64: what `evaluate` averages."""
    return torch.cat(
        list(_batches_of_log_likelihoods(model, data, importance_samples, batch_size, limit, seed, progress))
    )


def _batches_of_log_likelihoods(
    model: Model,
    data: Split | Tensor,
    importance_samples: int | None,
    batch_size: int,
    limit: int | None,
    seed: int,
    progress: bool,
) -> Iterator[Tensor]:
    if not isinstance(model, ExactDensity | BoundedDensity):
        raise InputError(f"{type(model).__name__} defines no density; use evaluate_samples")
    if isinstance(model, ExactDensity) and importance_samples is not None:
        raise InputError(f"{type(model).__name__} is exact: it takes no importance_samples")
    if batch_size < 1 or (limit is not None and limit < 1):
        raise InputError(f"batch_size and limit must be at least 1, got {batch_size} and {limit}")
    samples = DEFAULT_IMPORTANCE_SAMPLES if importance_samples is None else importance_samples
    generator = torch.Generator().manual_seed(seed)
    for batch in batches(data, batch_size, limit, "scoring" if progress else None):
        x, context = batch.x.to(model.device), None if batch.context is None else batch.context.to(model.device)
        if isinstance(model, ExactDensity):
            yield model.log_prob(x, context=context).double().cpu()
        else:
            bound = model.log_prob_lower_bound(x, importance_samples=samples, context=context, generator=generator)
            yield bound.double().cpu()


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
