"""`ancestral analogies`: real observations, and each again as every class."""

from argparse import ArgumentParser
from collections.abc import Sequence

import torch

from ancestral.cli.codes import decoder_of
from ancestral.cli.contexts import names_of_classes
from ancestral.cli.parsing import parse, teach, whole_number
from ancestral.cli.runs import first_rows, open_run
from ancestral.cli.sources import add_run_flags, data_options_of
from ancestral.data import columns_in_figures, in_units
from ancestral.evaluation import analogies, class_input
from ancestral.interface import Encoder, InputError
from ancestral.output import check_output, counted
from ancestral.plots import save_figure, walks_figure


@torch.no_grad()
def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    words, options = data_options_of(arguments)
    teach(
        parser,
        """Each row of the picture begins with a real observation. Its style, what the latents hold beside the class, is
        then decoded under every class (Kingma et al. 2014, figure 1). For models that are given labels (fit with
        --context labels), and those with the class among their latents.""",
    )
    add_run_flags(parser, device=False)
    parser.add_argument("-n", "--number", type=whole_number, default=10, help="how many observations, one a row")
    parser.add_argument("--seed", type=int, default=0, help="of a decoder that draws")
    parser.add_argument("-o", "--output", default="analogies.png", help="a .png picture")
    args = parse(parser, words)
    output = check_output(args.output, (".png",))
    trained = open_run(args.run)
    model, how = decoder_of(trained), class_input(trained.model)
    if how is None:
        raise InputError(
            f"{args.run} is told no class, neither as a context nor by a latent of its own; fit a model to labels with"
            " --context labels"
        )
    if not isinstance(model, Encoder):
        raise InputError(
            f"{model.registered_name} finds no style of an observation: it is no Encoder; `ancestral sample {args.run}"
            " --class all` draws each class"
        )
    x, context = first_rows(trained.rows(args.data, args.split, args.data_root, options), args.number)
    shown = analogies(model, x, context, torch.Generator().manual_seed(args.seed))
    names = names_of_classes(trained, how.classes)
    figure = walks_figure(
        in_units(shown, trained.schema),
        model.event,
        1 + how.classes,
        step_names=["real", *names],
        **columns_in_figures(trained.schema),
    )
    save_figure(figure, output)
    print(f"{counted(len(x), 'observation')}, and the style of each as {', '.join(names)}, in {output}")
