"""`ancestral score`: the log-likelihood of every row; low ones are anomalies."""

import math
import warnings
from argparse import ArgumentParser
from collections.abc import Sequence

import numpy as np
import torch

from ancestral.cli.output import Column, write_rows
from ancestral.cli.parsing import UsageError, add_signature, keywords, parse, teach
from ancestral.cli.runs import carrying, open_run
from ancestral.cli.sources import add_run_flags, data_options_of
from ancestral.data.tables import IMPOSSIBLE
from ancestral.evaluation import bits_per_dim, log_likelihoods
from ancestral.evaluation.likelihood import in_digits
from ancestral.interface import BoundedDensity
from ancestral.output import check_output, counted

#: What is not a flag.
_OWN = ("model", "data")


_TEACHES = """Writes a line for each row of DATA: its number, its log-likelihood in nats (low ones are anomalies; of a
VAE or a dequantized model a lower bound) and the same in bits for each dimension, where low ones are usual."""


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    words, options = data_options_of(arguments)
    teach(parser, _TEACHES)
    add_run_flags(parser)
    parser.add_argument("--keep", help="columns of the table to write beside the scores, with commas between")
    parser.add_argument(
        "--quantile",
        type=float,
        help="write a column `anomaly`: 1 for rows below this quantile of the scores of the run's own validation rows",
    )
    parser.add_argument("-o", "--output", default="scores.csv", help=".csv, .parquet or .npz")
    add_signature(parser, log_likelihoods, "likelihood", skip=_OWN)
    args = parse(parser, words)
    output = check_output(args.output, (".csv", ".parquet", ".npz"))
    if args.quantile is not None and not 0 < args.quantile < 1:
        raise UsageError(f"--quantile must lie between 0 and 1, got {args.quantile}")
    trained = open_run(args.run, device=args.device)
    trained.spare(output, args.data)
    rows = trained.rows(args.data, args.split, args.data_root, carrying(options, args.keep), mark=True)
    how = keywords(parser, words, log_likelihoods, skip=_OWN)
    nats = log_likelihoods(trained.model, rows, **how)
    origin = {name: values[: len(nats)] for name, values in rows.origin.items()}
    impossible = torch.from_numpy(origin.pop(IMPOSSIBLE, np.zeros(len(nats), dtype=bool)))
    if impossible.any():
        nats[impossible] = -math.inf
        warnings.warn(
            f"{counted(int(impossible.sum()), 'row')} (first {int(impossible.nonzero()[0])}) with words or numbers that"
            " the columns of the training data cannot have: of no probability, so they score -inf",
            stacklevel=1,
        )
    bits = torch.tensor([bits_per_dim(value, trained.model.event) for value in nats.tolist()], dtype=nats.dtype)
    scores: dict[str, Column] = {"log_likelihood_nats": nats, "bits_per_dim": bits}
    found = ""
    if args.quantile is not None:
        usual = log_likelihoods(trained.model, trained.data(data_root=args.data_root).valid, **how)
        if args.quantile * len(usual) < 1:
            warnings.warn(
                f"{len(usual)} validation rows do not tell their {args.quantile:g} quantile; the lowest stands for it",
                stacklevel=1,
            )
        bound = float(np.quantile(usual.double().numpy(), args.quantile))
        scores["anomaly"] = (nats < bound).long()
        found = (
            f"\n{int((nats < bound).sum())} anomalies: below {bound:.3f} nats, the {args.quantile:g} quantile of"
            f" {len(usual)} validation rows of the run's own data"
        )
    columns: dict[str, Column] = {"row": torch.arange(len(nats)), **origin, **scores}
    write_rows(columns, output)
    plural = "" if len(nats) == 1 else "s"
    is_bound = isinstance(trained.model, BoundedDensity)
    kind = f"lower bound{plural} of the log-likelihood" if is_bound else f"log-likelihood{plural}"
    lowest = int(nats.argmin())
    where = f"row {lowest}{''.join(f', {name} {values[lowest]}' for name, values in origin.items())}"
    possible = nats[~impossible] if not impossible.all() else nats
    mean, least = (in_digits(float(value)) for value in (possible.mean(), nats[lowest]))
    others = " of the others" if impossible.any() else ""
    print(f"{len(nats)} {kind} in {output}: mean{others} {mean} nats, lowest {least} at {where}{found}")
