"""The registered models: find them by name, list them, build them for an event."""

import functools
import importlib
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

import torch
from torch import Tensor

from ancestral.dequantization import dequantize, is_dequantized
from ancestral.discovery import library_models
from ancestral.interface import (
    Columns,
    Described,
    Event,
    ExactDensity,
    InputError,
    Model,
    QuickSettings,
    Real,
    abilities,
)
from ancestral.suggestions import did_you_mean

M = TypeVar("M", bound=type[Model])

_MODELS: dict[str, type[Model]] = {}


@dataclass(frozen=True)
class ModelInfo:
    """A registered model: its name, its family (the folder of its file), abilities and one-line summary."""

    name: str
    family: str
    abilities: tuple[str, ...]
    summary: str
    cls: type[Model]


def register(name: str) -> Callable[[M], M]:
    """Class decorator: publish a model under `name`, and record the settings that each instance is made with.

    The constructor is `__init__(self, event, *, context_event=None, **settings)` with JSON values as settings.
    """

    def decorate(cls: M) -> M:
        if inspect.isabstract(cls):
            raise TypeError(f"{cls.__name__} cannot be registered: it is abstract")
        if "examples" not in vars(cls):
            raise TypeError(f"{cls.__name__} cannot be registered: it defines no examples()")
        if name in _MODELS and _MODELS[name].__qualname__ != cls.__qualname__:
            raise ValueError(f"the name {name!r} is taken by {_MODELS[name].__qualname__}")
        original = cls.__init__
        signature = inspect.signature(original)

        @functools.wraps(original)
        def recording(self: Model, *args: Any, **kwargs: Any) -> None:
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            original(self, *args, **kwargs)
            self.settings = {
                key: value for key, value in list(bound.arguments.items())[1:] if key not in ("event", "context_event")
            }

        setattr(cls, "__init__", recording)  # noqa: B010 - mypy forbids the plain assignment
        cls.registered_name = name
        _MODELS[name] = cls
        return cls

    return decorate


def list_models() -> list[ModelInfo]:
    """Every registered model, in the order of the families in `ancestral.models`."""
    return [_info(name, cls) for name, cls in _discovered().items()]


def find_model(name: str) -> type[Model]:
    """The class registered under `name` ('-' counts as '_')."""
    key = name.replace("-", "_")
    if key not in _MODELS and key in library_models():
        importlib.import_module(library_models()[key].module)
    if key not in _MODELS:
        near = did_you_mean(key, model_names())
        raise InputError(f"there is no model {name!r}{near}; `ancestral models` lists them all")
    return _MODELS[key]


def model_names() -> list[str]:
    """Every registered name; no model is imported for it."""
    return list({**library_models(), **_MODELS})


def supports(name: str, event: Event, context_event: Event | None = None) -> str | None:
    """None if `build(name, event, context_event=context_event)` works, otherwise the reason why not."""
    cls = find_model(name)
    reason = cls.supports(event, context_event)
    if reason is None or _real_valued(cls, event, context_event):
        return None
    if isinstance(event.support, Columns) and not is_dequantized(event.support):
        return (
            f"{reason}, and columns of categories have no order by which to dequantize them: drop them or recode them"
        )
    return reason


def build(name: str, data: Event | Described, **settings: Any) -> Model:
    """A new model for an event, or for a data set (`load_data`), in evaluation mode.

    `settings` are the constructor's arguments. From a data set come its `event` and, unless they are given, what else
    the constructor asks for and the data have: `context_event`, `classes` (how many), `labelled_share`, `domains` and
    `frequencies`.
    On `Real` data the model is then standardised, so that no result hangs on their units: see `Model.standardize`.

    A model that lives on `Real` data is returned dequantized for `Levels` data.
    """
    cls = find_model(name)
    known = [p.name for p in list(inspect.signature(cls.__init__).parameters.values())[2:]]
    for key in settings:
        if key not in known:
            raise InputError(f"{name} has no setting {key!r}{did_you_mean(key, known)}; it has {', '.join(known)}")
    if isinstance(data, Event):
        return _built(cls, data, settings)
    if not isinstance(data, Described):
        raise InputError(f"{name} is built for an Event or for data, as load_data gives; got {type(data).__name__}")
    model = _built(cls, data.event, _described(data, known) | settings)
    if data.event.densities:
        model.standardize(*_shift_and_scale(data))
    return model


def quick_settings(name: str, event: Event) -> QuickSettings:
    """What `compare`, and a fit without flags, use for the model on `event`; a dequantized one's are asked for it."""
    return find_model(name).quick_settings(event)


def representatives(event: Event, context_event: Event | None = None, *, missing: bool = False) -> list[str]:
    """One model of each family that can be built for the event: the first fitting one that the family's package lists
    as its `REPRESENTATIVES`, in the order of the families; with `missing`, of those that accept missing values."""
    chosen: list[str] = []
    for _, family in _families():
        able = (name for name in family.REPRESENTATIVES if find_model(name).accepts_missing or not missing)
        fitting = (name for name in able if supports(name, event, context_event) is None)
        chosen += itertools.islice(fitting, 1)
    return chosen


def _built(cls: type[Model], event: Event, settings: Mapping[str, Any]) -> Model:
    context_event = settings.get("context_event")
    real = _real_valued(cls, event, context_event) if cls.supports(event, context_event) else None
    if real is None:
        return cls(event, **settings).eval()
    inner = cls(real, **settings)
    assert isinstance(inner, ExactDensity)
    return dequantize(inner, event).eval()


def _described(data: Described, known: Iterable[str]) -> dict[str, Any]:
    """The settings that a data set answers, of those that a constructor has."""
    found: dict[str, Any] = {}
    if data.context_event is not None:
        found["context_event"] = data.context_event
    if data.classes is not None and "classes" in known:
        found["classes"] = len(data.classes)
    if data.labelled_share and "labelled_share" in known:
        found["labelled_share"] = data.labelled_share
    if data.domains is not None and "domains" in known:
        found["domains"] = list(data.domains)
    if "frequencies" in known and (frequencies := data.frequencies) is not None:
        found["frequencies"] = frequencies
    return found


def _shift_and_scale(data: Described) -> tuple[Tensor, Tensor]:
    """The standardisation of a vector's dimensions each by itself, and of the channels of anything with more axes."""
    mean, deviation = data.moments()
    if len(data.event.shape) > 1:
        axes = tuple(range(1, mean.dim()))
        whole = mean.mean(axes, keepdim=True)
        # The variance of a channel is the mean variance of its dimensions and the variance of their means.
        variance = (deviation.square() + (mean - whole).square()).mean(axes, keepdim=True)
        mean, deviation = whole.expand_as(mean), variance.sqrt().expand_as(deviation)
    # What does not vary is centred alone.
    constant = deviation == 0
    discrete = torch.tensor([support.values is not None for support in data.event.supports]).view(data.event.shape)
    return mean.masked_fill(discrete, 0.0), deviation.masked_fill(constant | discrete, 1.0)


def _real_valued(cls: type[Model], event: Event, context_event: Event | None) -> Event | None:
    """The event on which `cls` would model `event` after dequantization, if it can."""
    real = Event(event.shape, Real())
    if not is_dequantized(event.support) or not issubclass(cls, ExactDensity):
        return None
    return real if cls.supports(real, context_event) is None else None


def _info(name: str, cls: type[Model]) -> ModelInfo:
    package, _, rest = cls.__module__.partition(".models.")
    family = rest.split(".")[0] if package == "ancestral" and rest else "user"
    summary = (inspect.getdoc(cls) or "").split("\n")[0]
    return ModelInfo(name, family, abilities(cls), summary, cls)


def _discovered() -> dict[str, type[Model]]:
    _discover()
    return _MODELS


@functools.cache
def _discover() -> None:
    for listed in library_models().values():
        importlib.import_module(listed.module)


def _families() -> Iterator[tuple[str, ModuleType]]:
    """The packages of `ancestral.models` by name, in the order in which `ancestral.models` lists them."""
    package = importlib.import_module("ancestral.models")
    for name in package.FAMILIES:
        yield name, importlib.import_module(f"ancestral.models.{name}")
