"""`ancestral traverse`: latent dimensions moved one at a time, with all the others as they are."""

from argparse import ArgumentParser
from collections.abc import Sequence
from functools import partial

import torch

from ancestral.cli.codes import LatentSpace, add_point_flags
from ancestral.cli.parsing import parse, teach, whole_number
from ancestral.cli.runs import open_run
from ancestral.cli.sources import data_options_of
from ancestral.data import columns_in_figures, in_units
from ancestral.evaluation import decoded, traversals
from ancestral.interface import InputError
from ancestral.output import check_output
from ancestral.plots import place_name, save_figure, walks_figure

#: A dimension whose posterior mean varies less is not used (Burda et al. 2016, section 5.2).
_ACTIVE = 0.01


@torch.no_grad()
def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    words, options = data_options_of(arguments)
    teach(
        parser,
        """Each row of the picture moves one latent dimension over the range of its prior. The others stay at the code
        of an observation; of a model without an encoder, or with --class, at a draw of the prior. By default the
        dimensions that the codes vary along most are moved.""",
    )
    add_point_flags(parser, "traversals.png", "which dimensions, as 0,3,5")
    parser.add_argument(
        "-n", "--number", type=whole_number, default=8, help="how many dimensions, one a row, without --axes"
    )
    parser.add_argument("--steps", type=partial(whole_number, least=2), default=11, help="pictures a row")
    parser.add_argument("--reach", type=float, default=3.0, help="how far, in standard deviations of the prior")
    args = parse(parser, words)
    output = check_output(args.output, (".png",))
    if not 0 < args.reach < float("inf"):
        raise InputError(f"--reach must be above 0, and finite, got {args.reach}")
    trained = open_run(args.run)
    space = LatentSpace(trained, args, options)
    model, point = space.model, space.point
    axes = space.chosen or space.most_active(args.number)
    if not axes:
        names = ", ".join(space.spread.one_hot)
        raise InputError(
            f"all latents of {model.registered_name} are one-hot ({names}) and do not move little by little;"
            f" `ancestral manifold {args.run}` shows each of their values"
        )
    offsets = torch.linspace(-args.reach, args.reach, args.steps)
    codes = traversals(point.z[0], axes, offsets, space.spread)
    context = None if point.context is None else point.context.expand(len(codes), *point.context.shape[1:])
    seen = in_units(decoded(model, codes, context, space.generator), trained.schema)
    figure = walks_figure(
        seen,
        model.event,
        args.steps,
        walk_names=[f"axis {axis}" for axis in axes],
        step_names=[place_name(offset) for offset in offsets.tolist()],
        **columns_in_figures(trained.schema),
    )
    save_figure(figure, output)
    print(
        f"{len(axes)} of {model.latent_size} latent dimensions from {-args.reach:g} to {args.reach:g} {space.scale}"
        f"{space.rest(1)}, in {output}"
    )
    if args.axes is None and space.activity is not None:
        used = int((space.activity[space.spread.continuous] > _ACTIVE).sum())
        said = ", ".join(f"{axis} ({space.activity[axis]:.2g})" for axis in axes)
        print(f"variance of the posterior mean, prior = 1: {said}; above {_ACTIVE} in {used} of {model.latent_size}")
