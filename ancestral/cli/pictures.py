"""Figures into files."""

from pathlib import Path

from matplotlib.figure import Figure

from ancestral.cli.output import write_bytes
from ancestral.plots import figure_png


def write_figure(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG, whole or not at all."""
    write_bytes(figure_png(figure), path)
