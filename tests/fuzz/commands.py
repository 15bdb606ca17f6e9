"""Command lines with a wrong value of each flag of each command, and with odd files where runs and data are named."""

import argparse
import contextlib
import importlib
import io
import random
from collections.abc import Iterator
from pathlib import Path

from ancestral.cli.main import COMMANDS
from ancestral.cli.parsing import make_parser

from .case import Case
from .good import RUNS

_VALUES = (
    "", " ", "-1", "0", "1", "2", "-0.5", "0.5", "nan", "inf", "-inf", "1e400", "1e-400", "9" * 20, "abc", "[", "]",
    "[1", "{", "{a: 1}", "null", "~", "true", "[]", "[0]", "[-1]", "[1, x]", "é☃", "a\nb", "..", "/", "/dev/null",
    "/proc/x.csv", "odd/empty.csv", "odd/folder.csv", "odd/folder.png", "rows.csv", "vae", "x" * 5000, "--", "-",
    "%s", "$HOME", "*",
    "!!python/object/apply:os.system [touch sprung]", "labels", "grey:0", "levels:0", "levels:99999999999",
    "binary", "real",
)  # fmt: skip
#: A command line of each command that works, in a second or two. What bounds the work stands last, so that it holds.
_WORKING = {
    "models": (),
    "data": (),
    "fit": (*RUNS["vae"], "--run-dir", "new", "--progress", "false"),
    "evaluate": ("vae",),
    "sample": ("made", "-n", "3", "-o", "x.csv"),
    "score": ("realnvp",),
    "encode": ("vae",),
    "reconstruct": ("vae", "-n", "2"),
    "interpolate": ("vae", "-n", "2", "--steps", "2"),
    "traverse": ("vae", "-n", "2", "--steps", "2"),
    "manifold": ("vae", "--axes", "0,1", "--side", "2"),
    "analogies": ("labels", "-n", "2"),
    "complete": ("ppca", "holes.csv", "-o", "x.csv"),
    "compare": ("rows.csv", "--models", "ppca", "--minutes", "0.01"),
    "check": ("mixture",),
    "reproduce": ("--list",),
}
_BOUND = {"fit": ("--steps", "1"), "compare": ("--minutes", "0.01")}
#: Commands that take seconds each: fewer of them.
_SLOW = ("compare", "check")
_READERS = (
    "evaluate",
    "score",
    "encode",
    "reconstruct",
    "interpolate",
    "traverse",
    "manifold",
    "analogies",
    "complete",
)


def command_cases(draw: random.Random, good: Path, count: int) -> Iterator[Case]:
    """`count` command lines: two in three with a wrong value of a flag, the others with odd files."""
    flags = [(name, flag) for name in COMMANDS for flag in _flags(name) if name not in _SLOW or draw.random() < 0.2]
    odd = sorted(path.relative_to(good) for path in (good / "odd").iterdir())
    for i in range(count):
        if i % 3 < 2:
            name, flag = flags[i % len(flags)] if i < len(flags) else draw.choice(flags)
            value = draw.choice(_VALUES)
            bound = () if flag in _BOUND.get(name, ()) and value not in ("2", "1") else _BOUND.get(name, ())
            words = (name, *_WORKING[name], *draw.choice([(flag, value), (f"{flag}={value}",), (flag,)]), *bound)
            yield Case("flag", " ".join(words)[:200], words)
        else:
            yield _with_odd_file(draw, str(draw.choice(odd)))


def _with_odd_file(draw: random.Random, odd: str) -> Case:
    reader = draw.choice(_READERS)
    words = draw.choice(
        [
            ("fit", "ppca", odd, "--run-dir", "new", "--model.latent_dim", "1", "--steps", "1"),
            ("fit", "made", odd, "--run-dir", "new", "--steps", "1", "--progress", "false"),
            ("score", "realnvp", odd),
            ("score", "made", odd, "-o", "x.npz"),
            (reader, "vae", odd),
            (reader, odd),
            ("sample", "vae", "-o", odd),
            ("compare", odd, "--models", "ppca", "--minutes", "0.01"),
            ("fit", "vae", "rows.csv", "--recipe", odd),
            ("fit", "vae", "rows.csv", "--run-dir", odd, "--steps", "1"),
            ("reproduce", odd),
            ("fit", "vae", "rows.csv", "--data-root", odd, "--steps", "1"),
        ]
    )
    return Case("odd file", " ".join(words), words)


def _flags(name: str) -> list[str]:
    """All flags of a command, from its own parser."""
    parser = make_parser(name, COMMANDS[name].summary, COMMANDS[name].example)
    words = ["vae", "levels.npy", "--help"] if name == "fit" else ["--help"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        importlib.import_module(f"ancestral.cli.{name}").run(words, parser)
    actions: list[argparse.Action] = parser._actions
    return [option for action in actions for option in action.option_strings if option not in ("-h", "--help")]
