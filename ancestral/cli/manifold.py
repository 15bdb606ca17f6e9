"""`ancestral manifold`: what a plane of the latent space decodes to."""

from argparse import ArgumentParser
from collections.abc import Sequence

import torch

from ancestral.cli.codes import Codes, LatentSpace, add_point_flags
from ancestral.cli.parsing import parse, teach
from ancestral.cli.runs import open_run
from ancestral.cli.sources import data_options_of
from ancestral.data import columns_in_figures, in_units
from ancestral.evaluation import decoded, latent_plane, quantiles
from ancestral.interface import InputError, MeanDecoder
from ancestral.output import check_output
from ancestral.plots import kind_of, manifold_figure, samples_figure, save_figure

#: Points a side, by what an observation is; fewer of sequences.
_SIDES, _SIDE = {"images": 20, "table": 30}, 10


@torch.no_grad()
def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    words, options = data_options_of(arguments)
    teach(
        parser,
        """The plane of a model's two latent dimensions, at quantiles of the unit Gaussian (Kingma & Welling 2014,
        figure 4). Of a model with more of them --axes takes two; the others stay at the code of an observation, or,
        without an encoder or with --class, at a draw of the prior. Of a clustering, whose one latent is one-hot, each
        of its values.""",
    )
    add_point_flags(parser, "manifold.png", "the two dimensions, as 0,3: to the right, and upwards")
    parser.add_argument("--side", type=int, help="points a side (default: 20 images, 10 sequences, 30 of a table)")
    args = parse(parser, words)
    output = check_output(args.output, (".png",))
    if args.side is not None and not 2 <= args.side <= 100:
        raise InputError(f"--side must be from 2 to 100, got {args.side}")
    trained = open_run(args.run)
    space = LatentSpace(trained, args, options)
    model, columns = space.model, columns_in_figures(trained.schema)
    what = "means" if isinstance(model, MeanDecoder) else "draws"
    if not space.spread.continuous and len(model.latent_shapes) == 1:
        (name,) = model.latent_shapes
        seen = in_units(decoded(model, torch.eye(model.latent_size), generator=space.generator), trained.schema)
        save_figure(samples_figure(seen, model.event, **columns), output)
        print(f"decoded {what} of the {model.latent_size} values of {name!r}, the latent of {args.run}, in {output}")
        return
    axes = _axes(space)
    # Where all latents move and there is no context, no data are needed.
    needed = len(axes) < model.latent_size or model.context_event is not None
    point = space.point if needed else Codes(space.spread.mean[None], None, "")
    side = args.side or _SIDES.get(kind_of(model.event, columns.get("names")), _SIDE)
    offsets = quantiles(side)
    codes = latent_plane(point.z[0], axes, offsets, space.spread)
    context = None if point.context is None else point.context.expand(len(codes), *point.context.shape[1:])
    seen = in_units(decoded(model, codes, context, space.generator), trained.schema)
    places = offsets.tolist()
    labels = f"axis {axes[0]}", f"axis {axes[1]}"
    save_figure(manifold_figure(seen, model.event, places, places[::-1], labels=labels, **columns), output)
    print(
        f"{side} x {side} decoded {what} over {labels[0]} (to the right) and {labels[1]} (upwards), from"
        f" {places[0]:.2f} to {places[-1]:.2f} {space.scale}{space.rest(2) if needed else ''}, in {output}"
    )


def _axes(space: LatentSpace) -> tuple[int, int]:
    """The two dimensions that are moved."""
    chosen, free = space.chosen, space.spread.continuous
    if chosen is None and len(free) != 2:
        said = f"{space.model.registered_name} has {len(free)} latent dimensions, and a plane takes two"
        if len(free) < 2:
            raise InputError(f"{said}; see `ancestral traverse {space.args.run}`")
        first, second = space.most_active(2)
        most = "" if space.activity is None else ", which the codes vary along most"
        raise InputError(
            f"{said}: choose them, as --axes {first},{second}{most}, or see all of them, one at a time, by"
            f" `ancestral traverse {space.args.run}`"
        )
    if chosen is not None and len(chosen) != 2:
        raise InputError(f"--axes takes two dimensions, as 0,3, got {space.args.axes!r}")
    first, second = chosen or free
    return first, second
