"""`ancestral models`: what there is to train."""

from argparse import ArgumentParser
from collections.abc import Sequence
from itertools import groupby

from rich.padding import Padding

from ancestral.cli.parsing import parse
from ancestral.cli.terminal import console
from ancestral.discovery import library_models


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    parse(parser, arguments)
    screen = console()
    for family, infos in groupby(library_models().values(), key=lambda info: info.family):
        screen.print(f"[bold]{family}[/]")
        for info in infos:
            screen.print(f"  [bold cyan]{info.name}[/]")
            screen.print(Padding(info.summary, (0, 0, 0, 4)))
            screen.print(Padding(", ".join(info.abilities), (0, 0, 0, 4)), style="dim")
