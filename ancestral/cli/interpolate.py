"""`ancestral interpolate`: a walk between observations in latent space, straight or on a sphere."""

from argparse import ArgumentParser
from collections.abc import Sequence
from functools import partial
from typing import get_args

import torch

from ancestral.cli.codes import add_start_flags, movable_decoder_of, starting_codes
from ancestral.cli.parsing import parse, whole_number
from ancestral.cli.runs import open_run
from ancestral.cli.sources import data_options_of
from ancestral.data import columns_in_figures, in_units
from ancestral.evaluation import Path, decoded, walks
from ancestral.interface import InputError
from ancestral.output import check_output, counted
from ancestral.plots import save_figure, walks_figure


@torch.no_grad()
def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    words, options = data_options_of(arguments)
    add_start_flags(parser, "walk.png")
    parser.add_argument("-n", "--number", type=whole_number, default=8, help="how many walks, one a row")
    parser.add_argument(
        "--steps", type=partial(whole_number, least=2), default=10, help="pictures a walk, with both ends"
    )
    parser.add_argument(
        "--path",
        choices=get_args(Path),
        default="linear",
        help="the straight line, or spherical: a turn about the origin, along which codes stay as long as draws of a"
        " Gaussian prior are",
    )
    args = parse(parser, words)
    output = check_output(args.output, (".png",))
    trained = open_run(args.run)
    model, generator = movable_decoder_of(trained), torch.Generator().manual_seed(args.seed)
    ends = starting_codes(trained, 2 * args.number, args, options, generator)
    n = len(ends.z) // 2
    if n == 0:
        raise InputError("a walk needs two observations to lead from one to the other, got 1")
    way = walks(ends.z[:n], ends.z[n : 2 * n], args.steps, args.path)
    # A walk keeps the context that it starts from.
    along = None if ends.context is None else ends.context[:n].repeat_interleave(args.steps, 0)
    seen = in_units(decoded(model, way, along, generator), trained.schema)
    picture = walks_figure(seen, model.event, args.steps, **columns_in_figures(trained.schema))
    save_figure(picture, output)
    print(f"{counted(n, f'{args.path} walk')} of {args.steps} steps between {ends.origin} in {output}")
