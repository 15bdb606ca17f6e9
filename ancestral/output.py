"""Results on their way out: an event in words, and files checked before the work starts and written whole or not at
all."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from ancestral.interface import Categories, Event, InputError, Levels
from ancestral.persistence import write_atomically


def describe(event: Event, context_event: Event | None = None) -> str:
    """An event in words, and what it is conditioned on: (1, 28, 28), 256 levels, given one of 10 categories."""
    kind = type(event.support).__name__.lower()
    counted = f"{event.values} {kind}" if isinstance(event.support, Levels | Categories) else kind
    words = f"{event.shape}, {counted}" if event.shape else f"one of {counted}" if event.values else kind
    return words if context_event is None else f"{words}, given {describe(context_event)}"


def counted(number: int | float, noun: str) -> str:
    """A number of things in words: 1 epoch, 2,000 epochs, 0.5 minutes."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


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
    """Write the file, and the folders above it that do not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically({path: data})
