"""`ancestral reconstruct`: originals, and what their codes decode to."""

from argparse import ArgumentParser
from collections.abc import Sequence

import torch

from ancestral.cli.parsing import parse
from ancestral.cli.runs import first_rows, open_run
from ancestral.cli.sources import add_run_flags, data_options_of
from ancestral.data import columns_in_figures, in_units
from ancestral.evaluation import decoded
from ancestral.interface import Categories, Columns, Decoder, Encoder, Event, InputError
from ancestral.output import check_output
from ancestral.plots import kind_of, reconstruction_figure, save_figure

#: Pairs in a picture, and points in one of a table.
_PAIRS, _POINTS = 16, 500


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    words, options = data_options_of(arguments)
    add_run_flags(parser, device=False)
    parser.add_argument("-n", "--number", type=int, help=f"how many pairs (default: {_PAIRS}; {_POINTS} of a table)")
    parser.add_argument("--seed", type=int, default=0, help="of a decoder that draws")
    parser.add_argument("-o", "--output", default="reconstructions.png", help="a .png picture")
    args = parse(parser, words)
    output = check_output(args.output, (".png",))
    if args.number is not None and args.number < 1:
        raise InputError(f"-n must be at least 1, got {args.number}")
    trained = open_run(args.run)
    model = trained.model
    if not isinstance(model, Encoder) or not isinstance(model, Decoder):
        raise InputError(
            f"{model.registered_name} does not reconstruct: it is not both an Encoder and a Decoder (see `ancestral"
            " models`)"
        )
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
    print(f"{len(x)} originals {placed} their reconstructions in {output}; {_agreement(x, back, model.event)}")


def _agreement(x: torch.Tensor, back: torch.Tensor, event: Event) -> str:
    """How near the reconstructions come, over all values of a kind: distances of numbers, equality of categories."""
    x, back = x.double().flatten(1), back.double().flatten(1)
    kinds = event.support.kinds if isinstance(event.support, Columns) else {event.support: list(range(event.size))}
    numbers = [place for kind, places in kinds.items() if not isinstance(kind, Categories) for place in places]
    names = [place for kind, places in kinds.items() if isinstance(kind, Categories) for place in places]
    said = []
    if numbers:
        error = (x[:, numbers] - back[:, numbers]).square().nanmean().sqrt()
        said.append(f"root mean square error {error:.4g}")
    if names:
        share = (x[:, names] == back[:, names].round()).double().mean()
        said.append(f"{100 * share:.1f}% of the categories agree")
    return ", ".join(said)
