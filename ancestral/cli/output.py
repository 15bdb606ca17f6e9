"""Where results go: checked before the work starts, and written whole or not at all."""

import io
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from torch import Tensor

from ancestral.interface import Event, InputError, Levels
from ancestral.persistence import write_atomically


def console() -> Console:
    """The terminal; made anew, since tests and pipes replace standard output."""
    screen = Console(highlight=False)
    return screen if screen.is_terminal else Console(highlight=False, width=100)


def describe(event: Event) -> str:
    """An event in words: (1, 28, 28), 256 levels."""
    support = event.support
    values = f"{support.levels} levels" if isinstance(support, Levels) else type(support).__name__.lower()
    return f"{event.shape}, {values}"


def check_output(path: str | Path, suffixes: Sequence[str]) -> Path:
    """`path`, if its ending is one of `suffixes` and a file can be written there."""
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        *most, last = suffixes
        expected = f"{', '.join(most)} or {last}" if most else last
        raise InputError(f"the output must end in {expected}, got {str(path)!r}")
    if path.is_dir():
        raise InputError(f"the output {str(path)!r} is a folder; give the name of a file")
    check_folder(path.parent)
    return path


def check_folder(folder: str | Path) -> Path:
    """`folder`, if files can be written in it or in the nearest folder above it that exists; nothing is created."""
    folder = Path(folder)
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    # Trying is the only sure answer: permission bits say nothing of a full or a read-only disk.
    try:
        with tempfile.NamedTemporaryFile(dir=existing) as probe:
            probe.write(bytes(4096))
            probe.flush()
    except OSError as error:
        raise OSError(error.errno, f"cannot write there ({error.strerror})", str(existing)) from error
    return folder


def write_bytes(data: bytes, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically({path: data})


def write_csv(columns: Mapping[str, Tensor], path: Path) -> None:
    """Columns of one length as CSV; a column of vectors becomes one column for each entry."""
    import pandas as pd  # costs half a second, and few commands write tables

    flat: dict[str, np.ndarray] = {}
    for name, values in columns.items():
        rows = values.detach().cpu().flatten(1) if values.dim() > 1 else values.detach().cpu()[:, None]
        for i in range(rows.shape[1]):
            flat[name if values.dim() == 1 else f"{name}{i}"] = rows[:, i].numpy()
    write_bytes(pd.DataFrame(flat).to_csv(index=False).encode(), path)


def write_npz(arrays: Mapping[str, Tensor], path: Path) -> None:
    """Arrays by name as a compressed NPZ."""
    memory = io.BytesIO()
    plain: dict[str, Any] = {key: value.detach().cpu().numpy() for key, value in arrays.items()}
    np.savez_compressed(memory, **plain)
    write_bytes(memory.getvalue(), path)
