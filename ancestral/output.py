"""Results on their way out: an event in words, and files checked before the work starts and written whole or not at
all."""

import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ancestral.interface import Binary, Categories, Columns, Event, InputError, Levels, Real
from ancestral.persistence import write_atomically

#: Columns of each support, in words.
_KINDS = {Binary: "binary", Levels: "ordered", Categories: "categorical", Real: "real"}


def describe(event: Event, context_event: Event | None = None) -> str:
    """An event in words, and what it is conditioned on: (1, 28, 28), 256 levels, given one of 10 categories.

    Of a table: 5 columns (2 real, 2 ordered, 1 categorical).
    """
    kind = type(event.support).__name__.lower()
    counted = f"{event.values} {kind}" if isinstance(event.support, Levels | Categories) else kind
    words = f"{event.shape}, {counted}" if event.shape else f"one of {counted}" if event.values else kind
    if isinstance(event.support, Columns):
        kinds = Counter(_KINDS[type(support)] for support in event.supports)
        words = f"{event.size} columns ({', '.join(f'{count} {kind}' for kind, count in kinds.items())})"
    return words if context_event is None else f"{words}, given {describe(context_event)}"


def counted(n: int, noun: str) -> str:
    """So many of them: '1 epoch', '2 epochs'. For nouns whose plural ends in s."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def check_output(path: str | Path, suffixes: Sequence[str]) -> Path:
    """`path`, if its ending is one of `suffixes` and a file can be written there."""
    path = Path(path)
    if path.suffix not in suffixes:
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


def write_folder(contents: Sequence[bytes], suffix: str, folder: Path, names: Sequence[str] | None = None) -> None:
    """Write each content to a file of a new folder: all of them, or no folder.

    The files are called by `names`, without an ending, or by numbers that sort: 00, 01, ...
    """
    n = len(contents)
    names = [f"{i:0{len(str(n - 1))}d}" for i in range(n)] if names is None else names
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{str(folder)!r} is there already; give the name of a new folder")
    if len(names) != n:
        raise InputError(f"{n} files must have {n} names, got {len(names)}")
    if len(set(names)) < n:
        raise InputError(
            f"names of files must differ, got {next(name for name in names if names.count(name) > 1)!r} twice"
        )
    stray = [name for name in names if Path(name).name != name]
    if stray:
        raise InputError(f"names of files must not contain folders, got {stray[0]!r}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    temporary.mkdir()
    try:
        for name, content in zip(names, contents, strict=True):
            (temporary / f"{name}{suffix}").write_bytes(content)
        if folder.exists():
            folder.rmdir()
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
