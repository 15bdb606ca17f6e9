"""Which data a command line names, and how they are taken: the flags that `fit` and `compare` share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace

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


def data_options(arguments: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """The command line without its `--data.NAME VALUE`, and these; `load_data` knows which there are."""
    rest, options = [], {}
    words = iter(arguments)
    for word in words:
        if not word.startswith("--data."):
            rest.append(word)
            continue
        name, equals, value = word.removeprefix("--data.").partition("=")
        given = value if equals else next(words, None)
        if given is None:
            raise UsageError(f"{word} needs a value")
        options[name.replace("-", "_")] = yaml.safe_load(given)
    return rest, options


def source(args: Namespace, options: Mapping[str, Any]) -> dict[str, Any]:
    """What `load` is given, and what a run remembers: the name and all options."""
    if args.context is not None and "context" in options:
        raise UsageError("--context is short for --data.context; give one of them")
    path = Path(args.data)
    given = {"name": str(path.absolute()) if path.exists() else args.data, **options}
    return given | {key: args[key] for key in ("data_root", "support", "context") if args[key] is not None}


def load(source: Mapping[str, Any]) -> Data:
    """The data of a `source`."""
    options = dict(source)
    return load_data(options.pop("name"), **options)
