"""`ancestral data`: the built-in data sets."""

from argparse import ArgumentParser
from collections.abc import Sequence

from rich.padding import Padding

from ancestral.cli.parsing import parse
from ancestral.cli.terminal import console
from ancestral.data import list_data


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    parser.add_argument("--data-root", help="where the data lie (default: the environment variable ANCESTRAL_DATA)")
    root = parse(parser, arguments).data_root
    screen = console()
    for info in list_data(root):
        colour = "green" if info.available else "yellow"
        screen.print(f"[bold cyan]{info.name}[/]  {info.event_description}  [{colour}]{info.source}[/]")
        screen.print(Padding(info.summary, (0, 0, 0, 4)), style="dim")
    screen.print(
        "or a path: an .npy, .npz, .csv, .tsv, .parquet or .txt file, a folder or a zip of images, WAV files or texts"
    )
