"""`ancestral complete`: what is missing of rows, filled in."""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

import torch

from ancestral.cli.output import write_npz
from ancestral.cli.parsing import UsageError, parse, teach
from ancestral.cli.runs import open_run
from ancestral.cli.sources import add_run_flags, data_options_of
from ancestral.cli.writing import write_table
from ancestral.data.tables import TABLES, read_table
from ancestral.evaluation import filled_in, filling_in_words
from ancestral.interface import Completer, InputError
from ancestral.output import check_output, counted

_TEACHES = """Takes a table with empty cells, or an array with NaN, and fills them in by the run's model given what
is there; a cell that is there stays as it was. The line that is printed says how: exactly, by resampling what
the model's orders draw, or by a Markov chain."""


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    words, options = data_options_of(arguments)
    teach(parser, _TEACHES)
    add_run_flags(parser)
    parser.add_argument(
        "--fill",
        choices=("draw", "mean"),
        default="draw",
        help="one draw of what is missing, as varied as real rows, or its mean (of categories the likeliest)",
    )
    parser.add_argument(
        "--draws", type=int, default=100, help="completions of a row that its mean is of, or of which MADE chooses"
    )
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn: the same seed fills in alike")
    parser.add_argument("-o", "--output", default="completed.csv", help=".csv or .parquet of a table, .npz of any data")
    args = parse(parser, words)
    if args.data is None:
        raise UsageError("name the rows to fill in after the run: a table with empty cells, or an array with NaN")
    output = check_output(args.output, (".csv", ".parquet", ".npz"))
    trained = open_run(args.run, device=args.device)
    model = trained.model
    if not isinstance(model, Completer):
        raise InputError(
            f"{model.registered_name} cannot fill anything in; `ancestral models` lists the Completers, which can"
        )
    trained.spare(output, args.data)
    rows = trained.rows(args.data, args.split, args.data_root, {**options, "missing": True})
    if rows.event != model.event:
        raise InputError(f"{args.data} is of {rows.event}, the model of {model.event}")
    holes = rows.x.isnan()
    if not bool(holes.any()):
        raise InputError(f"{args.data} has no empty cell (NaN): there is nothing to fill in")
    context = None if rows.context is None else rows.context.to(model.device)
    filled = filled_in(
        model,
        rows.x.to(model.device),
        how=args.fill,
        draws=args.draws,
        context=context,
        generator=torch.Generator().manual_seed(args.seed),
    ).cpu()
    if output.suffix == ".npz":
        write_npz({"x": filled}, output)
    elif trained.schema is None or Path(args.data).suffix.lower() not in TABLES:
        raise InputError(f"{args.data} is no table with the columns of {args.run}; choose .npz")
    else:
        how = {key: options[key] for key in ("separator", "decimal") if key in options}
        frame = read_table(Path(args.data), **how)
        decoded = trained.schema.decode(filled)
        for name in decoded.columns.intersection(frame.columns[frame.isna().any()]):
            # What is there stays as it was.
            frame[name] = frame[name].where(frame[name].notna(), decoded[name]).astype(decoded[name].dtype)
        write_table([frame], output)
    cells = f"{counted(int(holes.sum()), 'empty cell')} in {counted(int(holes.flatten(1).any(1).sum()), 'row')}"
    print(f"{cells} filled in, in {output}: {filling_in_words(model, args.fill, args.draws)}")
