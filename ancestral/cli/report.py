"""The report of a comparison: one HTML file that needs nothing else, with its pictures inside."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from matplotlib.figure import Figure

from ancestral.plots import figure_png

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5d6778; --paper: #f6f7f9; --card: #ffffff; --line: #dfe3ea;
  --accent: #2f5fb3; --bar: #c9d8f2; --muted-bar: #e3e6ec; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebf0; --soft: #9aa5b8; --paper: #14171d; --card: #1d222b;
  --line: #323946; --accent: #8db2f4; --bar: #34507f; --muted-bar: #323946; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 48px 24px 72px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 8px; letter-spacing: -0.01em; }
h2 { font-size: 1.15rem; margin: 44px 0 12px; }
h3 { font-size: 0.98rem; margin: 0 0 2px; }
p { margin: 0 0 12px; max-width: 95ch; }
.soft, figcaption, .card p { color: var(--soft); }
.soft { font-size: 0.93rem; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 9px 9px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); font-size: 0.8rem; line-height: 1.25; vertical-align: bottom;
  white-space: normal; }
th.text { white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
th.text, td.text { text-align: left; }
td.wrap { white-space: normal; min-width: 320px; }
tr.best td { font-weight: 600; }
tr.baseline td { color: var(--soft); font-style: italic; }
.scroll + p { margin-top: 10px; }
.bar { display: inline-block; height: 9px; border-radius: 3px; background: var(--bar); vertical-align: middle; }
tr.best .bar { background: var(--accent); }
tr.baseline .bar { background: var(--muted-bar); }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(235px, 1fr)); gap: 18px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px; }
.card p { font-size: 0.85rem; margin: 0 0 10px; }
.card img, figure img { width: 100%; display: block; border-radius: 6px; background: #ffffff; }
.real { border-color: var(--accent); border-width: 2px; padding: 13px; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(440px, 1fr)); gap: 18px; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px; }
figcaption { font-size: 0.88rem; margin-top: 10px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 6px 20px; font-size: 0.93rem; }
dt { font-weight: 600; } dd { margin: 0; color: var(--soft); overflow-wrap: anywhere; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: 0.88rem; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px;
  overflow-x: auto; }
"""


@dataclass(frozen=True)
class Cell:
    """One cell of a table: its text, whether it is a text column, and the length of a bar (0 to 1) drawn behind it."""

    text: str
    is_text: bool = False
    wrap: bool = False
    bar: float | None = None


def page(title: str, sections: Sequence[str]) -> str:
    """A whole document."""
    body = "\n".join(sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def heading(headline: str, introduction: str) -> str:
    """The top of the page."""
    return f'<h1>{escape(headline)}</h1>\n<p class="soft">{escape(introduction)}</p>'


def section(title: str, *content: str) -> str:
    """A titled part."""
    return f"<section>\n<h2>{escape(title)}</h2>\n" + "\n".join(content) + "\n</section>"


def text(words: str) -> str:
    return f'<p class="soft">{escape(words)}</p>'


def table(header: Sequence[Cell], rows: Sequence[tuple[str, Sequence[Cell]]]) -> str:
    """A table; each row comes with its class ("", "best" or "baseline")."""
    head = "".join(f"<th{_kind(cell)}>{escape(cell.text)}</th>" for cell in header)
    body = "\n".join(f'<tr class="{kind}">{"".join(map(_cell, cells))}</tr>' for kind, cells in rows)
    return f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


def figure(picture: Figure, caption: str, description: str) -> str:
    """A picture over its caption."""
    return f"<figure>{_image(picture, description)}<figcaption>{escape(caption)}</figcaption></figure>"


def figures(parts: Sequence[str]) -> str:
    """Figures side by side where there is room."""
    return f'<div class="figures">{"".join(parts)}</div>'


def cards(entries: Sequence[tuple[str, str, Figure, bool]]) -> str:
    """A grid of pictures, each with a title and a line; the last entry of each marks the real data."""
    parts = [
        f'<div class="card{" real" if real else ""}"><h3>{escape(title)}</h3><p>{escape(line)}</p>'
        f"{_image(picture, title)}</div>"
        for title, line, picture, real in entries
    ]
    return f'<div class="grid">\n{"".join(parts)}\n</div>'


def definitions(entries: Sequence[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(term)}</dt><dd>{escape(words)}</dd>" for term, words in entries) + "</dl>"


def command(line: str) -> str:
    return f"<pre>{escape(line)}</pre>"


def _kind(cell: Cell) -> str:
    classes = [name for name, on in (("text", cell.is_text), ("wrap", cell.wrap)) if on]
    return f' class="{" ".join(classes)}"' if classes else ""


def _cell(cell: Cell) -> str:
    if cell.bar is None:
        return f"<td{_kind(cell)}>{escape(cell.text)}</td>"
    return f'<td class="text"><span class="bar" style="width:{max(2, round(64 * cell.bar))}px"></span></td>'


def _image(picture: Figure, description: str) -> str:
    data = base64.b64encode(figure_png(picture)).decode("ascii")
    return f'<img alt="{escape(description, quote=True)}" src="data:image/png;base64,{data}">'
