"""Saved models: a folder with `config.json` (what to build) and `model.safetensors` (its weights).

Loading resolves registered names only and reads no pickle. The configuration holds a checksum of the weights and one of
itself, so that a folder of which a part was changed, lost or cut short is refused: an edited number of levels or a
seed would otherwise load, and give other numbers.
"""

import hashlib
import importlib.metadata
import json
import math
import os
import secrets
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from ancestral.dequantization import DequantizedDensity
from ancestral.interface import (
    Binary,
    Categories,
    Columns,
    Event,
    InputError,
    Levels,
    Model,
    Real,
    Support,
    parse_support,
)
from ancestral.registry import build

CONFIG, WEIGHTS = "config.json", "model.safetensors"
#: In the folder of a run: its training as it stands, by which it can go on.
CHECKPOINT = "checkpoint.pt"
#: 1 had no checksum of the configuration itself.
_FORMAT = 2
_VERSION = importlib.metadata.version("ancestral")


def save(
    model: Model,
    path: str | Path,
    *,
    recipe: Mapping[str, Any] | None = None,
    scores: Mapping[str, Any] | None = None,
    weights: str = "last",
) -> Path:
    """Write `model` into the folder `path`, replacing a model that is already there; returns the path.

    `recipe` and `scores` (JSON) say where the weights come from and what they reached; a score that is not finite is
    unknown: null, since JSON has no NaN. `weights` says which they are: "last", "best" on validation, or "ema". Raises
    `InputError` for a model made by hand from custom parts and where `path` is a file, `OSError` if the folder cannot
    be written; a failure leaves what was there before.
    """
    name = model.display_name
    if model.registered_name is None or model.settings is None:
        raise InputError(
            f"{name} is not a registered model, so it cannot be rebuilt from a file; decorate its class with "
            "@register, or save its state_dict yourself"
        )
    custom = model.inner if isinstance(model, DequantizedDensity) else model
    data = safetensors.torch.save({key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()})
    config = {
        "library": "ancestral",
        "format": _FORMAT,
        "version": _VERSION,
        "name": name,
        "event": event_to_json(model.event),
        "context_event": None if model.context_event is None else event_to_json(model.context_event),
        "settings": dict(custom.settings or {}),
        "weights": weights,
        "weights_sha256": hashlib.sha256(data).hexdigest(),
        "recipe": None if recipe is None else dict(recipe),
        "scores": None if scores is None else _known(scores),
    }
    try:
        config["config_sha256"] = _digest(config)
        text = json.dumps(config, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name} cannot be saved: its settings, recipe or scores are not JSON values ({error})"
        ) from error
    folder = Path(path)
    for above in (folder, *folder.parents):
        if above.exists() and not above.is_dir():
            raise InputError(f"a model is saved in a folder, but {str(above)!r} is a file; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically({folder / WEIGHTS: data, folder / CONFIG: text.encode()})
    # What it replaces has served.
    shutil.rmtree(put_aside(folder), ignore_errors=True)
    return folder


def put_aside(folder: str | Path) -> Path:
    """Where the run in `folder` waits, still to be loaded from there, until the one that replaces it is saved."""
    whole = Path(os.path.abspath(folder))
    return whole.with_name(f".{whole.name}.replaced") if whole.name else whole / ".replaced"


def saved_in(path: str | Path) -> Path:
    """The folder that the model of the run in `path` is read from: another one while that run is being replaced."""
    folder, aside = Path(path), put_aside(path)
    return aside if not (folder / CONFIG).exists() and (aside / CONFIG).exists() else folder


def load(path: str | Path, *, device: str | torch.device = "cpu") -> Model:
    """The model saved in the folder `path`, in evaluation mode.

    Raises `InputError` naming the file, what was found and what was expected, if the folder is not one that `save`
    wrote, was changed since, or was written by a newer version.
    """
    where = _checked_device(device)
    config = read_config(path)
    folder = saved_in(path)
    state = _read_weights(folder / WEIGHTS, config)
    context = config["context_event"]
    settings = dict(config["settings"])
    if context is not None:
        settings["context_event"] = event_from_json(context, folder / CONFIG)
    try:
        with _no_larger_than(state, folder):
            model = build(config["name"], event_from_json(config["event"], folder / CONFIG), **settings)
    except (TypeError, ValueError) as error:
        raise InputError(f"{folder / CONFIG} does not describe a model that can be built: {error}") from error
    if any(key.startswith("standardization.") for key in state):
        model.standardize(torch.zeros(model.event.shape), torch.ones(model.event.shape))
    try:
        # assign keeps the dtypes of the file: a float64 model comes back as one.
        model.load_state_dict(state, assign=True)
    except RuntimeError as error:
        written_by = f"ancestral {config.get('version')}"
        fit_again = (config["recipe"] or {}).get("command", "ancestral fit")
        raise InputError(
            f"{folder / WEIGHTS} does not hold the weights of a {config['name']} of ancestral {_VERSION}: in"
            f" {written_by}, which wrote it, the parts had other names or shapes; train it again with `{fit_again}`, or"
            f" load it there ({' '.join(str(error).split())[:200]})"
        ) from error
    return model.to(where).eval()


def read_config(path: str | Path) -> dict[str, Any]:
    """The checked configuration of the model saved in the folder `path`."""
    folder = saved_in(path)
    if folder != Path(path):
        warnings.warn(
            f"{path} is being replaced by a run that is not finished; this is still the old one", stacklevel=2
        )
    file = folder / CONFIG
    if not file.is_file():
        unfinished = (folder / CHECKPOINT).exists()
        why = "its training has not ended; go on with it (resume=True)" if unfinished else f"there is no {CONFIG} in it"
        raise InputError(f"{path} holds no saved model: {why}")
    try:
        config = json.loads(file.read_text())
    except ValueError as error:
        raise InputError(f"{file} is not valid JSON ({error}); it may have been cut short") from error
    if not isinstance(config, dict) or config.get("library") != "ancestral":
        raise InputError(f'{file} was not written by ancestral: expected an object with "library": "ancestral"')
    if not isinstance(config.get("format"), int) or config["format"] > _FORMAT:
        raise InputError(
            f"{file} has format {config.get('format')!r}, written by ancestral {config.get('version')}; this is "
            f"{_VERSION}, which reads format {_FORMAT}: upgrade ancestral"
        )
    if config["format"] >= 2 and config.get("config_sha256") != _digest(config):
        raise InputError(
            f"{file} was changed since it was written (its checksum differs), so it may describe another model: put the"
            " original back, or train the model again"
        )
    expected = {"name": str, "event": dict, "settings": dict, "weights": str, "weights_sha256": str}
    for key, kind in expected.items():
        if not isinstance(config.get(key), kind):
            raise InputError(f"{file} needs a {kind.__name__} {key!r}, found {config.get(key)!r}")
    for key in ("context_event", "recipe", "scores"):
        if config.setdefault(key, None) is not None and not isinstance(config[key], dict):
            raise InputError(f"{file} needs an object or null as {key!r}, found {config[key]!r}")
    return config


def _read_weights(file: Path, config: Mapping[str, Any]) -> dict[str, Tensor]:
    if not file.is_file():
        raise InputError(f"{file} is missing: the folder has a configuration but no weights")
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != config["weights_sha256"]:
        raise InputError(
            f"{file} is not the file that {CONFIG} was written with (its checksum differs): it was changed, cut short, "
            "or copied from another model; copy the whole folder again"
        )
    try:
        return safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise InputError(f"{file} does not hold the weights of a model: {error}") from error


@contextmanager
def _no_larger_than(state: Mapping[str, Tensor], folder: Path) -> Iterator[None]:
    """Refuse a model with a parameter larger than all its weights together, as it is made and before it is filled."""
    stored = sum(value.numel() for value in state.values())

    def check(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None and parameter.numel() > stored:
            raise InputError(
                f"{folder / CONFIG} describes a model with a parameter {name!r} of shape {tuple(parameter.shape)}, but"
                f" {WEIGHTS} holds {stored:,} numbers in all: one of the two belongs to another model"
            )

    handle = register_module_parameter_registration_hook(check)
    try:
        yield
    finally:
        handle.remove()


def _checked_device(device: str | torch.device) -> torch.device:
    """The device, if it is there."""
    there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    there += ["mps"] if torch.backends.mps.is_available() else []
    try:
        found = torch.device(device)
    except RuntimeError:
        found = None
    if found is None or not any(name in (str(found), f"{found}:0") for name in there):
        raise InputError(f"the device {str(device)!r} is not there; there is {', '.join(there)}")
    return found


def _known(value: Any) -> Any:
    """A JSON value with null for the numbers in it that are not finite."""
    if isinstance(value, Mapping):
        return {key: _known(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_known(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _digest(config: Mapping[str, Any]) -> str:
    """The checksum of a configuration's content, whatever its layout."""
    content = {key: value for key, value in config.items() if key != "config_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def event_to_json(event: Event) -> dict[str, Any]:
    """{"shape": [...], "support": "binary" | "levels" | "categories" | "real", "levels" or "categories": how many}.

    Of a table {"shape": [n], "support": "columns", "columns": ["real", "levels:90", ...]}.
    """
    support = event.support
    if isinstance(support, Levels):
        return {"shape": list(event.shape), "support": "levels", "levels": support.levels}
    if isinstance(support, Categories):
        return {"shape": list(event.shape), "support": "categories", "categories": support.categories}
    if isinstance(support, Columns):
        return {"shape": list(event.shape), "support": "columns", "columns": [each.flag for each in support.supports]}
    if isinstance(support, Binary | Real):
        return {"shape": list(event.shape), "support": type(support).__name__.lower()}
    raise InputError(f"an event on {support} cannot be saved; use Binary, Levels, Categories, Real or Columns")


def event_from_json(value: Mapping[str, Any], source: str | Path = "the configuration") -> Event:
    """The inverse of `event_to_json`; `source` names the file in errors."""
    shape, kind = value.get("shape"), value.get("support")
    if not isinstance(shape, list) or not all(type(side) is int for side in shape):
        raise InputError(f"{source}: an event's shape must be a list of integers, found {shape!r}")
    counted: dict[Any, type[Levels] | type[Categories]] = {"levels": Levels, "categories": Categories}
    plain: dict[Any, type[Support]] = {"binary": Binary, "real": Real}
    number = value.get(str(kind))
    if not isinstance(kind, str):
        raise InputError(f"{source}: an event's support must be a word, found {kind!r}")
    if kind in counted and type(number) is int:
        return Event(tuple(shape), counted[kind](number))
    if kind in plain:
        return Event(tuple(shape), plain[kind]())
    columns = value.get("columns")
    if kind == "columns" and isinstance(columns, list) and all(isinstance(each, str) for each in columns):
        return Event(tuple(shape), Columns(tuple(map(parse_support, columns))))
    raise InputError(
        f"{source}: an event's support must be binary, real, levels or categories with their number, or columns,"
        f" found {dict(value)!r}"
    )


def write_atomically(files: Mapping[Path, bytes]) -> None:
    """Write all files under temporary names, then rename them: on failure the old ones stay and no part is left."""
    temporary = {file: file.with_name(f".{file.name}.{secrets.token_hex(4)}") for file in files}
    try:
        for file, data in files.items():
            with temporary[file].open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        for file, name in temporary.items():
            name.replace(file)
    finally:
        for name in temporary.values():
            name.unlink(missing_ok=True)
