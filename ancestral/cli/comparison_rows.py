"""The cells of a comparison's two tables, for the terminal and for the report alike."""

import math
from collections.abc import Sequence

from ancestral.cli.comparison import Comparison, Entry

LIKELIHOOD = ("model", "family", "parameters", "test nats", "bits/dim", "kind", "training s", "s per 1,000 samples")
SAMPLES_ONLY = (
    "model",
    "family",
    "parameters",
    "Fréchet distance",
    "real to real",
    "training s",
    "s per 1,000 samples",
)
#: The first columns are words, the others numbers.
TEXT_COLUMNS = 2


def likelihood_row(entry: Entry, result: Comparison) -> Sequence[str]:
    """A model with a likelihood."""
    trial, nats = entry.trials[0], entry.nats or 0.0
    bits, spread = result.bits(nats), abs(result.bits(entry.spread))
    return (
        entry.name,
        entry.family,
        f"{trial.parameters:,}" if trial.parameters else "-",
        f"{nats:.2f} ± {entry.spread:.2f}",
        f"{bits:.3f} ± {spread:.3f}",
        trial.score.kind if trial.score else "-",
        *_seconds(entry),
    )


def samples_only_row(entry: Entry) -> Sequence[str]:
    """A model without one."""
    quality = entry.trials[0].quality
    return (
        entry.name,
        entry.family,
        f"{entry.trials[0].parameters:,}",
        "-" if entry.frechet is None else f"{entry.frechet:.3g}",
        f"{quality.reference:.3g}" if quality else "-",
        *_seconds(entry),
    )


def spread_of(result: Comparison) -> str:
    """What stands behind ±."""
    if result.seeds == 1:
        return f"standard error over {result.test_rows:,} test rows"
    return f"mean ± standard deviation over {result.seeds} seeds"


def _seconds(entry: Entry) -> tuple[str, str]:
    sampling = entry.mean("sample_seconds")
    return f"{entry.mean('train_seconds'):.1f}", "-" if math.isnan(sampling) else f"{sampling:.2g}"
