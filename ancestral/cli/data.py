"""`ancestral data`: the built-in data sets."""

from collections.abc import Sequence

from jsonargparse import ArgumentParser
from rich.table import Table

from ancestral.cli.output import console
from ancestral.cli.parsing import parse
from ancestral.data import list_data


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    parser.add_argument("--data-root", help="where the data lie (default: the environment variable ANCESTRAL_DATA)")
    root = parse(parser, arguments).data_root
    table = Table("data", "an observation", "where", "what it is", box=None, header_style="bold")
    table.columns[0].no_wrap = True
    for info in list_data(data_root=root):
        table.add_row(info.name, info.event_description, str(info.available), info.summary)
    screen = console()
    screen.print(table)
    screen.print("\nor a path: an .npy, .npz, .csv or .parquet file, a folder or a zip of images", style="dim")
