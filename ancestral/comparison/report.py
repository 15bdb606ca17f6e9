"""What the page of a comparison says, and what a notebook shows of it."""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ancestral import environment
from ancestral.comparison.page import Cell, Html, cards, definitions, figures, fill, joined, section, table
from ancestral.comparison.result import Comparison, Entry
from ancestral.comparison.rows import (
    CLASSIFIERS,
    LIKELIHOOD,
    SAMPLES_ONLY,
    TEXT_COLUMNS,
    classifier_row,
    headline,
    likelihood_row,
    samples_only_row,
    spread_of,
)
from ancestral.comparison.run import IMPORTANCE_SAMPLES
from ancestral.data import columns_in_figures, in_units
from ancestral.interface import Event
from ancestral.output import counted, describe
from ancestral.plots import em_trace, kind_of, learning_curves, samples_figure, text_figure

#: Observations in one picture of samples: images in a square grid, points of a scatter or a histogram, texts.
_POINTS, _TEXTS = 1000, 12
_COUNTS = {"images": 36, "videos": 6, "table": _POINTS, "waveforms": 18, "strips": 36}
#: In a line of a text.
_LETTERS = 56

_FRECHET = """The Fréchet distance compares the means and the covariances of samples and of real rows in a space of
features: 0 is best. It says nothing of memorised rows or of likelihood, and hangs on the features and on how many
samples there are."""
_NONE = """“-”: too few samples, of a model that draws too slowly or not at all, or too few real rows to hold them
against."""
_BEHIND = "“Behind the best” is the difference to the first row in nats, with an error of its own."
_BAR = "The bar is the gain over the baseline, beside the best model's."
_CURVES = """Validation in bits/dim over the seconds of training; lower is better. Lower bounds are taken with one draw
here, which is looser than in the table."""
_EM = "the objective after every half-step of EM, which never falls."
_IN_BITS = "the same with its sign turned, in bits for each dimension; smaller is better"
_OF_DENSITIES = "their part may be below 0, and depends on the unit of the data"
_DISCRETE = f"{_IN_BITS}: the length of a lossless code"
_REAL = f"{_IN_BITS}. Of a density it may be below 0, and it depends on the unit of the data"
_BOUND = """what is computed is at most the log-likelihood: the model may be better than its number, never worse beyond
chance"""
_BASELINE = """every dimension on its own, as if nothing hung together: the ruler's zero. A model that does not beat it
has learned nothing of how the dimensions hang together"""
_PAIRED = """how many nats a model's mean is below the best one's, ± the standard error of the rows' own differences:
what makes a row hard for all models cancels, so that this error is smaller than the two models' own would suggest.
Models within two of these errors of the best are not told apart from it"""
_OVER_SEEDS = """how many nats a model's mean is below the best one's, ± the root of the sum of both variances over the
seeds. Models within two of these errors of the best are not told apart from it"""
_ERRORS = "The share of labelled test rows whose likeliest class is not their label."
_CONTEXTS = "Every sample is drawn given the context of the real row in the same place."
_UNCONDITIONAL = ". It is given no context"


def comparison_page(result: Comparison, command: str) -> Html:
    """A whole HTML document for a comparison that the `command` made."""
    sections = [
        fill("heading", headline=headline(result), introduction=_introduction(result)),
        *_tables(result),
        section("Samples beside real data", *_conditions(result), cards(_pictures(result))),
        *_curves(result),
        section("How to read this", definitions(_explanations(result))),
        section("How it was made", fill("command", line=command), definitions(_origin(result))),
    ]
    return fill("page", title=f"ancestral compare: {result.data.name}", content=joined(sections))


def notebook_view(result: Comparison) -> Html:
    """The headline and the tables alone, in the notebook's own style."""
    return joined([fill("heading", headline=headline(result), introduction=_introduction(result)), *_tables(result)])


def _tables(result: Comparison) -> list[Html]:
    words = fill("text", words=f"±: {spread_of(result)}. {_BEHIND} {_BAR} {_frechet_in_words(result)}")
    sections = [section("Likelihood", _likelihoods(result), words)]
    if result.density_free:
        words = fill("text", words=_frechet_in_words(result))
        sections.append(section("Without a density, judged by samples", _samples_only(result), words))
    if result.classifiers:
        rates = table(_cells(CLASSIFIERS), [("", _cells(classifier_row(entry))) for entry in result.classifiers])
        sections.append(section("Classification", rates, fill("text", words=_ERRORS)))
    if result.failed:
        rows = [("", (Cell(e.name, "text"), Cell(e.failure or "", "text wrap"))) for e in result.failed]
        header = (Cell("model", "text"), Cell("why it is not in the table", "text"))
        sections.append(section("Not measured", table(header, rows)))
    return sections


def _frechet_in_words(result: Comparison) -> str:
    """What the distances are of, and what real rows would score."""
    found = [trial.quality for entry in result.entries for trial in entry.trials if trial.quality]
    if result.judged is None or not found:
        return ""
    split, n, features = result.judged
    most = max(found, key=lambda quality: quality.n)
    fewer = "; where a model draws too slowly, of fewer" if any(quality.n < n for quality in found) else ""
    return (
        f"The Fréchet distance is of {n:,} samples from as many rows of {split}{fewer}, in {features}: 0 is best, and"
        f" other real rows score {most.reference:.3g}."
    )


def _introduction(result: Comparison) -> str:
    data, trained = result.data, [entry for entry in result.entries if entry.trials]
    families = len({entry.family for entry in trained})
    return (
        f"{counted(len(trained), 'model')} of {families} famil{'y' if families == 1 else 'ies'},"
        f" trained on the same {len(data.train):,} rows of"
        f" {describe(data.event, data.context_event)}, and measured on the same {len(result.test):,} test rows that"
        f" none of them has seen. Each model that learns by gradients had up to"
        f" {counted(round(result.budget), 'second')}, and the"
        f" best weights were chosen on {len(data.valid):,} validation rows{_unchosen(trained)}."
    )


def _unchosen(trained: Sequence[Entry]) -> str:
    """Of which models the last weights were kept: those of a game, whose losses say nothing of what is better."""
    games = [entry.name for entry in trained if not all(trial.chosen for trial in entry.trials)]
    return f", but of {', '.join(games)}, which have nothing to choose them by, the last ones kept" if games else ""


def _conditions(result: Comparison) -> list[Html]:
    return [] if result.data.context_event is None else [fill("text", words=_CONTEXTS)]


def _likelihoods(result: Comparison) -> Html:
    zero = result.bits(result.baseline.nats or 0.0)
    gains = [zero - result.bits(entry.nats or 0.0) for entry in result.ranked]
    widest = max([*gains, 1e-9])
    header = [*_cells(LIKELIHOOD), Cell("gain", "text")]
    rows = []
    for place, (entry, gain) in enumerate(zip(result.ranked, gains, strict=True)):
        kind = "baseline" if entry is result.baseline else "best" if place == 0 else ""
        cells = _cells(likelihood_row(entry, result))
        rows.append((kind, [*cells, Cell("", "text", bar=max(gain, 0.0) / widest)]))
    return table(header, rows)


def _samples_only(result: Comparison) -> Html:
    return table(_cells(SAMPLES_ONLY), [("", _cells(samples_only_row(entry))) for entry in result.density_free])


def _cells(values: Sequence[str]) -> list[Cell]:
    return [Cell(value, "text" if i < TEXT_COLUMNS else "") for i, value in enumerate(values)]


def _pictures(result: Comparison) -> list[tuple[str, str, Figure, bool]]:
    pictures = [("real data", "test rows drawn at random", _drawn(result, result.shown.x), True)]
    for entry in [*result.ranked, *result.density_free]:
        samples = entry.trials[0].samples if entry.trials else None
        if samples is not None:
            pictures.append((entry.name, entry.family, _drawn(result, samples, beside=result.shown.x), False))
    return pictures


def _drawn(result: Comparison, x: Tensor, beside: Tensor | None = None) -> Figure:
    """As many observations as have room; of a table beside the real rows."""
    data = result.data
    columns = {**columns_in_figures(data.schema), "sample_rate": data.sample_rate}
    kind = kind_of(data.event, columns.get("names"))
    if data.vocabulary and kind == "strips":
        return text_figure([data.text(tokens.long()) for tokens in x[:_TEXTS]], width=_LETTERS)
    real = None if beside is None else in_units(beside[:_POINTS], data.schema)
    return samples_figure(in_units(x[: _COUNTS[kind]], data.schema), data.event, real=real, **columns)


def _curves(result: Comparison) -> list[Html]:
    """The learning curves, and EM's trace where there is one."""
    curves = {entry.name: entry.trials[0].curve for entry in result.entries if entry.trials and entry.trials[0].curve}
    pictures = []
    if curves:
        picture = learning_curves(curves, x_label="seconds of training", y_label="validation, bits/dim")
        pictures.append((picture, _CURVES, "learning curves"))
    for entry in result.entries:
        if entry.trials and entry.trials[0].trace:
            pictures.append((em_trace(entry.trials[0].trace), f"{entry.name}: {_EM}", f"EM of {entry.name}"))
    return [section("Learning curves", figures(pictures))] if pictures else []


def _explanations(result: Comparison) -> list[tuple[str, str]]:
    return [
        ("test nats", "the mean natural log-likelihood of one test row; larger is better"),
        ("bits/dim", _bits_per_dim(result.data.event)),
        ("exact", "the log-likelihood itself"),
        ("lower bound", f"{_BOUND}; {IMPORTANCE_SAMPLES} importance samples a row"),
        ("±", spread_of(result)),
        ("behind the best", _PAIRED if result.seeds == 1 else _OVER_SEEDS),
        ("Fréchet distance", f"{_FRECHET} {_NONE}"),
        (
            "baseline",
            f"{result.baseline.name}: {_BASELINE}{_UNCONDITIONAL if result.data.context_event is not None else ''}",
        ),
    ]


def _bits_per_dim(event: Event) -> str:
    if 0 < event.densities < event.size:
        are = "is a density" if event.densities == 1 else "are densities"
        return f"{_IN_BITS}. {event.densities} of the {event.size} columns {are}: {_OF_DENSITIES}"
    return _REAL if event.densities else _DISCRETE


def _origin(result: Comparison) -> list[tuple[str, str]]:
    settings = "; ".join(
        f"{entry.name}: {', '.join(f'{key} {value}' for key, value in entry.settings.items()) or 'its defaults'}"
        for entry in result.entries
    )
    return [
        ("data", f"{result.data.name}{f', {result.data.note}' if result.data.note else ''}"),
        ("seeds", ", ".join(map(str, range(result.seeds)))),
        ("settings", settings),
        ("versions", ", ".join(f"{name} {version}" for name, version in environment.versions().items())),
        ("machine", f"{environment.device()}, {torch.get_num_threads()} threads"),
        ("date", f"{environment.today()}, {counted(round(result.seconds), 'second')} in all"),
    ]
