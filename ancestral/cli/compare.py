"""`ancestral compare`: train one model of each family on the same data, and print one table."""

import shlex
import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from ancestral.cli.parsing import parse, teach, whole_number
from ancestral.cli.sources import add_data_flags, data_options_of, load, source
from ancestral.cli.terminal import console
from ancestral.comparison import Comparison, Entry, compare
from ancestral.comparison.rows import (
    CLASSIFIERS,
    LIKELIHOOD_SHORT,
    SAMPLES_ONLY_SHORT,
    TEXT_COLUMNS,
    classifier_row,
    headline,
    likelihood_row,
    samples_only_row,
    spread_of,
)
from ancestral.interface import InputError
from ancestral.output import check_output, describe

_TEACHES = """Every model has its own quick settings and an even share of --minutes, and is measured on the same test
rows, in nats per row: larger is better. "behind" is the difference to the best model with an error of its own; within
two of these errors they are not told apart. Samples of every model are held against real rows by their Fréchet
distance, 0 is best, by which alone a model without a density is judged. The page that is written shows every model's
samples beside real rows."""


def run(arguments: Sequence[str], parser: ArgumentParser) -> int:
    words, options = data_options_of(arguments)
    teach(parser, _TEACHES)
    parser.add_argument(
        "data", metavar="DATA", nargs="?", default="digits", help="a name or a path; its options as --data.NAME VALUE"
    )
    parser.add_argument("--models", help="names with commas between (default: one of each family that fits the data)")
    parser.add_argument("--minutes", type=float, default=2.5, help="for the whole comparison")
    parser.add_argument(
        "--seeds", type=whole_number, default=1, help="trainings of each model; the table shows their spread"
    )
    add_data_flags(parser)
    parser.add_argument("-o", "--output", default="report.html", help="the report, .html")
    args = parse(parser, words)
    output = check_output(args.output, (".html",))
    data = load(source(args, options))
    screen = console()
    screen.print(
        f"[bold]{data.name}[/]: {len(data.train):,} training, {len(data.valid):,} validation and {len(data.test):,}"
        f" test rows of {describe(data.event, data.context_event)}"
    )
    result = compare(
        data,
        None if args.models is None else _names(args.models),
        minutes=args.minutes,
        seeds=args.seeds,
        progress=sys.stderr.isatty(),
        on_start=lambda entry, seed: _announce(screen, entry, f", seed {seed}" if args.seeds > 1 else ""),
        on_end=lambda entry: _conclude(screen, entry),
    )
    _print_tables(screen, result)
    screen.print(f"\n{headline(result)}", soft_wrap=True)
    result.save_report(output, command=shlex.join(["ancestral", "compare", *arguments]))
    screen.print(f"\nreport with every model's samples: [bold]{output}[/]  ({result.seconds:.0f} s in all)")
    return 0 if len(result.failed) < len(result.entries) else 1


def _names(given: str) -> list[str]:
    names = [name.strip() for name in given.split(",")]
    if not all(names):
        raise InputError(f"--models takes names with commas between, as made,vae, got {given!r}")
    return names


def _announce(screen: Console, entry: Entry, seed: str) -> None:
    screen.print(f"{entry.name} [dim]({entry.family}{seed})[/] ...")


def _conclude(screen: Console, entry: Entry) -> None:
    if entry.failure is not None:
        screen.print(f"    [red]failed:[/] {entry.failure}", soft_wrap=True)
        return
    trial = entry.trials[-1]
    none = "no density and no samples to measure" if trial.samples is None else "too few rows to judge its samples by"
    quality = trial.quality.headline if trial.quality else none
    what = trial.score or quality
    screen.print(f"    {what}, trained for {trial.train_seconds:.0f} s", soft_wrap=True)


def _print_tables(screen: Console, result: Comparison) -> None:
    table = _table(f"likelihood, best first; ±: {spread_of(result)}", LIKELIHOOD_SHORT)
    for entry in result.ranked:
        cells = likelihood_row(entry, result, short=True)
        table.add_row(*cells, style="dim italic" if entry is result.baseline else None)
    screen.print(table)
    if result.density_free:
        table = _table("without a density: judged by samples, 0 is best", SAMPLES_ONLY_SHORT)
        for entry in result.density_free:
            table.add_row(*samples_only_row(entry, short=True))
        screen.print(table)
    if result.classifiers:
        table = _table("classification of test rows, best first", CLASSIFIERS)
        for entry in result.classifiers:
            table.add_row(*classifier_row(entry))
        screen.print(table)
    for entry in result.failed:
        screen.print(f"not in the table: {entry.name}: {entry.failure}", soft_wrap=True)


def _table(title: str, headers: Sequence[str]) -> Table:
    table = Table(title=f"\n{title}", title_justify="left", box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for i, header in enumerate(headers):
        table.add_column(header, justify="left" if i < TEXT_COLUMNS else "right", overflow="fold", no_wrap=i > 0)
    return table
