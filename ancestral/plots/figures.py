"""Figures to bytes and files."""

import io
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ancestral.output import write_bytes


def figure_png(figure: Figure) -> bytes:
    """The figure as a PNG, at its own resolution."""
    FigureCanvasAgg(figure)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=figure.dpi)
    return stream.getvalue()


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write the figure as a PNG, whole or not at all, and the folders above it that do not exist."""
    write_bytes(figure_png(figure), Path(path))
