"""`ancestral score`: the log-likelihood of every row; low ones are anomalies."""

from argparse import ArgumentParser
from collections.abc import Sequence

import torch

from ancestral.cli.output import write_csv, write_npz
from ancestral.cli.parsing import add_signature, keywords, parse
from ancestral.cli.runs import open_run
from ancestral.evaluation import bits_per_dim, log_likelihoods
from ancestral.interface import BoundedDensity
from ancestral.output import check_output

#: What is not a flag.
_OWN = ("model", "data")


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a folder that `ancestral fit` wrote")
    parser.add_argument("data", metavar="DATA", nargs="?", help="a name or a path (default: what the run trained on)")
    parser.add_argument("--split", default="test", help="train, valid or test, for data that have splits")
    parser.add_argument("--data-root", help="where the data lie")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("-o", "--output", default="scores.csv", help=".csv or .npz")
    add_signature(parser, log_likelihoods, "likelihood", skip=_OWN)
    args = parse(parser, arguments)
    output = check_output(args.output, (".csv", ".npz"))
    trained = open_run(args.run, device=args.device)
    rows = trained.rows(args.data, args.split, args.data_root)
    nats = log_likelihoods(trained.model, rows, **keywords(parser, arguments, log_likelihoods, skip=_OWN))
    bits = torch.tensor([bits_per_dim(value, trained.model.event) for value in nats.tolist()], dtype=nats.dtype)
    columns = {"row": torch.arange(len(nats)), "log_likelihood_nats": nats, "bits_per_dim": bits}
    (write_csv if output.suffix == ".csv" else write_npz)(columns, output)
    kind = "lower bounds of the log-likelihood" if isinstance(trained.model, BoundedDensity) else "log-likelihoods"
    lowest = int(nats.argmin())
    print(f"{len(nats)} {kind} in {output}: mean {nats.mean():.3f} nats, lowest {nats[lowest]:.3f} at row {lowest}")
