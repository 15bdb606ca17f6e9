"""The outcome of a comparison in a line, and the cells of its tables, for the terminal and for the report alike."""

import math
from collections.abc import Sequence

from ancestral.comparison.result import Comparison, Entry
from ancestral.output import counted

#: Of the report; and, with its numbers short, of a terminal of 80 columns.
LIKELIHOOD = (
    "model",
    "family",
    "parameters",
    "test nats",
    "behind the best",
    "bits/dim",
    "kind",
    "Fréchet distance",
    "training s",
    "s per 1,000 samples",
)
LIKELIHOOD_SHORT = (
    "model",
    "family",
    "para-\nmeters",
    "test\nnats",
    "behind\nbest",
    "bits/dim",
    "kind",
    "Fré-\nchet",
    "train\ns",
    "s per\n1,000",
)
SAMPLES_ONLY = (
    "model",
    "family",
    "parameters",
    "Fréchet distance",
    "real to real",
    "training s",
    "s per 1,000 samples",
)
SAMPLES_ONLY_SHORT = (
    "model",
    "family",
    "para-\nmeters",
    "Fréchet\ndistance",
    "real to\nreal",
    "train\ns",
    "s per\n1,000",
)
CLASSIFIERS = ("model", "family", "test error, %")
#: The first columns are words, the others numbers.
TEXT_COLUMNS = 2


def headline(result: Comparison) -> str:
    """The outcome in a line: the best model, and those that are not told apart from it."""
    models = [entry for entry in result.ranked if entry is not result.baseline]
    if not models:
        return f"Models of {result.data.name}"
    best = models[0]
    if result.ranked[0] is result.baseline:
        return f"No model beats the {result.baseline.name} on {result.data.name}; {best.name} comes nearest"
    line = f"{best.name} describes {result.data.name} best: {result.bits(best.nats or 0.0):.3f} bits/dim"
    if not result.level:
        return line
    return f"{line}, but within the error not told apart from {', '.join(entry.name for entry in result.level)}"


def likelihood_row(entry: Entry, result: Comparison, *, short: bool = False) -> Sequence[str]:
    """A model with a likelihood."""
    score, nats = entry.trials[0].score, entry.nats or 0.0
    bits, spread = result.bits(nats), abs(result.bits(entry.spread))
    wide = any(abs(other.nats or 0.0) >= 100 for other in result.ranked)
    digits, between = (1 if wide and short else 2), "±" if short else " ± "
    kind = "-" if score is None else score.kind
    return (
        entry.name,
        entry.family,
        _count(entry, short=short),
        f"{nats:.{digits}f}" if short else f"{nats:.{digits}f}{between}{entry.spread:.{digits}f}",
        _behind(entry, result, short=short),
        f"{bits:.3f}{between}{spread:.3f}",
        "bound" if short and kind == "lower bound" else kind,
        _frechet(entry),
        *_seconds(entry, short=short),
    )


def samples_only_row(entry: Entry, *, short: bool = False) -> Sequence[str]:
    """A model without one."""
    quality = entry.trials[0].quality
    return (
        entry.name,
        entry.family,
        _count(entry, short=short),
        _frechet(entry),
        f"{quality.reference:.3g}" if quality else "-",
        *_seconds(entry, short=short),
    )


def classifier_row(entry: Entry) -> Sequence[str]:
    """A model that classifies."""
    error, spread = 100 * (entry.error_rate or 0.0), 100 * entry.error_rate_spread
    return entry.name, entry.family, f"{error:.2f} ± {spread:.2f}"


def spread_of(result: Comparison) -> str:
    """What stands behind ±."""
    if result.seeds == 1:
        return f"standard error over {counted(len(result.test), 'test row')}"
    return f"mean ± standard deviation over {counted(result.seeds, 'seed')}"


def _behind(entry: Entry, result: Comparison, *, short: bool) -> str:
    """The difference to the best model with its error, to one or two digits of the error."""
    difference, error = result.behind(entry)
    if entry is result.ranked[0]:
        return "-"
    if not math.isfinite(error):
        return f"{difference:.2f}"
    places = 2 if error == 0 else min(max((0 if short else 1) - math.floor(math.log10(error)), 0), 6)
    return f"{difference:.{places}f}{'±' if short else ' ± '}{error:.{places}f}"


def _frechet(entry: Entry) -> str:
    return "-" if entry.frechet is None else f"{entry.frechet:.3g}"


def _count(entry: Entry, *, short: bool) -> str:
    count = entry.trials[0].parameters
    if count == 0:
        return "-"
    if not short or count < 10_000:
        return f"{count:,}"
    return f"{count / 1000:,.0f}k" if count < 1_000_000 else f"{count / 1_000_000:.1f}M"


def _seconds(entry: Entry, *, short: bool) -> tuple[str, str]:
    training, sampling = entry.mean("train_seconds"), entry.mean("sample_seconds")
    return f"{training:.{0 if short else 1}f}", "-" if math.isnan(sampling) else f"{sampling:.2g}"
