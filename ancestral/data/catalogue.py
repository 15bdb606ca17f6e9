"""The built-in data sets by name."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin

from ancestral.data.dataset import Data
from ancestral.data.files import SourceFile, Store
from ancestral.interface import InputError
from ancestral.suggestions import did_you_mean

_KINDS = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    Sequence: "a list",
    Mapping: "a mapping such as {name: value}",
}

Loader = TypeVar("Loader", bound=Callable[..., Data])

# What every loader is given; its other parameters are the options of `load_data`.
_GIVEN = ("store", "path", "seed", "support")
#: Options that one source sets for another, and no person.
BY_OTHER_DATA = ("schema", "carry", "mark", "classes")


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
    def description(self) -> str:
        return inspect.getdoc(self.load) or ""

    @property
    def summary(self) -> str:
        return self.description.split("\n")[0]

    def info(self, store: Store) -> DataInfo:
        return DataInfo(self.name, self.event_description, self.summary, *store.whereabouts(self.files))


BUILTINS: dict[str, Builtin] = {}


def builtin(name: str, event: str, files: Sequence[SourceFile] = ()) -> Callable[[Loader], Loader]:
    """Function decorator: publish a loader under `name`; the first line of its docstring is its summary."""

    def decorate(load: Loader) -> Loader:
        BUILTINS[name] = Builtin(name, event, load, files)
        return load

    return decorate


def options_of(load: Callable[..., Data]) -> list[str]:
    """What a loader can be told beyond what every loader is given."""
    return [name for name in inspect.signature(load).parameters if name not in _GIVEN]


def call(load: Callable[..., Data], what: str, options: Mapping[str, Any], **given: Any) -> Data:
    """`load` with `options`, refused by name where it has no such option."""
    known = [name for name in options_of(load) if name not in given]
    for option in options:
        if option not in known:
            shown = [name for name in known if name not in BY_OTHER_DATA]
            has = f"its options are {', '.join(shown)}" if shown else "it has none"
            raise InputError(f"{what} has no option {option!r}{did_you_mean(option, shown)}; {has}")
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
    parts = get_args(annotation) if isinstance(annotation, UnionType) else [annotation]
    kinds = [get_origin(kind) or kind for kind in parts]
    if isinstance(value, bool):
        return bool in kinds
    return any(isinstance(value, (int, float) if kind is float else kind) for kind in kinds)


def _words(annotation: Any) -> str:
    parts = get_args(annotation) if isinstance(annotation, UnionType) else [annotation]
    kinds = [get_origin(kind) or kind for kind in parts if kind is not NoneType]
    return " or ".join(_KINDS.get(kind, kind.__name__) for kind in kinds)
