"""The registered models: find them by name, list them, build them for an event."""

import difflib
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from ancestral.dequantization import dequantize
from ancestral.interface import Event, ExactDensity, InputError, Levels, Model, Real, abilities

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
    models = _discovered()
    key = name.replace("-", "_")
    if key not in models:
        raise InputError(f"there is no model {name!r}{did_you_mean(key, models)}; `ancestral models` lists them all")
    return models[key]


def supports(name: str, event: Event) -> str | None:
    """None if `build(name, event)` works, otherwise the reason why not."""
    cls = find_model(name)
    reason = cls.supports(event)
    return None if reason and _real_valued(cls, event) else reason


def build(name: str, event: Event, **settings: Any) -> Model:
    """A new model for `event`, in evaluation mode.

    A model that lives on `Real` data is returned dequantized for `Levels` data. `settings` are the constructor's
    arguments, `context_event` among them.
    """
    cls = find_model(name)
    known = [p.name for p in list(inspect.signature(cls.__init__).parameters.values())[2:]]
    for key in settings:
        if key not in known:
            raise InputError(f"{name} has no setting {key!r}{did_you_mean(key, known)}; it has {', '.join(known)}")
    real = _real_valued(cls, event) if cls.supports(event) else None
    if real is None:
        return cls(event, **settings).eval()
    inner = cls(real, **settings)
    assert isinstance(inner, ExactDensity)
    return dequantize(inner, event).eval()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """' (did you mean ...?)' with the nearest of the known words, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _real_valued(cls: type[Model], event: Event) -> Event | None:
    """The event on which `cls` would model `event` after dequantization, if it can."""
    real = Event(event.shape, Real())
    if isinstance(event.support, Levels) and issubclass(cls, ExactDensity) and cls.supports(real) is None:
        return real
    return None


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
    package = importlib.import_module("ancestral.models")
    for module in pkgutil.walk_packages(package.__path__, "ancestral.models."):
        importlib.import_module(module.name)
