"""The library's messages in the words of the command line: `--data.missing true` for `missing=True`."""

import inspect
import re
import sys
from collections.abc import Collection

#: Keywords of no one signature, that messages speak of.
_OTHERS = ("resume", "run_dir", "data_root", "support", "context", "overwrite", "temperature", "draws", "mode")
_KEYWORD = re.compile(r"(?<![\w'\"/.=-])([a-z_]+)=('[^']*'|\[[^]]*\]|[\w.:+-]*\w)?(?![\w(])")
# What a message speaks of: with underscores anywhere, otherwise where it says what that, or one of two, must be.
_NAME = re.compile(r"(?<![\w'\"/.=-])[a-z]+(?:_[a-z]+)+(?![\w(=./-])")
_SUBJECT = re.compile(r"(?:(?<=^)|(?<=: ))([a-z]+)(?= (?:(?:and|on) \S+ )?(?:must|needs) )")
_SECOND = re.compile(r"(?:(?<=^)|(?<=: ))(\w+ and )([a-z]+)(?= must )")
_SUPPORT = re.compile(r"\b(Levels|Categories)\((?:levels|categories)=(\d+)\)|\b(Binary|Real)\(\)")


def in_flags(message: str, settings: Collection[str] = ()) -> str:
    """A message with keywords as flags, and the names of types as flags spell them; `settings` are those of the model
    that it speaks of."""
    data, flags = _data_options(), {*_OTHERS, *_arguments_of_fit()}

    def spelling(name: str) -> str:
        if name in settings:
            return f"--model.{name}"
        if name in data:
            return f"--data.{name}"
        return f"--{name.replace('_', '-')}" if name in flags else name

    def flag(match: re.Match[str]) -> str:
        name, value = match[1], match[2] or ""
        if (spelled := spelling(name)) == name:
            return match[0]
        value = {"True": "true", "False": "false"}.get(value, value)
        return f"{spelled} {value or name.upper()}" if value != "true" or name not in flags else spelled

    def support(match: re.Match[str]) -> str:
        return f"{match[1].lower()}:{match[2]}" if match[1] else match[3].lower()

    message = _KEYWORD.sub(flag, _SUPPORT.sub(support, message))
    message = _SECOND.sub(lambda match: match[1] + spelling(match[2]), message)
    for names in (_SUBJECT, _NAME):
        message = names.sub(lambda match: spelling(match[0]), message)
    return message


def _data_options() -> set[str]:
    """The options of data; none where no data were read, so that help and models need not import them."""
    if "ancestral.data" not in sys.modules:
        return set()
    from ancestral.cli.sources import option_loaders, option_names

    return {name for load in option_loaders().values() for name in option_names(load)} - {"context"}


def _arguments_of_fit() -> set[str]:
    if "ancestral.training" not in sys.modules:
        return set()
    from ancestral.training import fit

    return set(inspect.signature(fit).parameters)
