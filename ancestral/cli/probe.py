"""`ancestral probe`: what a run's representation is worth to a classifier with few labels."""

import math
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from ancestral.cli.output import write_rows
from ancestral.cli.parsing import UsageError, add_signature, keywords, parse, split_dotted, teach
from ancestral.cli.runs import open_run
from ancestral.cli.sources import add_run_flags, data_options_of
from ancestral.cli.terminal import console
from ancestral.evaluation import Transfer
from ancestral.output import check_output, write_bytes
from ancestral.plots import save_figure, transfer_figure
from ancestral.training import probe

#: What is not a flag of its own kind.
_OWN = ("model", "data", "labels", "training", "progress")


_TEACHES = """Of the training rows of DATA some keep their labels, as many of each class, drawn several times; a
classifier of the run's features learns from them and is judged on the test rows. Beside it stand the same architecture
with fresh weights, the values of a row themselves and their principal components. Fine-tuning trains the network, too:
--training.epochs 50, and whatever else `ancestral fit` takes."""


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    words, options = data_options_of(arguments)
    words, dotted = split_dotted(words, ("training",))
    teach(parser, _TEACHES)
    add_run_flags(parser, split=None)
    parser.add_argument("--labels", default="100,1000", help="how many, with commas between (default: %(default)s)")
    add_signature(parser, probe, "protocol", skip=_OWN)
    parser.add_argument("-o", "--output", help="also write the table: .csv, .parquet or .json")
    parser.add_argument("--plot", help="also draw the errors over the labels: .png")
    args = parse(parser, words)
    labels = _counts(args.labels)
    output = None if args.output is None else check_output(args.output, (".csv", ".parquet", ".json"))
    plot = None if args.plot is None else check_output(args.plot, (".png",))
    trained = open_run(args.run, device=args.device)
    for path in (output, plot):
        if path is not None:
            trained.spare(path, args.data)
    # Of a run that saw few labels all are asked for again.
    few = {} if "labels" in options or "labels" not in (trained.recipe.get("data") or {}) else {"labels": None}
    data = trained.data(args.data, args.data_root, {**few, **options}, conditioned=False)
    settings: dict[str, Any] = keywords(parser, words, probe, skip=_OWN)
    training = dotted.get("training")
    found = probe(trained.model, data, labels=labels, training=training, progress=sys.stderr.isatty(), **settings)
    _print(found)
    if output is not None:
        _write(found, output)
    if plot is not None:
        save_figure(transfer_figure(found.curves), plot)


def _counts(given: str) -> list[int]:
    words = [word.strip().replace("_", "") for word in str(given).split(",")]
    if not all(word.isdecimal() and int(word) for word in words):
        raise UsageError(f"--labels takes whole numbers from 1 on with commas between, as 100,1000, got {given!r}")
    return [int(word) for word in words]


def _print(found: Transfer) -> None:
    title = f"{found.model} on {found.data}, {found.mode}: error on {found.n:,} test rows, %"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for header in ("representation", "numbers", *(f"{count:,} labels" for count in found.labels)):
        table.add_column(header, justify="left" if header == "representation" else "right")
    for name in found.representations:
        cells = [found.of(name, count) for count in found.labels]
        table.add_row(name, f"{cells[0].dimensions:,}", *(_in_words(cell.error, cell.stderr) for cell in cells))
    table.add_row("guessing", "", *(f"{100 * found.guessing:.2f}" for _ in found.labels), style="dim italic")
    screen = console()
    screen.print(table)
    gains = ", ".join(f"{_compared(*found.gain(count))} with {count:,} labels" for count in found.labels)
    screen.print(f"the model beside a random start: {gains} (points of %, draw by draw)", soft_wrap=True)


def _compared(gain: float, stderr: float) -> str:
    return f"{_in_words(abs(gain), stderr)} {'worse' if gain < 0 else 'better'}"


def _in_words(value: float, stderr: float) -> str:
    return f"{100 * value:.2f}" + ("" if math.isnan(stderr) else f" ± {100 * stderr:.2f}")


def _write(found: Transfer, path: Path) -> None:
    frame = found.to_frame()
    if path.suffix == ".json":
        write_bytes((frame.to_json(orient="records", indent=2) + "\n").encode(), path)
    else:
        write_rows({str(name): frame[name].to_numpy() for name in frame}, path)
