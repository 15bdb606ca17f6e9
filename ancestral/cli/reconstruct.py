"""`ancestral reconstruct`: originals, and what their codes decode to."""

from argparse import ArgumentParser
from collections.abc import Sequence

import torch

from ancestral.cli.codes import decoder_of
from ancestral.cli.parsing import parse, whole_number
from ancestral.cli.runs import first_rows, open_run
from ancestral.cli.sources import add_run_flags, data_options_of
from ancestral.data import columns_in_figures, in_units
from ancestral.data.cells import listed
from ancestral.evaluation import decoded
from ancestral.interface import Categories, Encoder, Event, InputError
from ancestral.output import check_output, counted
from ancestral.plots import kind_of, reconstruction_figure, save_figure

#: Pairs in a picture, and points in one of a table.
_PAIRS, _POINTS = 16, 500


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    words, options = data_options_of(arguments)
    add_run_flags(parser, device=False)
    parser.add_argument(
        "-n", "--number", type=whole_number, help=f"how many pairs (default: {_PAIRS}; {_POINTS} of a table)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of a decoder that draws")
    parser.add_argument("-o", "--output", default="reconstructions.png", help="a .png picture")
    args = parse(parser, words)
    output = check_output(args.output, (".png",))
    trained = open_run(args.run)
    model = decoder_of(trained)
    if not isinstance(model, Encoder):
        raise InputError(f"{model.registered_name} does not reconstruct: it is no Encoder (see `ancestral models`)")
    schema, columns = trained.schema, columns_in_figures(trained.schema)
    is_table = kind_of(model.event, columns.get("names")) == "table"
    number = args.number or (_POINTS if is_table else _PAIRS)
    x, context = first_rows(trained.rows(args.data, args.split, args.data_root, options), number)
    with torch.no_grad():
        z = model.encode(x, context=context).mean
        back = decoded(model, z, context, torch.Generator().manual_seed(args.seed)).to(x.device)
    figure = reconstruction_figure(in_units(x, schema), in_units(back, schema), model.event, **columns)
    save_figure(figure, output)
    placed = "against" if is_table else "above"
    near = _agreement(x, back, model.event, columns.get("names"))
    back_as = "its reconstruction" if len(x) == 1 else "their reconstructions"
    print(f"{counted(len(x), 'original')} {placed} {back_as} in {output}; {near}")


def _agreement(x: torch.Tensor, back: torch.Tensor, event: Event, names: Sequence[str] | None) -> str:
    """How near the reconstructions come: distances of numbers, equality of categories; by columns where they have
    `names`, since each has a unit of its own."""
    x, back = x.double().flatten(1), back.double().flatten(1)
    if names is None:
        return f"root mean square error {(x - back).square().nanmean().sqrt():.4g}"
    said = []
    for place, (name, support) in enumerate(zip(names, event.supports, strict=True)):
        if isinstance(support, Categories):
            said.append(f"{name} {100 * (x[:, place] == back[:, place].round()).double().mean():.0f}% right")
        else:
            said.append(f"{name} {(x[:, place] - back[:, place]).square().nanmean().sqrt():.3g}")
    return f"root mean square errors: {listed(said)}"
