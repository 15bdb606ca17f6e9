"""The files in a folder or in a zip archive, read the same way."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from ancestral.interface import InputError

# The names that the top folders of a data set may have, and the split that each stands for.
SPLIT_FOLDERS = MappingProxyType(
    {
        "train": "train",
        "training": "train",
        "valid": "valid",
        "val": "valid",
        "validation": "valid",
        "test": "test",
        "testing": "test",
    }
)

# What zipfile raises for damage: RuntimeError for what it takes for encryption or an unknown version.
ZIP_ERRORS = (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Entry:
    """A file by its path in the folder or archive: its split, its class folder, and where it is."""

    path: PurePosixPath
    split: str
    label: str | None


class Tree:
    """The files of one folder or archive."""

    def __init__(self, source: Path, archive: zipfile.ZipFile | None) -> None:
        self.source = source
        self._archive = archive
        infos = [] if archive is None else [info for info in archive.infolist() if not info.is_dir()]
        self._members = {PurePosixPath(info.filename): info for info in infos}

    def names(self) -> list[PurePosixPath]:
        """Every file in order of its path, without hidden ones and what systems leave behind."""
        if self._archive is None:
            paths = (path.relative_to(self.source) for path in self.source.rglob("*") if path.is_file())
            found = [PurePosixPath(*path.parts) for path in paths]
        else:
            found = list(self._members)
        return sorted(path for path in found if not any(part.startswith((".", "__MACOSX")) for part in path.parts))

    def entries(self, suffixes: frozenset[str]) -> list[Entry]:
        """The files of these kinds by split and class folder; a folder around everything is looked through."""
        paths = [path for path in self.names() if path.suffix.lower() in suffixes]
        if not paths:
            raise InputError(f"{self.source} holds no file of the kinds {', '.join(sorted(suffixes))}")
        around = _shared_folders(paths)
        entries = [_entry(path, path.parts[len(around) :]) for path in paths]
        labelled = [entry.label is not None for entry in entries]
        if any(labelled) and not all(labelled):
            stray = entries[labelled.index(False)]
            raise InputError(
                f"{self.source} has class folders, but {stray.path} lies in none; put every file in one, or none"
            )
        return entries

    def read(self, entry: Entry) -> bytes:
        """The bytes of one file."""
        try:
            if self._archive is None:
                return (self.source / entry.path).read_bytes()
            return self._archive.read(self._members[entry.path])
        except ZIP_ERRORS as error:
            raise InputError(f"{entry.path} in {self.source} cannot be read ({error})") from error


@contextmanager
def open_tree(source: Path) -> Iterator[Tree]:
    """The files of a folder, or of a zip archive as long as it is open."""
    if source.is_dir():
        yield Tree(source, None)
        return
    try:
        archive = zipfile.ZipFile(source)
    except ZIP_ERRORS as error:
        size = source.stat().st_size
        raise InputError(f"{source} ({size} bytes) is no zip archive, or a damaged one ({error})") from error
    with archive:
        yield Tree(source, archive)


def _shared_folders(paths: list[PurePosixPath]) -> tuple[str, ...]:
    """The folders that every path begins with, up to one that names a split."""
    shared: list[str] = []
    for parts in zip(*(path.parts[:-1] for path in paths)):
        if len(set(parts)) > 1 or parts[0].lower() in SPLIT_FOLDERS:
            break
        shared.append(parts[0])
    return tuple(shared)


def _entry(path: PurePosixPath, parts: tuple[str, ...]) -> Entry:
    split = SPLIT_FOLDERS.get(parts[0].lower()) if len(parts) > 1 else None
    inner = parts[1:] if split else parts
    return Entry(path, split or "train", inner[0] if len(inner) > 1 else None)
