"""Figures to bytes and files."""

import io
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ancestral.persistence import write_atomically


def figure_png(figure: Figure) -> bytes:
    """The figure as a PNG, at its own resolution."""
    FigureCanvasAgg(figure)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=figure.dpi)
    return stream.getvalue()


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write the figure as a PNG, whole or not at all."""
    write_atomically({Path(path): figure_png(figure)})
