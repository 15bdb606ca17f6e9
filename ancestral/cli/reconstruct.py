"""`ancestral reconstruct`: originals, and below each what its code decodes to."""

from argparse import ArgumentParser
from collections.abc import Sequence

import torch

from ancestral.cli.parsing import parse
from ancestral.cli.runs import chosen_split, first_rows, open_run
from ancestral.evaluation import decoded
from ancestral.interface import Decoder, Encoder, InputError
from ancestral.output import check_output
from ancestral.plots import samples_figure, save_figure

#: Pairs side by side in one band of the picture.
_COLUMNS = 8


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a folder that `ancestral fit` wrote")
    parser.add_argument("data", metavar="DATA", nargs="?", help="a name or a path (default: what the run trained on)")
    parser.add_argument("-n", "--number", type=int, default=16, help="how many pairs")
    parser.add_argument("--split", default="test", help="train, valid or test")
    parser.add_argument("--seed", type=int, default=0, help="of a decoder that draws")
    parser.add_argument("--data-root", help="where the data lie")
    parser.add_argument("-o", "--output", default="reconstructions.png", help="a .png picture")
    args = parse(parser, arguments)
    output = check_output(args.output, (".png",))
    if args.number < 1:
        raise InputError(f"-n must be at least 1, got {args.number}")
    trained = open_run(args.run)
    model = trained.model
    if not isinstance(model, Encoder) or not isinstance(model, Decoder):
        raise InputError(
            f"{model.registered_name} does not reconstruct: it is not both an Encoder and a Decoder (see `ancestral"
            " models`)"
        )
    x, context = first_rows(chosen_split(trained.data(args.data, args.data_root), args.split), args.number)
    with torch.no_grad():
        z = model.encode(x, context=context).mean
        back = decoded(model, z, context, torch.Generator().manual_seed(args.seed)).float()
    # Bands of originals, each above its reconstructions.
    columns = min(_COLUMNS, len(x))
    bands = [row for start in range(0, len(x), columns) for row in _band(x, back, start, columns)]
    picture = samples_figure(torch.cat(bands), model.event, columns=columns)
    save_figure(picture, output)
    error = (x.float() - back).square().mean().sqrt()
    print(f"{len(x)} originals above their reconstructions in {output}; root mean square error {error:.4g}")


def _band(x: torch.Tensor, back: torch.Tensor, start: int, columns: int) -> list[torch.Tensor]:
    rows = [x[start : start + columns].float(), back[start : start + columns]]
    # A short last band is filled up with its last pair, so that pairs stay above each other.
    return [torch.cat([row, row[-1:].expand(columns - len(row), *row.shape[1:])]) for row in rows]
