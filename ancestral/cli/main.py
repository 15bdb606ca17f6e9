"""`ancestral`: finds the subcommand, and turns every expected failure into one readable line and an exit code."""

import argparse
import importlib
import importlib.metadata
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Command:
    """A subcommand: what it does in a line, and an example. It lives in the module of its name."""

    summary: str
    example: str


COMMANDS = {
    "models": Command("list the models, their families and abilities", "ancestral models"),
    "data": Command("list the built-in data sets and where they are found", "ancestral data"),
    "fit": Command("train a model and save it", "ancestral fit vae digits --epochs 20 --model.latent_dim 8"),
    "evaluate": Command("the likelihood of a trained model on held-out data", "ancestral evaluate runs/digits-vae"),
    "sample": Command("draw observations", "ancestral sample runs/digits-vae -n 64 -o samples.png"),
    "score": Command("the log-likelihood of every row", "ancestral score runs/rows-made rows.csv -o scores.csv"),
    "encode": Command("the latent code of every row", "ancestral encode runs/digits-vae digits -o codes.npz"),
    "reconstruct": Command("originals above their reconstructions", "ancestral reconstruct runs/digits-vae"),
    "interpolate": Command("walk between observations in latent space", "ancestral interpolate runs/digits-vae"),
    "traverse": Command("move latent dimensions one at a time", "ancestral traverse runs/digits-vae"),
    "manifold": Command("a plane of the latent space, decoded", "ancestral manifold runs/digits-vae --axes 0,3"),
    "analogies": Command("rows again as every class, each in its own style", "ancestral analogies runs/digits-cvae"),
    "words": Command("nearest words, analogies, vectors", "ancestral words runs/book-skip-gram --nearest king"),
    "complete": Command(
        "fill in what is missing of rows, or hidden of images",
        "ancestral complete runs/rows-made rows.csv -o full.csv\n"
        "  ancestral complete runs/digits-gated-pixelcnn digits --keep top-half -n 8 -o completed.png",
    ),
    "translate": Command(
        "images of one domain as images of the other",
        "ancestral translate runs/photos-cyclegan holiday/*.jpg --to monet -o painted/",
    ),
    "probe": Command(
        "what a representation is worth with few labels", "ancestral probe runs/digits-vae --labels 50,500"
    ),
    "compare": Command("train one model of each family on the same data: one table", "ancestral compare digits"),
    "check": Command("test the mathematics of a model or of a saved run", "ancestral check vae"),
    "reproduce": Command("reproduce a stated result and write it to the ledger", "ancestral reproduce realnvp-digits"),
}  # fmt: skip

#: Commands that take a run and then data.
_OF_A_RUN = (
    "evaluate",
    "score",
    "encode",
    "reconstruct",
    "interpolate",
    "traverse",
    "manifold",
    "analogies",
    "complete",
    "translate",
    "probe",
)
FAILURE, USAGE, INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    # What torch's C++ parts tell of its own use, to which no user has an answer.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"ancestral {importlib.metadata.version('ancestral')}")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        from ancestral.suggestions import did_you_mean

        return _complain(f"there is no command {name!r}{did_you_mean(name, COMMANDS)}; see `ancestral --help`", USAGE)
    if debug:
        return _run(name, rest)
    return _guarded(lambda: _run(name, rest))


def _run(name: str, arguments: Sequence[str]) -> int:
    from ancestral.cli.parsing import UsageError, make_parser

    if _swapped(name, arguments):
        first, second, *rest = arguments
        raise UsageError(f"did you mean `{shlex.join(['ancestral', name, second, first, *rest])}`?")
    module = importlib.import_module(f"ancestral.cli.{name}")
    try:
        return int(module.run(arguments, make_parser(name, COMMANDS[name].summary, COMMANDS[name].example)) or 0)
    except SystemExit as leave:  # --help
        return leave.code if isinstance(leave.code, int) else 0


def _swapped(name: str, arguments: Sequence[str]) -> bool:
    """Whether the two arguments that a command begins with are each where the other belongs."""
    if len(arguments) < 2 or any(word.startswith("-") for word in arguments[:2]):
        return False
    if name == "fit":
        from ancestral.discovery import library_models

        is_first = [word.replace("-", "_") in library_models() for word in arguments[:2]]
    else:
        is_first = [Path(word, "config.json").is_file() for word in arguments[:2]]
    return name in ("fit", *_OF_A_RUN) and is_first == [False, True]


def _guarded(work: Callable[[], int]) -> int:
    """The exit code of `work`; an expected failure, and a warning, is said in one line."""
    show, warnings.showwarning = warnings.showwarning, _warn
    try:
        return work()
    except argparse.ArgumentError as error:
        return _complain(str(error), USAGE)
    except BrokenPipeError:  # the reader, such as `head`, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        return _complain(f"{where}{error.strerror or error}", FAILURE)
    except MemoryError:
        return _complain("out of memory; a smaller --batch-size or a smaller model needs less", FAILURE)
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except _expected() as error:
        return _complain(str(error), USAGE if type(error).__name__ == "UsageError" else FAILURE)
    finally:
        warnings.showwarning = show


def _expected() -> tuple[type[BaseException], ...]:
    """Our own errors, of the modules that are loaded: no other can have been raised, and some are slow to import."""
    homes = {
        "ancestral.cli.parsing": "UsageError",
        "ancestral.interface": "InputError",
        "ancestral.training.report": "TrainingDiverged",
        "ancestral.checks.report": "CheckFailure",
    }
    return tuple(getattr(sys.modules[home], name) for home, name in homes.items() if home in sys.modules)


def _warn(message: Warning | str, category: type[Warning], filename: str, *where: object, **more: object) -> None:
    """Our warnings in a line each; those of the libraries below are for programmers."""
    foreign = {"torch", "lightning_fabric"} & set(Path(filename).parts)
    if foreign or "Triggered internally at" in str(message):  # so torch's C++ parts warn, in the name of their caller
        return
    print(f"ancestral: warning: {_in_a_line(str(message))}", file=sys.stderr)


def _complain(message: str, code: int) -> int:
    print(f"ancestral: error: {_in_a_line(message)}", file=sys.stderr)
    return code


def _in_a_line(message: str) -> str:
    from ancestral.cli.wording import in_flags

    return " ".join(in_flags(message).split())


def _help() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items())
    return f"""usage: ancestral COMMAND ...

Deep generative models of every family under one interface, with one honest ruler for likelihood.

commands:
{commands}

options:
  -h, --help     this text; `ancestral COMMAND --help` for a command's own
  -V, --version  the version
  --debug        show the traceback of an error

example: train one model of each family on handwritten digits, and compare them (3 minutes)
  ancestral compare"""


if __name__ == "__main__":
    sys.exit(main())
