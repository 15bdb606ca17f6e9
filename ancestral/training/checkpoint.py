"""The folder of a run: a checkpoint that is always whole, and what it must match to be continued."""

import hashlib
import io
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ancestral.interface import InputError, Model
from ancestral.persistence import CHECKPOINT
from ancestral.training.settings import BUDGET, Settings
from ancestral.training.sources import Source

#: 3 ends with a checksum, and knows its data by theirs.
_VERSION = 3
#: The file ends with this and the sha256 of all before it, in hexadecimal.
_MARK = b"\nsha256:"
_TAIL = len(_MARK) + 64
#: How a checksum is told from a value, which errors show.
_SHA256 = "sha256:"
#: Changes that one error names.
_NAMED = 5

#: What a run and its resumption share, as text by name: in groups, each of which follows from those before it.
Identity: TypeAlias = Sequence[Mapping[str, str]]


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
        raise InputError(f"run_dir {path} is not empty; resume=True goes on with its run, or choose another folder")
    if entries and CHECKPOINT not in entries:
        raise InputError(f"run_dir {path} holds no {CHECKPOINT} to resume from; choose an empty folder for a new run")


def write_checkpoint(folder: Path, state: Mapping[str, Any], identity: Identity) -> None:
    """Write the state of a run under a temporary name, then rename it: the old one stays until the new one is whole."""
    temporary = folder / f".{CHECKPOINT}.{secrets.token_hex(4)}"
    try:
        torch.save({"version": _VERSION, "identity": list(map(dict, identity)), "state": dict(state)}, temporary)
        with temporary.open("r+b") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            stream.seek(0, os.SEEK_END)
            stream.write(_MARK + digest.encode())
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, folder / CHECKPOINT)
    except (OSError, RuntimeError) as error:
        # torch reports a full disk as a RuntimeError of its archive writer.
        raise InputError(
            f"the checkpoint could not be written to {folder}: {error}; the one before it is still there"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def read_checkpoint(folder: Path) -> tuple[dict[str, Any], Identity] | None:
    """The saved state of a run and its identity, or None where there is none yet.

    Raises `InputError` if the file is not, to the last byte, one that `write_checkpoint` wrote.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    content = path.read_bytes()
    content, tail = content[:-_TAIL], content[-_TAIL:]
    if not tail.startswith(_MARK):
        raise InputError(
            f"{path} does not end with a checksum: it is damaged, or of an older version of ancestral; start a new run"
        )
    if tail.removeprefix(_MARK) != hashlib.sha256(content).hexdigest().encode():
        raise InputError(f"{path} is damaged: it was changed since it was written (its checksum differs)")
    try:
        # Mapped to the CPU, because generator states must be there; weights are copied to where they belong.
        saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        version, identity, state = saved["version"], saved["identity"], saved["state"]
    except Exception as error:  # a file with a checksum that is nonetheless none of ours: torch raises anything
        raise InputError(f"{path} is no checkpoint ({type(error).__name__}); start a new run") from error
    if version != _VERSION:
        raise InputError(f"{path} is no checkpoint of this version of ancestral; start a new run")
    return state, identity


def check_same_run(folder: Path, before: Identity, now: Identity) -> None:
    """Raise `InputError`, naming what changed, unless the run in `folder` and the one that is to go on are the same."""
    for old, new in zip(before, now, strict=True):
        changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        if not changed:
            continue
        values = [key for key in changed if not (new.get(key) or old[key]).startswith(_SHA256)]
        named = [f"{key} was {_shown(old.get(key))} and is now {_shown(new.get(key))}" for key in values[:_NAMED]]
        named += [f"and {len(values) - _NAMED} more"] if len(values) > _NAMED else []
        if values and set(values) <= {*BUDGET}:
            named.append(
                "the learning rate, or the stages of the model, were laid out over the budget that it began with; runs"
                " with schedule='constant' and without stages take a larger one"
            )
        if data := [key for key in changed if key not in values]:
            named.append(
                f"the {' and the '.join(data)} are not those that it began with; take the same data with the same"
                " options and seed"
            )
        raise InputError(
            f"the run in {folder} cannot be resumed: {'; '.join(named)}; go on as it began, or start a new run"
        )


def run_identity(settings: Settings, model: Model, sources: Mapping[str, Source | None], *, staged: bool) -> Identity:
    """What makes a model, its training and its data the same ones when a run is resumed.

    `sources` are the rows by what they are for, "training" and "validation".
    """
    own = {f"model.{key}": repr(value) for key, value in (model.settings or {}).items()}
    events = {"event": str(model.event), "context": str(model.context_event)}
    given = {name: source for name, source in sources.items() if source is not None}
    return (
        {"model": model.registered_name or type(model).__qualname__},
        own | events | settings.fingerprint(staged=staged),
        {f"{name} rows": str(len(source)) for name, source in given.items()},
        {
            f"{name} {part}": _SHA256 + digest
            for name, source in given.items()
            for part, digest in source.digests.items()
        },
        _shapes(model.state_dict()) | _shapes(model.training_state()),
    )


def bytes_of(tensors: Mapping[str, Tensor]) -> int:
    return sum(value.numel() * value.element_size() for value in tensors.values())


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    return {f"the shape of {name}": str(tuple(value.shape)) for name, value in tensors.items()}


def _shown(value: str | None) -> str:
    return "not set" if value in (None, "None") else str(value)
