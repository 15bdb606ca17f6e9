"""The settings of a fit as recipes, models and the command line spell them: optimizers and schedules by name."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ancestral.interface import SGD, Adam, InputError, OptimizerSpec, RMSProp, SparseSGD
from ancestral.suggestions import did_you_mean
from ancestral.training.fit import fit
from ancestral.training.schedules import Constant, Cosine, Linear, Schedule, Step

_OPTIMIZERS: dict[str, type[OptimizerSpec]] = {"adam": Adam, "rmsprop": RMSProp, "sgd": SGD, "sparse_sgd": SparseSGD}
_SCHEDULES: dict[str, type[Schedule]] = {"constant": Constant, "cosine": Cosine, "linear": Linear, "step": Step}
T = TypeVar("T")


def training_arguments(training: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of `fit` for settings of JSON values.

    An optimizer is spelled `adam`, or `{name: adam, lr: 1e-3}`, or by phase, `{generator: {name: adam, lr: 1e-4}}`;
    a schedule likewise `cosine`, or `{name: cosine, warmup_steps: 500}`. Raises `InputError` for what is unknown.
    """
    known = [p.name for p in inspect.signature(fit).parameters.values() if p.kind is p.KEYWORD_ONLY]
    check_keys(training, known, "the training settings")
    arguments = dict(training)
    if training.get("optimizer") is not None:
        arguments["optimizer"] = _optimizer(training["optimizer"])
    if training.get("schedule") is not None:
        arguments["schedule"] = _build(training["schedule"], _SCHEDULES, "schedule")
    return arguments


def check_keys(given: Iterable[Any], known: Iterable[str], what: str) -> None:
    """Raise `InputError` if one of the `given` keys is not `known`."""
    known = list(known)
    for key in given:
        if key not in known:
            there = f"it has {', '.join(known)}" if known else "it has no settings at all"
            raise InputError(f"{what} has no setting {key!r}{did_you_mean(str(key), known)}; {there}")


def _optimizer(given: Any) -> OptimizerSpec | dict[str, OptimizerSpec]:
    by_phase = isinstance(given, Mapping) and "name" not in given
    if by_phase and given and all(isinstance(value, str | Mapping) for value in given.values()):
        return {str(phase): _build(spec, _OPTIMIZERS, f"optimizer of {phase}") for phase, spec in given.items()}
    return _build(given, _OPTIMIZERS, "optimizer")


def _build(given: Any, kinds: Mapping[str, type[T]], what: str) -> T:
    """The one of `kinds` that is given by its name, or by a mapping of its name and its settings."""
    settings = {"name": given} if isinstance(given, str) else given
    if not isinstance(settings, Mapping) or not isinstance(settings.get("name"), str):
        example = next(iter(kinds))
        raise InputError(f"the {what} needs a name, such as {example} or {{name: {example}, ...}}, got {given!r}")
    name = settings["name"].lower()
    if name not in kinds:
        raise InputError(f"there is no {what} {name!r}{did_you_mean(name, kinds)}; there are {', '.join(kinds)}")
    types = get_type_hints(kinds[name])
    arguments = {key: value for key, value in settings.items() if key != "name"}
    parameters = inspect.signature(kinds[name]).parameters
    check_keys(arguments, parameters, f"the {what} {name!r}")
    if missing := [key for key, p in parameters.items() if p.default is p.empty and key not in arguments]:
        raise InputError(f"the {what} {name!r} needs {missing[0]}, as in {{name: {name}, {missing[0]}: ...}}")
    return kinds[name](**{key: _read(value, types[key], f"{key} of the {what}") for key, value in arguments.items()})


def _read(value: Any, kind: Any, what: str) -> Any:
    """A setting of the type that its class declares: a number, a whole number, or a tuple of such."""
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        if not isinstance(value, list | tuple) or len(value) != len(kinds):
            raise InputError(f"{what} must be a list of {len(kinds)} values, got {value!r}")
        return tuple(_read(item, item_kind, what) for item, item_kind in zip(value, kinds, strict=True))
    wanted = (int, float) if kind is float else kind
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise InputError(f"{what} must be a {'whole ' if kind is int else ''}number, got {value!r}")
    return kind(value)
