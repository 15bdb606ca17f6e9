"""What labels buy: the error of a classifier over how many labels it had."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

_DPI = 100
_SIZE = (5.4, 3.6)


def transfer_figure(
    curves: Mapping[str, Sequence[tuple[int, float, float]]], *, y_label: str = "error on test rows, %"
) -> Figure:
    """One line a representation: name -> [(labels, error in [0, 1], its standard error), ...], with bars of one
    standard error where it is known."""
    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    counts: set[int] = set()
    for name, points in curves.items():
        labels, errors, stderrs = zip(*points, strict=True)
        counts |= set(labels)
        percent = [100 * error for error in errors]
        # A bar of one draw, nan, is not drawn.
        bars = [100 * stderr for stderr in stderrs]
        axes.errorbar(labels, percent, yerr=bars, label=name, linewidth=1.5, marker="o", markersize=4, capsize=3)
    axes.set_xscale("log")
    axes.set_xticks(sorted(counts))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(bottom=0)
    axes.set_xlabel("labels")
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure
