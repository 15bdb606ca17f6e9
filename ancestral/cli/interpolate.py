"""`ancestral interpolate`: a walk between observations, straight in latent space."""

from argparse import ArgumentParser
from collections.abc import Sequence

import torch

from ancestral.cli.parsing import parse
from ancestral.cli.runs import contexts_to_draw_at, first_rows, in_turn, open_run
from ancestral.cli.sources import add_run_flags, data_options_of
from ancestral.data import columns_in_figures, in_units
from ancestral.evaluation import decoded, walks
from ancestral.interface import Decoder, Encoder, InputError
from ancestral.output import check_output
from ancestral.plots import save_figure, walks_figure


@torch.no_grad()
def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    words, options = data_options_of(arguments)
    add_run_flags(parser, device=False)
    parser.add_argument("-n", "--number", type=int, default=8, help="how many walks, one a row")
    parser.add_argument("--steps", type=int, default=10, help="pictures a walk, both ends among them")
    parser.add_argument("--class", dest="label", metavar="CLASS", help="the class, for a conditional decoder")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn: the ends, without an encoder")
    parser.add_argument("-o", "--output", default="walk.png", help="a .png picture")
    args = parse(parser, words)
    output = check_output(args.output, (".png",))
    if args.number < 1 or args.steps < 2:
        raise InputError(f"a picture needs -n of at least 1 and --steps of at least 2, got {args.number}, {args.steps}")
    trained = open_run(args.run)
    model = trained.model
    if not isinstance(model, Decoder):
        raise InputError(f"{model.registered_name} has no latent space: it is no Decoder (see `ancestral models`)")
    generator = torch.Generator().manual_seed(args.seed)
    if isinstance(model, Encoder):
        x, context = first_rows(trained.rows(args.data, args.split, args.data_root, options), 2 * args.number)
        ends, between = model.encode(x, context=context).mean, "observations"
    else:
        contexts, given = contexts_to_draw_at(trained, 2 * args.number, args.label, args.data_root)
        context = in_turn(contexts, 0, 2 * args.number)
        ends = model.sample_latents(2 * args.number, context=context, generator=generator)
        between = f"draws of the prior{given}"
    n = len(ends) // 2
    way = walks(ends[:n], ends[n : 2 * n], args.steps)
    # A walk keeps the context that it starts from.
    along = None if context is None else context[:n].repeat_interleave(args.steps, 0)
    seen = in_units(decoded(model, way, along, generator), trained.schema)
    picture = walks_figure(seen, model.event, args.steps, **columns_in_figures(trained.schema))
    save_figure(picture, output)
    print(f"{n} walks of {args.steps} steps between {between} in {output}")
