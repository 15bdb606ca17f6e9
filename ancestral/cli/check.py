"""`ancestral check`: the mathematics of a model, tested from outside."""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from ancestral.checks import check_model
from ancestral.cli.parsing import parse
from ancestral.cli.runs import open_run
from ancestral.interface import Model
from ancestral.output import describe
from ancestral.registry import find_model


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    parser.add_argument("target", metavar="MODEL_OR_RUN", help="a model's name (every example of it), or a saved run")
    parser.add_argument("--seed", type=int, default=0, help="of the random inputs")
    args = parse(parser, arguments)
    models = _models(args.target)
    undecided = 0
    for i, model in enumerate(models, 1):
        print(f"{model.registered_name} {i}/{len(models)} on {describe(model.event)}")
        undecided += len(check_model(model, seed=args.seed).undecided)
    left = f"; {undecided} UNDECIDED, named above" if undecided else ""
    print(f"{args.target}: all that could be decided holds{left}")


def _models(target: str) -> list[Model]:
    if Path(target).is_dir():
        return [open_run(target).model]
    return list(find_model(target).examples())
