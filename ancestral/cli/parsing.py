"""Flags from signatures, through jsonargparse, with its errors said in one line."""

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace

from ancestral.registry import did_you_mean


class UsageError(ValueError):
    """The command line itself is wrong."""


class _HelpFormatter(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows defaults, and keeps the lines of the example."""


def make_parser(command: str, summary: str, example: str) -> ArgumentParser:
    """An empty parser of one subcommand, whose help ends with an example."""
    return ArgumentParser(
        prog=f"ancestral {command}",
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=_HelpFormatter,
        exit_on_error=False,
    )


def add_signature(
    parser: ArgumentParser, function: Callable[..., Any], skip: Sequence[str] = (), nested: str | None = None
) -> None:
    """Every keyword of `function`, or of a class's constructor, as a flag."""
    names = {*skip}
    if isinstance(function, type):
        parser.add_class_arguments(function, nested, skip={*names, "event", "context_event"})
    else:
        parser.add_function_arguments(function, nested, skip=names)


def parse(parser: ArgumentParser, arguments: Sequence[str]) -> Namespace:
    """The parsed command line, with defaults; `UsageError` in one line where it is wrong."""
    return parser.instantiate_classes(_parsed(parser, arguments, defaults=True))


def given(parser: ArgumentParser, arguments: Sequence[str]) -> frozenset[str]:
    """The names of the flags that stand on the command line (dotted where nested)."""
    return frozenset(_leaves(_parsed(parser, arguments, defaults=False).as_dict()))


def _parsed(parser: ArgumentParser, arguments: Sequence[str], *, defaults: bool) -> Namespace:
    try:
        return parser.parse_args(list(arguments), defaults=defaults)
    except argparse.ArgumentError as error:
        raise UsageError(_one_line(str(error), parser)) from error


def _leaves(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield prefix + name
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")


def _one_line(message: str, parser: ArgumentParser) -> str:
    command = f"; see `{parser.prog} --help`"
    flags = [flag for action in parser._actions for flag in action.option_strings]
    if unknown := re.match(r"unrecognized arguments?: (\S+)", message, re.IGNORECASE):
        flag = unknown[1].split("=")[0]
        return f"unknown argument {flag}{did_you_mean(flag, flags)}{command}"
    if missing := re.search(r"arguments are required: (.*)", message):
        return f"missing {missing[1]}{command}"
    key = re.search(r'Parser key "([^"]+)"', message)
    value = re.search(r"(?:Given value|Got value): (.*)", message)
    if key and value:
        action = next((a for a in parser._actions if a.dest == key[1]), None)
        flag = next(iter(action.option_strings), key[1]) if action else f"--{key[1]}"
        return f"{flag}: expected {_expected(message)}, got {value[1].strip()!r}{command}"
    return f"{' '.join(message.split())}{command}"


def _expected(message: str) -> str:
    wanted = re.search(r"Subtypes: \[(.*)\]", message) or re.search(r"Expected an? (.*?)\.? Got value", message)
    if not wanted:
        return "another value"
    names = [_plain(name) for name in re.split(r",\s*(?![^\[(]*[\])])", wanted[1])]
    return " or ".join(name for name in names if name != "NoneType")


def _plain(name: str) -> str:
    name = re.sub(r"<(?:class|enum) '([^']+)'>", r"\1", name.strip()).replace("typing.", "")
    if choices := re.fullmatch(r"Literal\[(.*)\]", name):
        return "one of " + choices[1].replace("'", "")
    return {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false"}.get(name, name)

