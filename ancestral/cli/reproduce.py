"""`ancestral reproduce`: a stated result by its recipe, written to the ledger with its picture."""

import shlex
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ancestral.cli.ledger import LedgerEntry, markdown_table, read_ledger
from ancestral.cli.measures import check_recipe, in_words
from ancestral.cli.output import check_output, console
from ancestral.cli.parsing import UsageError, parse
from ancestral.cli.pictures import write_figure
from ancestral.cli.reproduction import ledger_entry, picture, run_recipe
from ancestral.cli.run_folder import check_run_dir, replacing, resuming
from ancestral.data import load_data
from ancestral.interface import InputError
from ancestral.training import list_recipes, load_recipe
from ancestral.training.checkpoint import CHECKPOINT


def run(arguments: Sequence[str], parser: ArgumentParser) -> int:
    parser.add_argument("name", metavar="NAME", nargs="?", help="a recipe's name, or a YAML file")
    parser.add_argument("--list", action="store_true", help="list the recipes")
    parser.add_argument("--table", action="store_true", help="print the ledger as a table in Markdown")
    parser.add_argument("--results-dir", default="results", help="the folder of the ledger")
    parser.add_argument("--seeds", default="0", help="with commas between; of several the mean is written")
    parser.add_argument("--minutes", type=float, help="end each training earlier; the entry says so")
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
        raise UsageError("name a recipe; `ancestral reproduce --list` shows them")
    recipe = load_recipe(args.name)
    check_recipe(recipe)
    seeds = _seeds(args.seeds)
    image = check_output(Path(args.results_dir) / f"{recipe.name}.png", (".png",))
    folders = {seed: Path("runs") / f"reproduce-{recipe.name}{f'-seed{seed}' if seed else ''}" for seed in seeds}
    resumed = {seed: args.resume and (folder / CHECKPOINT).exists() for seed, folder in folders.items()}
    for seed, folder in folders.items():
        check_run_dir(folder, resume=resumed[seed], overwrite=args.overwrite)
    data = load_data(recipe.data, **{"data_root": args.data_root, **recipe.data_options})
    command = shlex.join(["ancestral", "reproduce", *arguments])
    overrides = {} if args.minutes is None else {"minutes": args.minutes}
    outcomes = []
    for seed in seeds:
        screen.print(f"[bold]{recipe.name}[/]: {recipe.model} on {recipe.data}, seed {seed} ({recipe.budget})")
        how = {"overrides": overrides, "resume": resumed[seed], "progress": args.progress}
        with replacing(folders[seed], overwrite=args.overwrite):
            outcome = run_recipe(recipe, data, seed, folders[seed], **how)
        if outcome is None:
            screen.print(f"interrupted; go on with:\n  {resuming(command)}", soft_wrap=True)
            return 130
        measurement = outcome.measurement
        screen.print(f"  {outcome.trained.report}", soft_wrap=True)
        screen.print(f"  test: {in_words(measurement.value, measurement.stderr, recipe.unit)}", soft_wrap=True)
        outcomes.append(outcome)
    remarks = [f"not the recipe's own run: ended after {args.minutes:g} minutes"] if args.minutes else []
    entry = ledger_entry(outcomes, command, remarks)
    write_figure(picture(outcomes[0]), image)
    path = entry.write(Path(args.results_dir))
    _conclude(screen, entry, path, image)
    return 0


def _seeds(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isdigit() for word in words):
        raise InputError(f"--seeds takes whole numbers with commas between, such as 0,1,2, got {text!r}")
    return list(dict.fromkeys(map(int, words)))


def _list(screen: Console) -> None:
    table = Table("recipe", "model", "data", "budget", "published", box=None, header_style="bold")
    for name in list_recipes():
        recipe = load_recipe(name)
        published = "-" if recipe.published is None else f"{recipe.published.value:g} {recipe.unit}"
        table.add_row(name, recipe.model, recipe.data, recipe.budget, published)
    screen.print(table)


def _conclude(screen: Console, entry: LedgerEntry, path: Path, image: Path) -> None:
    figure = in_words(entry.value, entry.stderr, entry.unit)
    screen.print(f"[bold]{entry.metric}: {figure}[/] ({entry.kind}), lower is better", soft_wrap=True)
    if entry.published is not None:
        screen.print(f"  published: {entry.published:g} ({entry.source})", soft_wrap=True)
    for name, value in entry.baselines.items():
        screen.print(f"  {name.replace('_', ' ')}: {value:.4f}")
    screen.print(f"written to {path} and {image}", soft_wrap=True)
