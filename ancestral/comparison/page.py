"""The page of a comparison: one HTML file that needs nothing else, with its pictures inside.

Its HTML and its style stand in `report.html`: parts with names, each a `string.Template`.
"""

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib import resources
from string import Template

from matplotlib.figure import Figure

from ancestral.plots import page_pngs

#: The widest bar, in pixels.
_BAR = 64
#: In pixels: a narrow card, the widest picture that can be read in it, and the share that a wider one may shrink to.
_CARD, _NARROW, _SHRUNK = 235, 430, 0.8


class Html(str):
    """Text that is HTML already; all other text is escaped on its way into a part."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table: its text, its classes ("text" for a column of words, "wrap" for long ones), or a bar of a
    length from 0 to 1 in place of the text."""

    text: str
    kind: str = ""
    bar: float | None = None


def fill(part: str, **values: str | int) -> Html:
    """A part of `report.html` with its blanks filled in."""
    safe = {key: value if isinstance(value, Html) else escape(str(value)) for key, value in values.items()}
    return Html(_parts()[part].substitute(safe))


def joined(pieces: Iterable[Html]) -> Html:
    """Pieces of a page one after another."""
    return Html("\n".join(pieces))


def section(title: str, *content: Html) -> Html:
    """A titled part of the page."""
    return fill("section", title=title, content=joined(content))


def table(header: Sequence[Cell], rows: Sequence[tuple[str, Sequence[Cell]]]) -> Html:
    """A table; each row comes with its class ("", "best" or "baseline"). On a phone a row is a list of its cells."""
    body = (
        fill("row", kind=kind, cells=joined(_cell("td", cell, title.text) for title, cell in zip(header, cells)))
        for kind, cells in rows
    )
    return fill("table", header=joined(_cell("th", cell) for cell in header), rows=joined(body))


def figures(pictures: Sequence[tuple[Figure, str, str]]) -> Html:
    """Figures side by side where there is room: each with its caption and a description."""
    parts = (fill("figure", image=_image(figure, words), caption=caption) for figure, caption, words in pictures)
    return fill("figures", content=joined(parts))


def cards(entries: Sequence[tuple[str, str, Figure, bool]]) -> Html:
    """A grid of pictures, each with a title and a line; the last entry of each marks the real data. Large pictures
    have wide cards, and what does not fit into a small screen is reached by scrolling inside them."""
    parts = (
        fill("card", kind="real" if real else "", title=title, line=line, image=_image(figure, title))
        for title, line, figure, real in entries
    )
    widest = max((figure.bbox.width for *_, figure, _ in entries), default=0)
    narrow = widest <= _NARROW
    width = _CARD if narrow else round(_SHRUNK * widest)
    return fill("cards", kind="" if narrow else "wide", width=width, content=joined(parts))


def definitions(entries: Sequence[tuple[str, str]]) -> Html:
    """Terms and what they mean."""
    parts = (fill("definition", term=term, words=words) for term, words in entries)
    return fill("definitions", content=joined(parts))


@cache
def _parts() -> dict[str, Template]:
    text = (resources.files("ancestral") / "comparison" / "report.html").read_text(encoding="utf-8")
    parts = re.findall(r"^<!-- ([\w ]+) -->\n(.*?)(?=^<!-- |\Z)", text, re.DOTALL | re.MULTILINE)
    return {name: Template(html.strip()) for name, html in parts}


def _cell(part: str, cell: Cell, title: str = "") -> Html:
    value = cell.text if cell.bar is None else fill("bar", width=max(2, round(_BAR * cell.bar)))
    return fill(part, kind=cell.kind, value=value, title=title)


def _image(figure: Figure, description: str) -> Html:
    light, dark = (base64.b64encode(png).decode("ascii") for png in page_pngs(figure))
    width = round(figure.bbox.width)
    if light == dark:
        return fill("image", description=description, data=light, width=width)
    return fill("two images", description=description, light=light, dark=dark, width=width)
