"""`ancestral interpolate`: a walk between observations, straight in latent space."""

from argparse import ArgumentParser
from collections.abc import Sequence

import torch

from ancestral.cli.latents import decoded, draw_latents, walks
from ancestral.cli.output import check_output
from ancestral.cli.parsing import parse
from ancestral.cli.pictures import write_figure
from ancestral.cli.runs import chosen_split, class_context, first_rows, open_run
from ancestral.interface import Encoder, InputError, MeanDecoder
from ancestral.plots import samples_figure


@torch.no_grad()
def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a folder that `ancestral fit` wrote")
    parser.add_argument("data", metavar="DATA", nargs="?", help="a name or a path (default: what the run trained on)")
    parser.add_argument("-n", "--number", type=int, default=8, help="how many walks, one a row")
    parser.add_argument("--steps", type=int, default=10, help="pictures a walk, both ends among them")
    parser.add_argument("--class", dest="label", metavar="CLASS", type=int, help="the class, for a conditional decoder")
    parser.add_argument("--split", default="test", help="train, valid or test")
    parser.add_argument("--seed", type=int, default=0, help="for a model without an encoder: the ends are drawn")
    parser.add_argument("--data-root", help="where the data lie")
    parser.add_argument("-o", "--output", default="walk.png", help="a .png picture")
    args = parse(parser, arguments)
    output = check_output(args.output, (".png",))
    if args.number < 1 or args.steps < 2:
        raise InputError(f"a picture needs -n of at least 1 and --steps of at least 2, got {args.number}, {args.steps}")
    trained = open_run(args.run)
    model = trained.model
    if not isinstance(model, MeanDecoder):
        raise InputError(f"{model.registered_name} has no latent space: it is no MeanDecoder (see `ancestral models`)")
    if isinstance(model, Encoder):
        x, context = first_rows(chosen_split(trained.data(args.data, args.data_root), args.split), 2 * args.number)
        ends, between = model.encode(x, context=context).mean, "observations"
        if context is not None:
            context = context[: len(ends) // 2].repeat_interleave(args.steps, 0)
    else:
        generator = torch.Generator().manual_seed(args.seed)
        ends, between = draw_latents(model, 2 * args.number, generator), "draws of the prior"
        context = class_context(trained, args.label)
    first, second = ends[: len(ends) // 2], ends[len(ends) // 2 : len(ends) // 2 * 2]
    picture = samples_figure(decoded(model, walks(first, second, args.steps), context), model.event, columns=args.steps)
    write_figure(picture, output)
    print(f"{len(first)} walks of {args.steps} steps between {between} in {output}")
