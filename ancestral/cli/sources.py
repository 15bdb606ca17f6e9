"""Which data a command line names, and how they are taken: the flags that `fit` and `compare` share."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ancestral.cli.parsing import UsageError
from ancestral.data import Data, load_data


def add_data_flags(parser: ArgumentParser) -> None:
    """`--data-root`, `--support` and `--context`."""
    parser.add_argument("--data-root", help="where the data lie (default: the environment variable ANCESTRAL_DATA)")
    parser.add_argument(
        "--support", help="binary, levels:N, categories:N or real, where the one that the values suggest is not meant"
    )
    parser.add_argument(
        "--context", help="what to condition on: labels, captions or grey:LEVELS; short for --data.context"
    )


def source(args: Namespace, options: Mapping[str, Any]) -> dict[str, Any]:
    """What `load` is given, and what a run remembers: the name and all options."""
    if args.context is not None and "context" in options:
        raise UsageError("--context is short for --data.context; give one of them")
    path = Path(args.data)
    given = {"name": str(path.absolute()) if path.exists() else args.data, **options}
    return given | {
        key: value for key in ("data_root", "support", "context") if (value := getattr(args, key)) is not None
    }


def load(source: Mapping[str, Any]) -> Data:
    """The data of a `source`."""
    options = dict(source)
    return load_data(options.pop("name"), **options)
