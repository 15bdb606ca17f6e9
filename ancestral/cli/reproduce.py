"""`ancestral reproduce`: a stated result by its recipe, written to the ledger with its picture."""

import shlex
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ancestral.cli.parsing import UsageError, parse
from ancestral.cli.terminal import console, resuming
from ancestral.evaluation import in_digits
from ancestral.interface import InputError
from ancestral.reproduction import (
    Interrupted,
    LedgerEntry,
    Outcome,
    in_words,
    list_figures,
    list_recipes,
    load_result,
    markdown_table,
    read_ledger,
    reproduce,
)

_PLACES = ("--results-dir", "--runs-dir", "--data-root")


def run(arguments: Sequence[str], parser: ArgumentParser) -> int:
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="a recipe or a figure by name, or a recipe in a YAML file"
    )
    parser.add_argument("--list", action="store_true", help="list the recipes and the figures")
    parser.add_argument("--table", action="store_true", help="print the ledger as a table in Markdown")
    parser.add_argument("--results-dir", default="results", help="the folder of the ledger")
    parser.add_argument("--runs-dir", default="runs", help="the folder of a recipe's runs, with model and checkpoint")
    parser.add_argument("--seeds", default="0", help="with commas between; of several the mean is written")
    parser.add_argument("--minutes", type=float, help="end each training of a recipe earlier; the entry says so")
    parser.add_argument("--resume", action="store_true", help="go on where an interrupted run stopped")
    parser.add_argument("--overwrite", action="store_true", help="replace the run of an earlier time")
    parser.add_argument("--data-root", help="where the data lie (default: the environment variable ANCESTRAL_DATA)")
    parser.add_argument("--progress", type=bool, default=True, help="show progress on stderr")
    args = parse(parser, arguments)
    screen = console()
    if args.list:
        _list(screen)
        return 0
    if args.table:
        print(markdown_table(read_ledger(args.results_dir)), end="")
        return 0
    if args.name is None:
        raise UsageError("name a recipe or a figure; `ancestral reproduce --list` shows them")
    command = shlex.join(["ancestral", "reproduce", *arguments])
    try:
        entry = reproduce(
            args.name,
            results_dir=args.results_dir,
            runs_dir=args.runs_dir,
            seeds=_seeds(args.seeds),
            minutes=args.minutes,
            resume=args.resume,
            overwrite=args.overwrite,
            data_root=args.data_root,
            progress=args.progress,
            command=shlex.join(["ancestral", "reproduce", *_without_places(arguments)]),
            on_start=lambda result, seed: screen.print(
                f"[bold]{result.name}[/]: {result.model} on {result.data}, seed {seed} ({result.budget})"
            ),
            on_end=lambda outcome: _say(screen, outcome),
        )
    except Interrupted:
        screen.print(f"interrupted; go on with:\n  {resuming(command)}", soft_wrap=True)
        return 130
    _conclude(screen, entry, Path(args.results_dir))
    return 0


def _without_places(arguments: Sequence[str]) -> list[str]:
    """The arguments that say what was done: where files lie on this machine tells a reader of the ledger nothing."""
    left, words = [], iter(arguments)
    for word in words:
        if word in _PLACES:
            next(words)
        elif word.partition("=")[0] not in _PLACES:
            left.append(word)
    return left


def _seeds(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isdigit() for word in words):
        raise InputError(f"--seeds takes whole numbers with commas between, such as 0,1,2, got {text!r}")
    return list(dict.fromkeys(map(int, words)))


def _list(screen: Console) -> None:
    table = Table(box=None, header_style="bold")
    table.add_column("recipe or figure", no_wrap=True)  # what a command line takes is whole
    for header in ("model", "data", "budget", "published"):
        table.add_column(header, overflow="fold")
    for name in [*list_recipes(), *list_figures()]:
        result = load_result(name)
        published = "-" if result.published is None else f"{result.published.value:g} {result.unit}"
        table.add_row(name, result.model, result.data, result.budget, published)
    screen.print(table)


def _say(screen: Console, outcome: Outcome) -> None:
    if outcome.trained is not None:
        screen.print(f"  {outcome.trained.report}", soft_wrap=True)
    reached = in_words(outcome.measurement.value, outcome.measurement.stderr, outcome.result.unit)
    screen.print(f"  {'reached' if outcome.trained is None else 'test'}: {reached}", soft_wrap=True)


def _conclude(screen: Console, entry: LedgerEntry, folder: Path) -> None:
    figure = in_words(entry.value, entry.stderr, entry.unit)
    screen.print(f"[bold]{entry.metric}: {figure}[/] ({entry.kind}), lower is better", soft_wrap=True)
    if entry.published is not None:
        screen.print(f"  published: {entry.published:g} ({entry.source})", soft_wrap=True)
    for name, value in entry.baselines.items():
        screen.print(f"  {name.replace('_', ' ')}: {in_digits(value, 4)}")
    screen.print(f"written to {folder / entry.name}.json and .png", soft_wrap=True)
