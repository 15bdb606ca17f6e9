"""`ancestral encode`: the latent code of every row."""

from argparse import ArgumentParser
from collections.abc import Sequence

import torch

from ancestral.cli.output import write_csv, write_npz
from ancestral.cli.parsing import parse
from ancestral.cli.runs import open_run
from ancestral.evaluation.likelihood import batches
from ancestral.interface import Encoder, InputError
from ancestral.output import check_output


@torch.no_grad()
def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a folder that `ancestral fit` wrote")
    parser.add_argument("data", metavar="DATA", nargs="?", help="a name or a path (default: what the run trained on)")
    parser.add_argument("--split", default="test", help="train, valid or test, for data that have splits")
    parser.add_argument("--data-root", help="where the data lie")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("-o", "--output", default="codes.npz", help=".npz (z, and y where there are labels) or .csv")
    args = parse(parser, arguments)
    output = check_output(args.output, (".npz", ".csv"))
    trained = open_run(args.run, device=args.device)
    model = trained.model
    if not isinstance(model, Encoder):
        raise InputError(f"{model.registered_name} has no codes: it is no Encoder (see `ancestral models`)")
    rows = trained.rows(args.data, args.split, args.data_root)
    codes, labels = [], []
    for batch in batches(rows, 256):
        context = None if batch.context is None else batch.context.to(model.device)
        codes.append(model.encode(batch.x.to(model.device), context=context).mean.cpu())
        if batch.y is not None:
            labels.append(batch.y)
    columns = {"z": torch.cat(codes)} | ({"y": torch.cat(labels)} if labels else {})
    (write_npz if output.suffix == ".npz" else write_csv)(columns, output)
    print(f"{len(columns['z'])} codes of {columns['z'].shape[1]} numbers in {output}")
