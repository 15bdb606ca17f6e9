"""`ancestral models`: what there is to train."""

from argparse import ArgumentParser
from collections.abc import Sequence
from itertools import groupby

from rich.padding import Padding

from ancestral.cli.output import console
from ancestral.cli.parsing import parse
from ancestral.registry import list_models


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    parse(parser, arguments)
    screen = console()
    for family, infos in groupby(sorted(list_models(), key=lambda info: info.family), key=lambda info: info.family):
        screen.print(f"[bold]{family}[/]")
        for info in infos:
            screen.print(f"  [bold cyan]{info.name}[/]")
            screen.print(Padding(info.summary, (0, 0, 0, 4)))
            screen.print(Padding(", ".join(info.abilities), (0, 0, 0, 4)), style="dim")
