"""The page that `ancestral compare` writes."""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure

from ancestral.cli import environment
from ancestral.cli.comparison import IMPORTANCE_SAMPLES, Comparison, Entry
from ancestral.cli.comparison_rows import (
    LIKELIHOOD,
    SAMPLES_ONLY,
    TEXT_COLUMNS,
    likelihood_row,
    samples_only_row,
    spread_of,
)
from ancestral.cli.output import describe
from ancestral.cli.report import Cell, cards, command, definitions, figure, figures, heading, page, section, table, text
from ancestral.interface import Real
from ancestral.plots import em_trace, learning_curves, samples_figure

#: Observations in one picture of samples: images in a square grid, points of a scatter or a histogram.
_IMAGES, _POINTS = 36, 1000

_FRECHET = """The Fréchet distance between the moments of samples and of real rows in the space of the data's principal
components: 0 is best, and “real to real” is what two halves of the real data score. It sees means and covariances only;
it says nothing of memorised rows or of likelihood."""
_BAR = "The bar is the gain over the baseline, beside the best model's."
_CURVES = """Validation in bits/dim over the seconds of training; lower is better. Lower bounds are taken with one draw
here, which is looser than in the table."""
_EM = "the objective after every half-step of EM, which never falls."
_DISCRETE = (
    "the same with its sign turned, in bits for each dimension: the length of a lossless code; smaller is better"
)
_REAL = """the same with its sign turned, in bits for each dimension; smaller is better. Of a density it may be below 0,
and it depends on the unit of the data"""
_BOUND = """what is computed is at most the log-likelihood: the model may be better than its number, never worse beyond
chance"""
_BASELINE = """every dimension on its own, as if nothing hung together: the ruler's zero. A model that does not beat it
has learned nothing of how the dimensions hang together"""


def comparison_page(result: Comparison, line: str) -> str:
    """A whole HTML document for a comparison that the command `line` made."""
    data = result.data
    sections = [
        heading(_headline(result), _introduction(result)),
        section("Likelihood", _likelihoods(result), text(f"±: {spread_of(result)}. {_BAR}")),
    ]
    if result.density_free:
        sections.append(section("Without a density, judged by samples", _samples_only(result), text(_FRECHET)))
    if result.failed:
        rows = [
            ("", (Cell(e.name, is_text=True), Cell(e.failure or "", is_text=True, wrap=True))) for e in result.failed
        ]
        header = (Cell("model", is_text=True), Cell("why it is not in the table", is_text=True))
        sections.append(section("Not measured", table(header, rows)))
    sections += [
        section("Samples beside real data", cards(_pictures(result))),
        *_curves(result),
        section("How to read this", definitions(_explanations(result))),
        section("How it was made", command(line), definitions(_origin(result))),
    ]
    return page(f"ancestral compare: {data.name}", sections)


def _headline(result: Comparison) -> str:
    models = [entry for entry in result.ranked if entry is not result.baseline]
    if not models:
        return f"Models of {result.data.name}"
    best = models[0]
    if result.ranked[0] is result.baseline:
        return f"No model beats the {result.baseline.name} on {result.data.name}; {best.name} comes nearest"
    line = f"{best.name} describes {result.data.name} best: {result.bits(best.nats or 0.0):.3f} bits/dim"
    rivals = [e for e in models[1:] if (best.nats or 0.0) - (e.nats or 0.0) < 2 * _joint(best, e)]
    return f"{line}, level with {', '.join(e.name for e in rivals)} within the error" if rivals else line


def _joint(a: Entry, b: Entry) -> float:
    return float((a.spread**2 + b.spread**2) ** 0.5)


def _introduction(result: Comparison) -> str:
    data, trained = result.data, [entry for entry in result.entries if entry.trials]
    families = len({entry.family for entry in trained})
    return (
        f"{len(trained)} models of {families} families, trained on the same {len(data.train):,} rows of"
        f" {describe(data.event)}, and measured on the same {result.test_rows:,} test rows that"
        f" none of them has seen. Each model that learns by gradients had up to {result.budget:.0f} seconds, and the"
        f" best weights were chosen on {len(data.valid):,} validation rows."
    )


def _likelihoods(result: Comparison) -> str:
    zero = result.bits(result.baseline.nats or 0.0)
    gains = [zero - result.bits(entry.nats or 0.0) for entry in result.ranked]
    widest = max([*gains, 1e-9])
    header = [*_header(LIKELIHOOD), Cell("gain", is_text=True)]
    rows = []
    for place, (entry, gain) in enumerate(zip(result.ranked, gains, strict=True)):
        kind = "baseline" if entry is result.baseline else "best" if place == 0 else ""
        cells = _cells(likelihood_row(entry, result))
        rows.append((kind, [*cells, Cell("", bar=max(gain, 0.0) / widest)]))
    return table(header, rows)


def _samples_only(result: Comparison) -> str:
    return table(_header(SAMPLES_ONLY), [("", _cells(samples_only_row(entry))) for entry in result.density_free])


def _header(names: Sequence[str]) -> list[Cell]:
    return _cells(names)


def _cells(values: Sequence[str]) -> list[Cell]:
    return [Cell(value, is_text=i < TEXT_COLUMNS) for i, value in enumerate(values)]


def _pictures(result: Comparison) -> list[tuple[str, str, Figure, bool]]:
    event, test = result.data.event, result.data.test
    count = _IMAGES if len(event.shape) == 3 else _POINTS
    some = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:count]
    real = samples_figure(test.take(some).x, event)
    if event.size == 2:
        real.axes[0].set_aspect("equal", adjustable="box")
    pictures = [("real data", "test rows drawn at random", real, True)]
    for entry in [*result.ranked, *result.density_free]:
        samples = entry.trials[0].samples if entry.trials else None
        if samples is not None:
            drawn = samples_figure(samples[:count], event)
            if event.size == 2:  # points are compared on one scale
                drawn.axes[0].set_aspect("equal", adjustable="box")
                drawn.axes[0].set(xlim=real.axes[0].get_xlim(), ylim=real.axes[0].get_ylim())
            pictures.append((entry.name, entry.family, drawn, False))
    return pictures


def _curves(result: Comparison) -> list[str]:
    """The learning curves, and EM's trace where there is one."""
    curves = {entry.name: entry.trials[0].curve for entry in result.entries if entry.trials and entry.trials[0].curve}
    parts = []
    if curves:
        picture = learning_curves(curves, x_label="seconds of training", y_label="validation, bits/dim")
        parts.append(figure(picture, _CURVES, "learning curves"))
    for entry in result.entries:
        if entry.trials and entry.trials[0].trace:
            picture = em_trace(entry.trials[0].trace)
            parts.append(figure(picture, f"{entry.name}: {_EM}", f"EM of {entry.name}"))
    return [section("Learning curves", figures(parts))] if parts else []


def _explanations(result: Comparison) -> list[tuple[str, str]]:
    return [
        ("test nats", "the mean natural log-likelihood of one test row; larger is better"),
        ("bits/dim", _REAL if isinstance(result.data.event.support, Real) else _DISCRETE),
        ("exact", "the log-likelihood itself"),
        ("lower bound", f"{_BOUND}; {IMPORTANCE_SAMPLES} importance samples a row"),
        ("±", f"{spread_of(result)}; models closer than about two of them are not told apart"),
        ("baseline", f"{result.baseline.name}: {_BASELINE}"),
    ]


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
        ("date", f"{environment.today()}, {result.seconds:.0f} seconds in all"),
    ]
