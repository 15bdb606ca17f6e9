"""The folder of a run: a checkpoint that is always whole, and what it must match to be continued."""

import os
import pickle
import secrets
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ancestral.interface import InputError, Model

CHECKPOINT = "checkpoint.pt"
_VERSION = 2


def open_run_dir(path: Path, *, resume: bool, bytes_needed: int) -> None:
    """Make the folder of a run, or raise `InputError` if it cannot hold one."""
    existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free < bytes_needed:
        raise InputError(
            f"run_dir {path} has {free / 1e6:.1f} MB left on its disk but a checkpoint of this model takes"
            f" {bytes_needed / 1e6:.1f} MB; free some space or choose another folder"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
        entries = [entry.name for entry in path.iterdir()]
        probe = path / f".probe-{secrets.token_hex(4)}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise InputError(f"run_dir {path} cannot be written: {error.strerror}; choose another folder") from error
    if entries and not resume:
        raise InputError(f"run_dir {path} is not empty; continue its run with resume=True, or choose another folder")
    if entries and CHECKPOINT not in entries:
        raise InputError(f"run_dir {path} holds no {CHECKPOINT} to resume from; choose an empty folder for a new run")


def write_checkpoint(folder: Path, state: Mapping[str, Any], identity: Mapping[str, str]) -> None:
    """Write the state of a run under a temporary name, then rename it: the old one stays until the new one is whole."""
    temporary = folder / f".{CHECKPOINT}.{secrets.token_hex(4)}"
    try:
        torch.save({"version": _VERSION, "identity": dict(identity), "state": dict(state)}, temporary)
        os.replace(temporary, folder / CHECKPOINT)
    except (OSError, RuntimeError) as error:
        # torch reports a full disk as a RuntimeError of its archive writer.
        raise InputError(
            f"the checkpoint could not be written to {folder}: {error}; the one before it is still there"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def read_checkpoint(folder: Path, identity: Mapping[str, str]) -> dict[str, Any] | None:
    """The saved state of a run, or None where there is none yet.

    Raises `InputError` if the file is damaged, or if it belongs to another model, other data or other settings.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        # Mapped to the CPU, because generator states must be there; weights are copied to where they belong.
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged or no checkpoint ({type(error).__name__}); start a new run") from error
    if not isinstance(saved, dict) or saved.get("version") != _VERSION:
        raise InputError(f"{path} is no checkpoint of this version of ancestral; start a new run")
    before = saved["identity"]
    changed = [key for key in identity if before.get(key) != identity[key]]
    if changed:
        details = "; ".join(f"{key} was {before.get(key)} and is now {identity[key]}" for key in changed)
        raise InputError(f"the run in {folder} cannot be resumed: {details}")
    state: dict[str, Any] = saved["state"]
    return state


def model_identity(model: Model, rows: int) -> dict[str, str]:
    """What makes a model and its data the same ones when a run is resumed."""
    return {
        "model": model.registered_name or type(model).__qualname__,
        "model settings": repr(dict(model.settings)) if model.settings is not None else "made by hand",
        "event": repr(model.event),
        "context event": repr(model.context_event),
        "weights": _shapes(model.state_dict()),
        "training state": _shapes(model.training_state()),
        "training rows": str(rows),
    }


def bytes_of(tensors: Mapping[str, Tensor]) -> int:
    return sum(value.numel() * value.element_size() for value in tensors.values())


def _shapes(tensors: Mapping[str, Tensor]) -> str:
    return repr(sorted((name, tuple(value.shape)) for name, value in tensors.items()))
