"""Which data a command line names, and how they are taken: the flags that every command with DATA shares."""

import inspect
import os
import textwrap
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ancestral.cli.parsing import UsageError, described_arguments, metavar_of, split_dotted
from ancestral.data import Data, find_data, load_data
from ancestral.data.catalogue import BY_OTHER_DATA, options_of
from ancestral.data.formats import KINDS

#: What `load_data` takes that has a flag of its own, or that no command line gives.
_NOT_OPTIONS = ("name_or_path", "data_root", "support", "classes", "whole", "options")


def add_data_flags(parser: ArgumentParser) -> None:
    """`--data-root`, `--support` and `--context`, and the options of each kind of source in the help."""
    parser.add_argument("--data-root", help="where the data lie (default: the environment variable ANCESTRAL_DATA)")
    parser.add_argument(
        "--support", help="binary, levels:N, categories:N or real, where the one that the values suggest is not meant"
    )
    parser.add_argument(
        "--context", help="what to condition on: labels, captions, factors or grey:LEVELS; short for --data.context"
    )
    describe_options(parser)


def add_run_flags(
    parser: ArgumentParser,
    *,
    device: bool = True,
    several: bool = False,
    split: str | None = "train, valid or test, of data that have splits (default: test)",
) -> None:
    """RUN, DATA (or `several` of them), `--split` where it has a help, `--data-root` and `--device`, and the options of
    each kind of source in the help."""
    parser.add_argument("run", metavar="RUN", help="a folder that `ancestral fit` wrote")
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="*" if several else "?",
        help="a name or a path; all rows of a file, folder or zip without splits (default: what the run trained on);"
        " its options as --data.NAME VALUE",
    )
    if split is not None:
        parser.add_argument("--split", help=split)
    parser.add_argument("--data-root", help="where the data lie (default: where they lay in training)")
    if device:
        parser.add_argument("--device", default="cpu", help="cpu or cuda")
    describe_options(parser)


def data_options_of(arguments: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """The command line without its `--data.NAME VALUE`, and these by name."""
    words, dotted = split_dotted(arguments, ("data",))
    return words, dotted.get("data", {})


def source(args: Namespace, options: Mapping[str, Any]) -> dict[str, Any]:
    """What `load` is given, and what a run remembers: the name and all options, paths from the root."""
    if args.context is not None and "context" in options:
        raise UsageError("--context is short for --data.context; give one of them")
    given = {"name": find_data(args.data, args.data_root), **options}
    if Path(str(options.get("captions", ""))).is_file():
        given["captions"] = os.path.abspath(options["captions"])
    if args.data_root is not None:
        given["data_root"] = os.path.abspath(Path(args.data_root).expanduser())
    return given | {key: value for key in ("support", "context") if (value := getattr(args, key)) is not None}


def load(source: Mapping[str, Any]) -> Data:
    """The data of a `source`."""
    options = dict(source)
    return load_data(options.pop("name"), **options)


# -- Help -------------------------------------------------------------------------------------------------------------


def describe_options(parser: ArgumentParser) -> None:
    """Let the help name the options of each kind of source, as the loaders' docstrings describe them."""
    for kind, load in option_loaders().items():
        parser.add_argument_group(f"options of {kind}", "\n".join(map(_entry(load), option_names(load))))


def option_loaders() -> dict[str, Callable[..., Data]]:
    """What describes `--data.NAME` options, by the kind of source: `load_data` itself, and the loaders of files."""
    return {"all data": load_data, **KINDS}


def option_names(load: Callable[..., Data]) -> list[str]:
    """The options of a loader that a command line gives; of `load_data` those of every source."""
    names = list(inspect.signature(load).parameters) if load is load_data else options_of(load)
    # A window is described once, and not with each kind of sequence.
    hidden = _NOT_OPTIONS if load is load_data else (*BY_OTHER_DATA, "window")
    return [name for name in names if name not in hidden]


def _entry(load: Callable[..., Data]) -> Callable[[str], str]:
    texts, parameters = described_arguments(load), inspect.signature(load, eval_str=True).parameters

    def entry(name: str) -> str:
        flag = f"--data.{name} {metavar_of(name, parameters[name].annotation)}"
        text = textwrap.fill(
            texts.get(name, "").replace("%%", "%"), 96, initial_indent="    ", subsequent_indent="    "
        )
        return f"{flag}\n{text}".replace("%", "%%")

    return entry
