"""Figures: a function each, returning a matplotlib `Figure` that belongs to no window."""

from ancestral.plots.curves import em_trace, learning_curves
from ancestral.plots.figures import figure_png, save_figure
from ancestral.plots.panels import panels_figure
from ancestral.plots.samples import samples_figure

__all__ = [
    "em_trace",
    "figure_png",
    "learning_curves",
    "panels_figure",
    "samples_figure",
    "save_figure",
]
