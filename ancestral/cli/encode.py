"""`ancestral encode`: the latent code of every row, or the number of its cluster."""

from argparse import ArgumentParser
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, OneHotCategorical
from torch.nn.functional import one_hot

from ancestral.cli.output import write_csv, write_npz
from ancestral.cli.parsing import parse
from ancestral.cli.runs import open_run
from ancestral.evaluation.likelihood import batches
from ancestral.interface import Encoder, InputError, MeanDecoder
from ancestral.output import check_output


@torch.no_grad()
def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a folder that `ancestral fit` wrote")
    parser.add_argument("data", metavar="DATA", nargs="?", help="a name or a path (default: what the run trained on)")
    parser.add_argument("--split", default="test", help="train, valid or test, for data that have splits")
    parser.add_argument("--data-root", help="where the data lie")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "-o", "--output", default="codes.npz", help=".npz (z, or cluster; y where there are labels) or .csv"
    )
    args = parse(parser, arguments)
    output = check_output(args.output, (".npz", ".csv"))
    trained = open_run(args.run, device=args.device)
    model = trained.model
    if not isinstance(model, Encoder):
        raise InputError(f"{model.registered_name} has no codes: it is no Encoder (see `ancestral models`)")
    rows = trained.rows(args.data, args.split, args.data_root)
    parts: dict[str, list[Tensor]] = {}
    for batch in batches(rows, 256):
        context = None if batch.context is None else batch.context.to(model.device)
        x = batch.x.to(model.device)
        found = _columns(model, x, model.encode(x, context=context))
        for name, values in (found if batch.y is None else found | {"y": batch.y}).items():
            parts.setdefault(name, []).append(values.cpu())
    columns = {name: torch.cat(values) for name, values in parts.items()}
    (write_npz if output.suffix == ".npz" else write_csv)(columns, output)
    print(f"{len(rows)} rows of {', '.join(columns)} in {output}")


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
