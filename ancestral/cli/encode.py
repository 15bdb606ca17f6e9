"""`ancestral encode`: the latent code of every row, or the number of its cluster."""

from argparse import ArgumentParser
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, OneHotCategorical
from torch.nn.functional import one_hot

from ancestral.cli.output import Column, write_rows
from ancestral.cli.parsing import parse
from ancestral.cli.runs import carrying, open_run
from ancestral.cli.sources import add_run_flags, data_options_of
from ancestral.evaluation.likelihood import batches
from ancestral.interface import Encoder, InputError, MeanDecoder
from ancestral.output import check_output, counted


@torch.no_grad()
def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    words, options = data_options_of(arguments)
    add_run_flags(parser)
    parser.add_argument("--keep", help="columns of the table to write beside the codes, with commas between")
    parser.add_argument(
        "-o", "--output", default="codes.npz", help=".npz (z, or cluster; y where there are labels), .csv or .parquet"
    )
    args = parse(parser, words)
    output = check_output(args.output, (".npz", ".csv", ".parquet"))
    trained = open_run(args.run, device=args.device)
    model = trained.model
    if not isinstance(model, Encoder):
        raise InputError(f"{model.registered_name} has no codes: it is no Encoder (see `ancestral models`)")
    trained.spare(output, args.data)
    rows = trained.rows(args.data, args.split, args.data_root, carrying(options, args.keep))
    parts: dict[str, list[Tensor]] = {}
    for batch in batches(rows, 256):
        context = None if batch.context is None else batch.context.to(model.device)
        x = batch.x.to(model.device)
        found = _columns(model, x, model.encode(x, context=context))
        for name, values in (found if batch.y is None else found | {"y": batch.y}).items():
            parts.setdefault(name, []).append(values.cpu())
    codes = {name: torch.cat(values) for name, values in parts.items()}
    columns: dict[str, Column] = {**rows.origin, **codes}
    write_rows(columns, output)
    print(f"{counted(len(rows), 'row')} of {', '.join(codes)} in {output}")


def _columns(model: Encoder, x: Tensor, code: Distribution) -> dict[str, Tensor]:
    """The mean code; of a one-hot one (k-means, a mixture) the number of its 1 under the latent's name, its probability
    where the latent has a prior, and how far from the row it decodes to, in the units that the model counts in."""
    if not isinstance(code, OneHotCategorical) or not isinstance(model, MeanDecoder):
        return {"z": code.mean}
    (name,) = model.latent_shapes
    number = code.probs.argmax(1)
    difference = x.double() - model.decode_mean(one_hot(number, model.latent_size).to(code.probs)).double()
    if model.standardization is not None:
        difference = difference / model.standardization.scale
    distance = {"distance": difference.flatten(1).norm(dim=1)}
    return {name: number} | ({"z": code.mean} if model.has_prior else {}) | distance
