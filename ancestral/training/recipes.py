"""The training settings of a recipe as the keyword arguments of `fit`."""

import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

from ancestral.interface import SGD, Adam, InputError, OptimizerSpec, RMSProp
from ancestral.registry import did_you_mean
from ancestral.training.fit import fit
from ancestral.training.schedules import Constant, Cosine, Schedule, Step

_OPTIMIZERS: dict[str, type[OptimizerSpec]] = {"adam": Adam, "rmsprop": RMSProp, "sgd": SGD}
_SCHEDULES: dict[str, type[Schedule]] = {"constant": Constant, "cosine": Cosine, "step": Step}
T = TypeVar("T")


def training_arguments(training: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of `fit` for the `training` part of a recipe."""
    known = [p.name for p in inspect.signature(fit).parameters.values() if p.kind is p.KEYWORD_ONLY]
    _check_keys(training, known, "the recipe's training settings")
    arguments = dict(training)
    if training.get("optimizer") is not None:
        arguments["optimizer"] = _build(training["optimizer"], _OPTIMIZERS, "optimizer")
    if training.get("schedule") is not None:
        arguments["schedule"] = _build(training["schedule"], _SCHEDULES, "schedule")
    return arguments


def _build(given: Any, kinds: Mapping[str, type[T]], what: str) -> T:
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise InputError(f"{what} must be a mapping with a name, such as {{name: {next(iter(kinds))}}}, got {given!r}")
    name = given["name"]
    if name not in kinds:
        raise InputError(f"there is no {what} {name!r}{did_you_mean(name, kinds)}; there are {', '.join(kinds)}")
    arguments = {key: tuple(v) if isinstance(v, list) else v for key, v in given.items() if key != "name"}
    _check_keys(arguments, list(inspect.signature(kinds[name]).parameters), f"the {what} {name!r}")
    return kinds[name](**arguments)


def _check_keys(given: Mapping[Any, Any], known: list[str], what: str) -> None:
    for key in given:
        if key not in known:
            raise InputError(f"{what} has no setting {key!r}{did_you_mean(str(key), known)}; it has {', '.join(known)}")
