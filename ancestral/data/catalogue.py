"""The built-in data sets by name."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_origin

from ancestral.data.dataset import Data
from ancestral.data.files import SourceFile, Store
from ancestral.interface import InputError
from ancestral.registry import did_you_mean

Loader = TypeVar("Loader", bound=Callable[..., Data])

# What every loader is given; its other parameters are the options of `load_data`.
_GIVEN = ("store", "seed")


@dataclass(frozen=True)
class DataInfo:
    """A built-in data set: what its event is, whether it can be had without a download, and where from."""

    name: str
    event_description: str
    summary: str
    available: bool
    source: str


@dataclass(frozen=True)
class Builtin:
    """A built-in data set: `load(store=, seed=, **options)`, and the files it reads."""

    name: str
    event_description: str
    load: Callable[..., Data]
    files: Sequence[SourceFile]

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.load) or "").split("\n")[0]

    def info(self, store: Store) -> DataInfo:
        return DataInfo(self.name, self.event_description, self.summary, *store.whereabouts(self.files))


BUILTINS: dict[str, Builtin] = {}


def builtin(name: str, event: str, files: Sequence[SourceFile] = ()) -> Callable[[Loader], Loader]:
    """Function decorator: publish a loader under `name`; the first line of its docstring is its summary."""

    def decorate(load: Loader) -> Loader:
        BUILTINS[name] = Builtin(name, event, load, files)
        return load

    return decorate


def call(load: Callable[..., Data], what: str, options: Mapping[str, Any], **given: Any) -> Data:
    """`load` with `options`, refused by name where it has no such option."""
    parameters = inspect.signature(load).parameters
    known = [name for name in parameters if name not in (*_GIVEN, *given)]
    for option in options:
        if option not in known:
            has = f"its options are {', '.join(known)}" if known else "it has none"
            raise InputError(f"{what} has no option {option!r}{did_you_mean(option, known)}; {has}")
    check_types(load, what, options)
    return load(**given, **options)


def check_types(function: Callable[..., Any], what: str, values: Mapping[str, Any]) -> None:
    """Raise `InputError` for the first value that is not of the type that the function's parameter declares."""
    parameters = inspect.signature(function).parameters
    for name, value in values.items():
        annotation = parameters[name].annotation
        if not _accepts(annotation, value):
            raise InputError(f"{what}: {name} must be {_words(annotation)}, got {value!r}")


def _accepts(annotation: Any, value: object) -> bool:
    """Whether `value` is of an annotated type; a whole number passes for a float, but a truth value for no number."""
    kinds = [get_origin(kind) or kind for kind in get_args(annotation) or [annotation]]
    if isinstance(value, bool):
        return bool in kinds
    return any(isinstance(value, (int, float) if kind is float else kind) for kind in kinds)


def _words(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("collections.abc.", "")
