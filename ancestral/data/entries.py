"""The files in a folder or in a zip archive, or one file alone, read the same way."""

import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
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

# The names of a folder, beside class folders, of what has no label, and the one that stands for all of them.
UNLABELLED = "unlabelled"
_UNLABELLED = (UNLABELLED, "unlabeled")

# trainA, testA, trainB, testB: a split and a domain in one name (the layout of Zhu et al. 2017, CycleGAN).
_SPLIT_OF_DOMAIN = re.compile(rf"({'|'.join(sorted(SPLIT_FOLDERS, key=len, reverse=True))})[-_ ]?(.+)", re.IGNORECASE)

# What zipfile raises for damage: RuntimeError for what it takes for encryption or an unknown version.
ZIP_ERRORS = (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Entry:
    """A file, or a folder of `frames`, by its path in the folder or archive: its split, and its class or domain by the
    folders that it lies in."""

    path: PurePosixPath
    split: str
    label: str | None
    is_domain: bool = False
    frames: tuple[PurePosixPath, ...] = ()


class Tree:
    """The files of one folder or archive, or the `only` one that is asked for of a folder."""

    def __init__(self, source: Path, archive: zipfile.ZipFile | None, only: str | None = None) -> None:
        self.source = source
        self._archive, self._only = archive, only
        infos = [] if archive is None else [info for info in archive.infolist() if not info.is_dir()]
        self._members = {PurePosixPath(info.filename): info for info in infos}

    def names(self) -> list[PurePosixPath]:
        """Every file in order of its path, without hidden ones and what systems leave behind."""
        if self._only is not None:
            return [PurePosixPath(self._only)]
        if self._archive is None:
            paths = (path.relative_to(self.source) for path in self.source.rglob("*") if path.is_file())
            found = [PurePosixPath(*path.parts) for path in paths]
        else:
            found = list(self._members)
        return sorted(path for path in found if not any(part.startswith((".", "__MACOSX")) for part in path.parts))

    def entries(self, suffixes: frozenset[str], classes: Sequence[str] = (), *, of_frames: bool = False) -> list[Entry]:
        """The files of these kinds by split and class folder, or with `of_frames` the folders that they lie in; a
        folder around everything is looked through, but for one that is among the known `classes`.

        Folders trainA, trainB, testA and testB (with any two names for A and B) hold two domains.
        """
        paths = [path for path in self.names() if path.suffix.lower() in suffixes]
        if not paths:
            raise InputError(f"{self.source} holds no file of the kinds {', '.join(sorted(suffixes))}")
        frames = self._frames(paths) if of_frames else {}
        paths = sorted(frames) or paths
        around = len(_shared_folders(paths, classes))
        domains = self._domains({path.parts[around] if len(path.parts) > around + 1 else "" for path in paths})
        entries = [_entry(path, path.parts[around:], domains, frames.get(path, ())) for path in paths]
        labelled = [entry.label is not None for entry in entries]
        if any(labelled) and not all(labelled):
            stray = entries[labelled.index(False)]
            raise InputError(
                f"{self.source} has class folders, but {stray.path} lies in none; put every file in one, or none"
            )
        return entries

    def _frames(self, paths: Sequence[PurePosixPath]) -> dict[PurePosixPath, tuple[PurePosixPath, ...]]:
        """The files in each folder that holds some, in the order of their numbers; a clip alone has the name of the
        folder or archive that it lies in."""
        frames: dict[PurePosixPath, list[PurePosixPath]] = {}
        for path in sorted(paths, key=_by_number):
            frames.setdefault(path.parent, []).append(path)
        for folder in frames:
            if around := next((parent for parent in folder.parents if parent in frames), None):
                stray = frames[around][0]
                raise InputError(
                    f"{self.source} has {stray} beside folders of frames, such as {folder}; every clip is a folder of"
                    " its frames and of nothing else: move it away"
                )
        if set(frames) == {PurePosixPath()}:
            frames = {PurePosixPath(self.source.resolve().name): frames[PurePosixPath()]}
        return {folder: tuple(files) for folder, files in frames.items()}

    def _domains(self, folders: set[str]) -> dict[str, tuple[str, str]]:
        """The split and the domain that each top folder names; none where they are no layout of two domains."""
        matches = {
            folder: _SPLIT_OF_DOMAIN.fullmatch(folder) for folder in folders if folder.lower() not in SPLIT_FOLDERS
        }
        found = {folder: (SPLIT_FOLDERS[m[1].lower()], m[2]) for folder, m in matches.items() if m}
        names = {name for _, name in found.values()}
        repeated = len(names) < len(found)
        if len(found) < len(folders) or not (repeated or names == {"A", "B"}):
            return {}
        expected = {(split, name) for split in ("train", *(split for split, _ in found.values())) for name in names}
        if len(names) != 2 or set(found.values()) != expected:
            raise InputError(
                f"{self.source} holds the folders {', '.join(sorted(folders))}; two domains are in trainA, trainB,"
                " testA and testB, with any two names for A and B, each in every split"
            )
        return found

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
    """The files of a folder, or of a zip archive as long as it is open; what is neither is a file alone."""
    if source.is_dir():
        yield Tree(source, None)
        return
    if source.suffix.lower() != ".zip":
        yield Tree(source.parent, None, source.name)
        return
    try:
        archive = zipfile.ZipFile(source)
    except ZIP_ERRORS as error:
        size = source.stat().st_size
        raise InputError(f"{source} ({size} bytes) is no zip archive, or a damaged one ({error})") from error
    with archive:
        yield Tree(source, archive)


def _shared_folders(paths: list[PurePosixPath], classes: Sequence[str]) -> tuple[str, ...]:
    """The folders that every path begins with, up to one that names a split or a known class."""
    shared: list[str] = []
    for parts in zip(*(path.parts[:-1] for path in paths)):
        if len(set(parts)) > 1 or parts[0].lower() in SPLIT_FOLDERS or parts[0] in classes:
            break
        shared.append(parts[0])
    return tuple(shared)


def _by_number(path: PurePosixPath) -> list[tuple[str, int]]:
    """An order of files in which frame10 comes after Frame9, and 'frame (1)' after 'frame'."""
    return [(text, int(number or -1)) for text, number in re.findall(r"(\D*)(\d*)", path.stem.lower())]


def _entry(
    path: PurePosixPath,
    parts: tuple[str, ...],
    domains: Mapping[str, tuple[str, str]],
    frames: tuple[PurePosixPath, ...],
) -> Entry:
    if parts[0] in domains:
        return Entry(path, *domains[parts[0]], is_domain=True, frames=frames)
    split = SPLIT_FOLDERS.get(parts[0].lower()) if len(parts) > 1 else None
    inner = parts[1:] if split else parts
    label = inner[0] if len(inner) > 1 else None
    label = UNLABELLED if label and label.lower() in _UNLABELLED else label
    return Entry(path, split or "train", label, frames=frames)
