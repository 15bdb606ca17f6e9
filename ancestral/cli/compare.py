"""`ancestral compare`: train one model of each family on the same data, and print one table."""

import math
import shlex
import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from ancestral.cli.comparison import Comparison, Entry, compare, default_models
from ancestral.cli.comparison_report import comparison_page
from ancestral.cli.comparison_rows import (
    LIKELIHOOD_SHORT,
    SAMPLES_ONLY_SHORT,
    TEXT_COLUMNS,
    likelihood_row,
    samples_only_row,
    spread_of,
)
from ancestral.cli.output import check_output, console, describe, write_bytes
from ancestral.cli.parsing import parse
from ancestral.data import load_data
from ancestral.interface import InputError
from ancestral.registry import find_model

DEFAULT_MINUTES = 2.5


def run(arguments: Sequence[str], parser: ArgumentParser) -> int:
    parser.add_argument("data", metavar="DATA", nargs="?", default="digits", help="a name or a path")
    parser.add_argument("--models", help="names with commas between (default: one of each family that fits the data)")
    parser.add_argument("--minutes", type=float, default=DEFAULT_MINUTES, help="for the whole comparison")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each model; the table shows their spread")
    parser.add_argument("--data-root", help="where the data lie")
    parser.add_argument(
        "--support", help="binary, levels:N or real, where the one that the values suggest is not meant"
    )
    parser.add_argument("-o", "--output", default="report.html", help="the report, .html")
    args = parse(parser, arguments)
    output = check_output(args.output, (".html",))
    if not 0 < args.minutes < math.inf or args.seeds < 1:
        raise InputError(f"--minutes must be above 0 and --seeds at least 1, got {args.minutes} and {args.seeds}")
    data = load_data(args.data, data_root=args.data_root, support=args.support)
    names = _names(args.models) if args.models else default_models(data)
    screen = console()
    screen.print(
        f"[bold]{data.name}[/]: {len(data.train):,} training, {len(data.valid):,} validation and {len(data.test):,}"
        f" test rows of {describe(data.event)}"
    )
    result = compare(
        data,
        names,
        minutes=args.minutes,
        seeds=args.seeds,
        on_start=lambda entry, seed: _announce(screen, entry, seed, names, args.seeds),
        on_end=lambda entry: _conclude(screen, entry),
        progress=sys.stderr.isatty(),
    )
    _print_tables(screen, result)
    line = shlex.join(["ancestral", "compare", *arguments])
    write_bytes(comparison_page(result, line).encode(), output)
    screen.print(f"\nreport with samples and learning curves: [bold]{output}[/]  ({result.seconds:.0f} s in all)")
    return 0 if len(result.failed) < len(names) else 1


def _names(text: str) -> list[str]:
    names = [name.strip().replace("-", "_") for name in text.split(",") if name.strip()]
    for name in names:
        find_model(name)
    if not names:
        raise InputError("--models names no model; write them with commas between, as in --models vae,realnvp")
    return list(dict.fromkeys(names))


def _announce(screen: Console, entry: Entry, seed: int, names: Sequence[str], seeds: int) -> None:
    which = f", seed {seed}" if seeds > 1 else ""
    screen.print(f"[dim]{names.index(entry.name) + 1}/{len(names)}[/] {entry.name} ({entry.family}{which}) ...")


def _conclude(screen: Console, entry: Entry) -> None:
    if entry.failure is not None:
        screen.print(f"    [red]failed:[/] {entry.failure}", soft_wrap=True)
        return
    trial = entry.trials[-1]
    what = trial.score or trial.quality or "no density and no samples to measure"
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
    for entry in result.failed:
        screen.print(f"not in the table: {entry.name}: {entry.failure}", soft_wrap=True)


def _table(title: str, headers: Sequence[str]) -> Table:
    table = Table(title=f"\n{title}", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for i, header in enumerate(headers):
        table.add_column(header, justify="left" if i < TEXT_COLUMNS else "right", overflow="fold", no_wrap=i > 0)
    return table
