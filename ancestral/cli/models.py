"""`ancestral models`: what there is to train."""

from collections.abc import Sequence

from jsonargparse import ArgumentParser
from rich.table import Table

from ancestral.cli.output import console
from ancestral.cli.parsing import parse
from ancestral.registry import list_models


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    parse(parser, arguments)
    table = Table("model", "family", "abilities", "what it is", box=None, header_style="bold")
    table.columns[0].no_wrap = True
    for info in sorted(list_models(), key=lambda info: info.family):
        table.add_row(info.name, info.family, ", ".join(info.abilities), info.summary)
    console().print(table)
