"""`ancestral reconstruct`: originals, and below each what its code decodes to."""

from argparse import ArgumentParser
from collections.abc import Sequence

import torch

from ancestral.cli.latents import decoded, open_autoencoder
from ancestral.cli.output import check_output
from ancestral.cli.parsing import parse
from ancestral.cli.pictures import write_figure
from ancestral.cli.runs import chosen_split, first_rows
from ancestral.interface import InputError
from ancestral.plots import samples_figure

#: Pairs side by side in one band of the picture.
_COLUMNS = 8


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a folder that `ancestral fit` wrote")
    parser.add_argument("data", metavar="DATA", nargs="?", help="a name or a path (default: what the run trained on)")
    parser.add_argument("-n", "--number", type=int, default=16, help="how many pairs")
    parser.add_argument("--split", default="test", help="train, valid or test")
    parser.add_argument("--data-root", help="where the data lie")
    parser.add_argument("-o", "--output", default="reconstructions.png", help="a .png picture")
    args = parse(parser, arguments)
    output = check_output(args.output, (".png",))
    if args.number < 1:
        raise InputError(f"-n must be at least 1, got {args.number}")
    trained, encode, decode = open_autoencoder(args.run)
    x, context = first_rows(chosen_split(trained.data(args.data, args.data_root), args.split), args.number)
    with torch.no_grad():
        back = decoded(decode, encode.encode(x, context=context).mean, context)
    # Bands of originals, each above its reconstructions.
    columns = min(_COLUMNS, len(x))
    bands = [row for start in range(0, len(x), columns) for row in _band(x, back, start, columns)]
    picture = samples_figure(torch.cat(bands), trained.model.event, columns=columns)
    write_figure(picture, output)
    error = (x.float() - back).square().mean().sqrt()
    print(f"{len(x)} originals above their reconstructions in {output}; root mean square error {error:.4g}")


def _band(x: torch.Tensor, back: torch.Tensor, start: int, columns: int) -> list[torch.Tensor]:
    rows = [x[start : start + columns].float(), back[start : start + columns]]
    # A short last band is filled up with its last pair, so that pairs stay above each other.
    return [torch.cat([row, row[-1:].expand(columns - len(row), *row.shape[1:])]) for row in rows]
