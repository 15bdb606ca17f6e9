"""`ancestral evaluate`: a line that says how well a run describes held-out data, and one how well it classifies."""

from argparse import ArgumentParser
from collections.abc import Sequence

from ancestral.cli.parsing import add_signature, keywords, parse
from ancestral.cli.runs import chosen_split, open_run
from ancestral.evaluation import evaluate, measures, why_no_error_rate
from ancestral.interface import InputError

#: What is not a flag.
_OWN = ("model", "data")
_FEW = "samples are judged by training rows where there are too few test rows"


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a folder that `ancestral fit` wrote")
    parser.add_argument("data", metavar="DATA", nargs="?", help="a name or a path (default: what the run trained on)")
    parser.add_argument("--split", help=f"train, valid or test (default: test; {_FEW})")
    parser.add_argument("--data-root", help="where the data lie")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    add_signature(parser, evaluate, "likelihood", skip=_OWN)
    parser.add_argument("--samples", type=int, default=1000, help="for a model without a density: samples to judge")
    args = parse(parser, arguments)
    trained = open_run(args.run, device=args.device)
    data = trained.data(args.data, args.data_root)
    split = chosen_split(data, args.split or "test")
    settings = keywords(parser, arguments, evaluate, skip=_OWN)
    results = measures(trained.model, data, args.split, samples=args.samples, **settings)
    if not results:
        reason = why_no_error_rate(trained.model, split)
        raise InputError(f"{args.run} has no likelihood, no samples and no error rate to measure: {reason}")
    for name, result in results:
        print(f"{trained.model.registered_name} on {data.name} {name}: {result}")
