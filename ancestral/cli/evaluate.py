"""`ancestral evaluate`: a line that says how well a run describes held-out data, and one how well it classifies."""

from argparse import ArgumentParser
from collections.abc import Sequence

from ancestral.cli.parsing import add_signature, keywords, parse
from ancestral.cli.runs import chosen_split, open_run
from ancestral.evaluation import evaluate, evaluate_classifier, evaluate_samples, why_no_error_rate
from ancestral.interface import BoundedDensity, ExactDensity, InputError, Sampler

#: What is not a flag.
_OWN = ("model", "data")


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a folder that `ancestral fit` wrote")
    parser.add_argument("data", metavar="DATA", nargs="?", help="a name or a path (default: what the run trained on)")
    parser.add_argument("--split", default="test", help="train, valid or test")
    parser.add_argument("--data-root", help="where the data lie")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    add_signature(parser, evaluate, "likelihood", skip=_OWN)
    parser.add_argument("--samples", type=int, default=1000, help="for a model without a density: samples to judge")
    args = parse(parser, arguments)
    trained = open_run(args.run, device=args.device)
    data = trained.data(args.data, args.data_root)
    split = chosen_split(data, args.split)
    results: list[object] = []
    settings = keywords(parser, arguments, evaluate, skip=_OWN)
    if isinstance(trained.model, ExactDensity | BoundedDensity):
        results.append(evaluate(trained.model, split, **settings))
    elif isinstance(trained.model, Sampler):
        results.append(evaluate_samples(trained.model, split, samples=args.samples, seed=args.seed))
    reason = why_no_error_rate(trained.model, split)
    if reason is None:
        alike = {name: settings[name] for name in ("batch_size", "limit", "progress") if name in settings}
        results.append(evaluate_classifier(trained.model, split, **alike))
    if not results:
        raise InputError(f"{args.run} has no likelihood, no samples and no error rate to measure: {reason}")
    for result in results:
        print(f"{trained.model.registered_name} on {data.name} {args.split}: {result}")
