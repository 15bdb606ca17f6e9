"""Figures to bytes and files."""

import io
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.spines import Spine
from matplotlib.text import Text

from ancestral.output import write_bytes

#: Of the words and axes of a figure on a light page, and on a dark one.
_INKS = ("#1c2330", "#dfe3ea")


def figure_png(figure: Figure) -> bytes:
    """The figure as a PNG, at its own resolution."""
    return _png(figure, transparent=False)


def page_pngs(figure: Figure) -> tuple[bytes, bytes]:
    """The figure for a light page and for a dark one, on a transparent ground; equal where it has no words or axes.

    The figure keeps the colours of the dark one.
    """
    light = _png(_in_ink(figure, _INKS[0]), transparent=True)
    figure.set_layout_engine("none")  # everything stays where it is
    return light, _png(_in_ink(figure, _INKS[1]), transparent=True)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write the figure as a PNG, whole or not at all, and the folders above it that do not exist."""
    write_bytes(figure_png(figure), Path(path))


def _png(figure: Figure, *, transparent: bool) -> bytes:
    FigureCanvasAgg(figure)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=figure.dpi, transparent=transparent)
    return stream.getvalue()


def _in_ink(figure: Figure, ink: str) -> Figure:
    for artist in figure.findobj():
        match artist:
            case Axes():
                artist.tick_params(which="both", colors=ink)
            case Spine():
                artist.set_edgecolor(ink)
            case Text():
                artist.set_color(ink)
    return figure
