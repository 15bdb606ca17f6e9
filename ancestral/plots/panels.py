"""Several figures as one, without empty space."""

import io
import itertools
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from matplotlib.figure import Figure
from PIL import Image

from ancestral.plots.figures import figure_png

_DPI = 100
#: In inches: of the whole picture, between panels, of one line of a title, and of a letter in it.
_WIDTH, _GAP, _LINE, _LETTER = 15.0, 0.15, 0.24, 0.09
#: The height that rows of panels come near to.
_HEIGHT = 4.0


def panels_figure(panels: Mapping[str, Figure]) -> Figure:
    """The figures by their titles, in order, in rows that fill the width: the panels of a row have one height."""
    images = [Image.open(io.BytesIO(figure_png(figure))) for figure in panels.values()]
    aspects = [image.width / image.height for image in images]
    best = min(_partitions(len(images)), key=lambda rows: _unevenness(aspects, rows))
    placed: list[tuple[float, float, float, float]] = []
    titles: list[str] = []
    top = _GAP
    names = list(panels)
    for row in best:
        height = _row_height([aspects[i] for i in row])
        wrapped = [textwrap.fill(names[i], max(8, int(aspects[i] * height / _LETTER))) for i in row]
        top += _LINE * max(title.count("\n") + 1 for title in wrapped)
        left = _GAP
        for i in row:
            placed.append((left, top, aspects[i] * height, height))
            left += aspects[i] * height + _GAP
        titles += wrapped
        top += height + _GAP
    whole = Figure(figsize=(_WIDTH, top), dpi=_DPI)
    for image, title, (left, above, width, height) in zip(images, titles, placed, strict=True):
        axes = whole.add_axes((left / _WIDTH, 1 - (above + height) / top, width / _WIDTH, height / top))
        axes.set_axis_off()
        axes.imshow(image, aspect="auto")
        axes.set_title(title, fontsize=12, pad=3)
    return whole


def _row_height(aspects: Sequence[float]) -> float:
    return (_WIDTH - _GAP * (len(aspects) + 1)) / sum(aspects)


def _partitions(n: int) -> Iterator[list[range]]:
    """Every way to break n panels into rows, in order."""
    for breaks in itertools.product((False, True), repeat=n - 1):
        ends = [i + 1 for i, ends_here in enumerate(breaks) if ends_here]
        yield [range(start, end) for start, end in zip([0, *ends], [*ends, n], strict=True)]


def _unevenness(aspects: Sequence[float], rows: Sequence[range]) -> float:
    heights = [_row_height([aspects[i] for i in row]) for row in rows]
    return sum(math.log(height / _HEIGHT) ** 2 for height in heights)
