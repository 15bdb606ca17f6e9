"""`ancestral data`: the built-in data sets, and the options of one of them."""

import inspect
from argparse import ArgumentParser
from collections.abc import Sequence

from rich.padding import Padding

from ancestral.cli.parsing import metavar_of, parse
from ancestral.cli.terminal import console
from ancestral.data import list_data
from ancestral.data.catalogue import BUILTINS, Builtin, options_of
from ancestral.interface import InputError
from ancestral.suggestions import did_you_mean

_OTHERS = "a path: an .npy, .npz, .csv, .tsv, .parquet or .txt file, a folder or a zip of images, WAV files or texts"


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="one of them: all about it, with its options")
    parser.add_argument("--data-root", help="where the data lie (default: the environment variable ANCESTRAL_DATA)")
    args = parse(parser, arguments)
    name = None if args.name is None else args.name.replace("_", "-")
    if name is not None and name not in BUILTINS:
        raise InputError(
            f"there is no built-in data set {name!r}{did_you_mean(name, BUILTINS)}; `ancestral data` lists them"
        )
    screen = console()
    for info in list_data(args.data_root):
        if name not in (None, info.name):
            continue
        colour = "green" if info.available else "yellow"
        screen.print(f"[bold cyan]{info.name}[/]  {info.event_description}  [{colour}]{info.source}[/]")
        screen.print(Padding(info.summary if name is None else _all_about(BUILTINS[name]), (0, 0, 0, 4)), style="dim")
    if name is None:
        screen.print(f"or {_OTHERS}")
        screen.print("`ancestral data NAME` says what options one of them has")


def _all_about(entry: Builtin) -> str:
    parameters = inspect.signature(entry.load, eval_str=True).parameters
    options = [
        f"--data.{option} {metavar_of(option, parameters[option].annotation)}"
        + ("" if parameters[option].default is None else f" (default: {parameters[option].default})")
        for option in options_of(entry.load)
    ]
    paragraphs = [" ".join(text.split()) for text in entry.description.split("\n\n")]
    return "\n".join(["\n\n".join(paragraphs), "", *(options or ["no options of its own"])])
