"""Flags from signatures, read by jsonargparse, and wrong command lines said in one line."""

import argparse
import inspect
import math
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Any, Literal, NoReturn, get_args, get_origin

from ancestral.suggestions import did_you_mean

#: Types of JSON values, and what one of each is called; lists, mappings and unions are made of these.
_WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false", Any: "value"}


class UsageError(ValueError):
    """The command line itself is wrong."""


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the example, and shows the defaults that say something."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return super()._fill_text(text, width, indent) if "\n" in text else textwrap.fill(text, width)

    def _get_help_string(self, action: argparse.Action) -> str:
        text, default = action.help or "", action.default
        says_nothing = default is None or default is False or default == argparse.SUPPRESS or not action.option_strings
        return text if says_nothing or "%(default)" in text else f"{text} (default: %(default)s)"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        message = message.removeprefix("argument ").replace("the following arguments are required:", "missing")
        raise UsageError(f"{message}; see `{self.prog} --help`")


def make_parser(command: str, summary: str, example: str) -> argparse.ArgumentParser:
    """An empty parser of one subcommand, whose help ends with an example."""
    parser = _Parser(
        prog=f"ancestral {command}",
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=_HelpFormatter,
        allow_abbrev=False,
    )
    for kind in (int, float, bool):
        parser.register("type", kind, _reader(kind))
    return parser


def teach(parser: argparse.ArgumentParser, text: str) -> None:
    """Let the help begin with more than the summary."""
    parser.description = f"{parser.description} {' '.join(text.split())}"


def add_signature(
    parser: argparse.ArgumentParser,
    function: Callable[..., Any],
    title: str,
    skip: Sequence[str] = (),
    nested: str | None = None,
) -> None:
    """Every keyword of `function`, or of a class's constructor, as a flag in a group with a title.

    `nested` puts a name and a dot before each. A parameter whose type is no JSON value takes what a recipe says for it.
    """
    group, help_of = parser.add_argument_group(title), described_arguments(function)
    for name, parameter in _parameters(function, skip).items():
        default = None if parameter.default is parameter.empty else parameter.default
        hint = parameter.annotation if _is_json(parameter.annotation) else Any
        group.add_argument(
            _as_typed(f"--{_key(name, nested)}"),
            type=_reader(hint),
            default=default,
            metavar=metavar_of(name, hint),
            help=help_of.get(name) or (None if default is None or default is False else "default: %(default)s"),
        )


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """The parsed command line, with defaults; `UsageError` in one line where it is wrong."""
    return _parsed(parser, arguments, argparse.Namespace())


def keywords(
    parser: argparse.ArgumentParser,
    arguments: Sequence[str],
    function: Callable[..., Any],
    skip: Sequence[str] = (),
    nested: str | None = None,
) -> dict[str, Any]:
    """The keywords of `function` whose flags stand on the command line, with their values."""
    missing = object()
    keys = {name: _key(name, nested) for name in _parameters(function, skip)}
    given = vars(_parsed(parser, arguments, argparse.Namespace(**dict.fromkeys(keys.values(), missing))))
    return {name: given[key] for name, key in keys.items() if given[key] is not missing}


def split_dotted(arguments: Sequence[str], names: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """The command line without its `--NAME.KEY VALUE` of the given names, and these as mappings.

    `--optimizer.generator.lr 1e-4` is {"optimizer": {"generator": {"lr": 1e-4}}}. Values are read as YAML.
    """
    rest: list[str] = []
    found = []
    read = _reader(Any)
    words = iter(arguments)
    for word in words:
        flag, equals, value = word.partition("=")
        path = flag.removeprefix("--").replace("-", "_").split(".")
        if not flag.startswith("--") or path[0] not in names or len(path) == 1:
            rest.append(word)
            continue
        given = value if equals else next(words, "--")
        if not all(path) or (given.startswith("--") and not equals):
            raise UsageError(f"{flag} needs {'a value' if all(path) else 'a name between its dots'}")
        found.append((path, read(given)))
    options: dict[str, Any] = {}
    for path, value in sorted(found, key=lambda item: len(item[0])):  # `--optimizer.generator adam` before its settings
        nested = value
        for key in reversed(path):
            nested = {key: nested}
        options = merged(options, nested)
    return rest, options


def merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, as recipes spell them, with nested changes; a name that gets settings, `adam`, is {name: adam, ...}."""
    result = dict(settings)
    for key, change in changes.items():
        before = result.get(key)
        if not isinstance(change, Mapping):
            result[key] = change
        elif before is None or isinstance(before, str | Mapping):
            before = {} if before is None else {"name": before} if isinstance(before, str) else before
            result[key] = merged(before, change)
        else:
            from ancestral.interface import InputError  # with torch, which the list of models does without

            raise InputError(f"{key} is {before!r} altogether, so there is no {next(iter(change))} of it to set")
    return result


# -- Command lines ----------------------------------------------------------------------------------------------------


def _parsed(parser: argparse.ArgumentParser, arguments: Sequence[str], start: argparse.Namespace) -> argparse.Namespace:
    if empty := [word for word in arguments if word.startswith("-") and word.endswith("=--")]:
        parser.error(f"{empty[0].removesuffix('=--')} needs a value")  # argparse would make a list of nothing of it
    # Intermixed: DATA may come after a flag, too.
    found, unknown = parser.parse_known_intermixed_args([_as_typed(word) for word in arguments], start)
    if unknown:
        flag = unknown[0].split("=")[0]
        known = re.findall(r"(?<!\S)--[\w.-]+", parser.format_help())
        parser.error(f"unknown argument {flag}{did_you_mean(flag, known)}")
    return found


def _as_typed(word: str) -> str:
    """A flag as it is written: --batch-size on the command line, batch_size in Python; --model.latent_dim in both."""
    if not word.startswith("--"):
        return word
    flag, equals, value = word.partition("=")
    head, dot, tail = flag.partition(".")
    return f"{head.replace('_', '-')}{dot}{tail.replace('-', '_')}{equals}{value}"


# -- Signatures -------------------------------------------------------------------------------------------------------


def _key(name: str, nested: str | None) -> str:
    return name if nested is None else f"{nested}.{name}"


def _parameters(function: Callable[..., Any], skip: Sequence[str]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function, eval_str=True).parameters
    return {name: parameter for name, parameter in parameters.items() if name not in skip}


def described_arguments(function: Callable[..., Any]) -> dict[str, str]:
    """What the section `Args:` of a docstring says of each argument."""
    text = inspect.getdoc(function) or ""
    if isinstance(function, type):
        text += "\n" + (inspect.getdoc(function.__init__) or "")  # type: ignore[misc]
    sections = re.findall(r"^Args:\n((?:    .*\n?|\n)*)", text, re.MULTILINE)
    entries = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", "".join(sections), re.MULTILINE)
    return {name: " ".join(text.split()).replace("%", "%%") for name, text in entries}


# -- Types ------------------------------------------------------------------------------------------------------------


def metavar_of(name: str, hint: Any) -> str:
    """What stands for a value in the help."""
    if get_origin(hint) is Literal:
        return f"{{{','.join(map(str, get_args(hint)))}}}"
    return {bool: "{true,false}", Sequence: "[ITEM,...]"}.get(get_origin(hint) or hint, name.upper())


def whole_number(text: str, least: int = 1) -> int:
    """The type of a flag: a whole number of at least `least`, also as 1e6."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number.is_integer() or number < least:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")
    return int(text) if text.strip("+").isdecimal() else int(number)


def _reader(hint: Any) -> Callable[[str], Any]:
    """The function that makes a value of a type of a text, by jsonargparse."""

    def read(given: str) -> Any:
        from jsonargparse import ArgumentParser

        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument("--value", type=hint)
        try:
            return parser.parse_args([f"--value={given}"]).value
        except argparse.ArgumentError as error:
            raise argparse.ArgumentTypeError(f"expected {_in_words(hint)}, got {given!r}") from error

    return read


def _is_json(hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return True
    parts = [part for part in get_args(hint) if part is not Ellipsis]
    return all(map(_is_json, parts)) if parts else hint in (*_WORDS, NoneType, list, dict, Sequence, Mapping)


def _in_words(hint: Any) -> str:
    parts = [part for part in get_args(hint) if part not in (NoneType, Ellipsis)]
    origin = get_origin(hint) or hint
    if origin is Literal:
        return f"one of {', '.join(map(str, parts))}"
    if hint in _WORDS:
        return _WORDS[hint] if hint is bool else f"a {_WORDS[hint]}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a mapping"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        items = f" of {_WORDS[parts[0]]}s" if parts and parts[0] in _WORDS else ""
        return f"a list{items}"
    return " or ".join(dict.fromkeys(map(_in_words, parts))) or str(hint)
