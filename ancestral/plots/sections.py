"""Errors by section, as bars."""

from collections.abc import Mapping

from matplotlib.figure import Figure

_DPI = 110


def sections_figure(errors: Mapping[str, tuple[float, int]]) -> Figure:
    """One bar a section, from name -> (error in [0, 1], how many were asked)."""
    figure = Figure(figsize=(6, 1.2 + 0.35 * len(errors)), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    names = [f"{name} ({asked:,})" for name, (_, asked) in errors.items()]
    axes.barh(names, [100 * error for error, _ in errors.values()], color="C0", alpha=0.7)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("error, %")
    axes.grid(axis="x", alpha=0.3)
    return figure
