"""`ancestral sample`: draw observations from a run, as a picture or as data."""

from argparse import ArgumentParser
from collections.abc import Sequence

import torch

from ancestral.cli.output import write_csv, write_npz
from ancestral.cli.parsing import parse
from ancestral.cli.runs import contexts_to_draw_at, open_run
from ancestral.data import text_of
from ancestral.interface import InputError, Real, Sampler
from ancestral.output import check_output, write_bytes
from ancestral.plots import samples_figure, save_figure

#: Drawn at once: bounds the memory.
_BATCH = 256


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a folder that `ancestral fit` wrote")
    parser.add_argument("-n", "--number", type=int, default=64, help="how many")
    parser.add_argument("--class", dest="label", metavar="CLASS", type=int, help="the class, for a model of labels")
    parser.add_argument("--data-root", help="where the data lie, for a model conditioned on something else than labels")
    parser.add_argument("--seed", type=int, default=0, help="the same seed draws the same samples")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("-o", "--output", default="samples.png", help="a .png picture, .npz or .csv data, or .txt")
    args = parse(parser, arguments)
    output = check_output(args.output, (".png", ".npz", ".csv", ".txt"))
    if args.number < 1:
        raise InputError(f"-n must be at least 1, got {args.number}")
    trained = open_run(args.run, device=args.device)
    model = trained.model
    if not isinstance(model, Sampler):
        raise InputError(f"{model.registered_name} cannot be sampled: it is no Sampler (see `ancestral models`)")
    if output.suffix == ".txt" and not trained.vocabulary:
        raise InputError(f"{model.registered_name} in {args.run} models no text; choose .png, .npz or .csv")
    context, given = contexts_to_draw_at(trained, args.number, args.label, args.data_root)
    generator = torch.Generator().manual_seed(args.seed)
    parts = []
    for start in range(0, args.number, _BATCH):
        rows = slice(start, min(start + _BATCH, args.number))
        at = None if context is None else context[rows]
        parts.append(model.sample(rows.stop - start, context=at, generator=generator).cpu())
    x = torch.cat(parts)
    x = x if isinstance(model.event.support, Real) else x.long()
    if output.suffix == ".png":
        save_figure(samples_figure(x, model.event), output)
    elif output.suffix == ".txt":
        lines = [text_of(tokens, trained.vocabulary, trained.recipe["separator"]) for tokens in x]
        write_bytes(("\n".join(lines) + "\n").encode(), output)
    elif output.suffix == ".npz":
        write_npz({"x": x}, output)
    else:
        write_csv({"x": x.reshape(len(x), -1)}, output)
    print(f"{args.number} samples of {model.registered_name}{given} in {output}")
