"""Flags from signatures, through jsonargparse, with its errors said in one line."""

import argparse
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace

from ancestral.registry import did_you_mean


class UsageError(ValueError):
    """The command line itself is wrong."""


class _HelpFormatter(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the example, and shows the defaults that say something."""

    def _get_help_string(self, action: argparse.Action) -> str:
        default = action.default
        says_nothing = default is None or default is False or default == argparse.SUPPRESS or not action.option_strings
        return f"{action.help or ''}{'' if says_nothing else f' (default: {default})'}"


def make_parser(command: str, summary: str, example: str) -> ArgumentParser:
    """An empty parser of one subcommand, whose help ends with an example."""
    return ArgumentParser(
        prog=f"ancestral {command}",
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=_HelpFormatter,
        exit_on_error=False,
        allow_abbrev=False,
    )


def add_signature(
    parser: ArgumentParser,
    function: Callable[..., Any],
    title: str,
    skip: Sequence[str] = (),
    nested: str | None = None,
) -> None:
    """Every keyword of `function`, or of a class's constructor, as a flag in a group with a title.

    `nested` puts a name and a dot before each.
    """
    before, groups = len(parser._actions), len(parser._action_groups)
    if isinstance(function, type):
        parser.add_class_arguments(function, nested, skip={*skip}, instantiate=False)
    else:
        parser.add_function_arguments(function, nested, skip={*skip})
    for group in parser._action_groups[groups:]:
        group.title = title
    for action in parser._actions[before:]:
        if action.dest == nested or action.dest.endswith(".help"):
            action.help = argparse.SUPPRESS
        elif nested is None:  # --batch-size on the command line, batch_size in Python
            action.option_strings = [flag.replace("_", "-") for flag in action.option_strings]
            parser._option_string_actions.update(dict.fromkeys(action.option_strings, action))


def parse(parser: ArgumentParser, arguments: Sequence[str]) -> Namespace:
    """The parsed command line, with defaults; `UsageError` in one line where it is wrong."""
    return parser.instantiate(_parsed(parser, arguments, defaults=True))


def keywords(
    parser: ArgumentParser,
    arguments: Sequence[str],
    function: Callable[..., Any],
    skip: Sequence[str] = (),
    nested: str | None = None,
) -> dict[str, Any]:
    """The keywords of `function` whose flags stand on the command line, with their values."""
    values, given = parse(parser, arguments), _parsed(parser, arguments, defaults=False)
    if nested is not None:
        values, given = values[nested], given.get(nested) or Namespace()
    known = [name for name in inspect.signature(function).parameters if name not in skip]
    return {name: values[name] for name in given.as_dict() if name in known}


def _parsed(parser: ArgumentParser, arguments: Sequence[str], *, defaults: bool) -> Namespace:
    known = {flag.replace("_", "-"): flag for action in parser._actions for flag in action.option_strings}
    normal = []
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        normal.append(known.get(flag.replace("_", "-"), flag) + equals + value if flag[:2] == "--" else argument)
    try:
        return parser.parse_args(normal, defaults=defaults)
    except argparse.ArgumentError as error:
        raise UsageError(_one_line(str(error), parser)) from error


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
