"""Where the files of the built-in data sets are: under the data root, in the cache, or on the network."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ancestral.interface import InputError


def cache_folder() -> Path:
    """Where what can be had again is kept: the environment variable ANCESTRAL_CACHE, else the system's folder."""
    if named := os.environ.get("ANCESTRAL_CACHE"):
        return Path(named).expanduser()
    import pooch

    return Path(pooch.os_cache("ancestral"))


@dataclass(frozen=True)
class SourceFile:
    """A file of a built-in data set: its place below the data root and, where it can be had, its address."""

    path: str
    url: str | None = None
    md5: str | None = None
    megabytes: float = 0.0


@dataclass(frozen=True)
class Store:
    """Finds files under a data root, then in a cache, and downloads what is missing into the cache."""

    root: Path | None
    cache: Path | None = None

    @classmethod
    def at(cls, data_root: str | os.PathLike[str] | None) -> "Store":
        """The store under `data_root`, by default the environment variable ANCESTRAL_DATA."""
        given = data_root if data_root is not None else os.environ.get("ANCESTRAL_DATA") or None
        if given is None:
            return cls(None)
        root = Path(given).expanduser()
        if not root.is_dir():
            said = "data_root" if data_root is not None else "the environment variable ANCESTRAL_DATA"
            raise InputError(f"{said} is {str(given)!r}, which is not a folder; create it or name another")
        return cls(root)

    @property
    def cache_folder(self) -> Path:
        """`cache`, else the usual one."""
        return cache_folder() if self.cache is None else self.cache

    def get(self, *files: SourceFile) -> list[Path]:
        """Where `files` lie, after a download into the cache if need be; in the cache checksums are verified."""
        absent = [file for file in files if self._under_root(file) is None]
        return [self._under_root(file) or self._download(file, absent) for file in files]

    def whereabouts(self, files: Sequence[SourceFile]) -> tuple[bool, str]:
        """Whether `files` can be had without a download, and a few words on where from."""
        absent = [f for f in files if self._under_root(f) is None and not (self.cache_folder / f.path).is_file()]
        if not absent:
            return True, "on disk" if files else "computed"
        if all(file.url for file in absent):
            return False, f"a download of {sum(file.megabytes for file in absent):.0f} MB"
        return False, f"needs {', '.join(file.path for file in absent)} under the data root"

    def _under_root(self, file: SourceFile) -> Path | None:
        """The file in its folder under the root or in the root itself, packed or not."""
        if self.root is None:
            return None
        names = [file.path, file.path.removesuffix(".gz"), Path(file.path).name]
        return next((self.root / name for name in names if (self.root / name).is_file()), None)

    def _download(self, file: SourceFile, absent: Sequence[SourceFile]) -> Path:
        target = self.cache_folder / file.path
        if file.url is None:
            raise InputError(f"{file.path} is not there, and no download of it is known; {self._advice(absent)}")
        import pooch

        checksum = None if file.md5 is None else f"md5:{file.md5}"
        try:
            # Downloads to a temporary file, verifies it, and only then gives it its name.
            pooch.retrieve(file.url, checksum, fname=target.name, path=target.parent)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{file.path} could not be downloaded from {file.url} to {target.parent} ({_first(error)});"
                f" {self._advice(absent)}"
            ) from error
        return target

    def _advice(self, absent: Sequence[SourceFile]) -> str:
        names = ", ".join(file.path for file in absent)
        if self.root is None:
            return f"place {names} under a folder DIR, and pass data_root=DIR or set ANCESTRAL_DATA=DIR"
        return f"place {names} under {self.root}"


def _first(error: Exception) -> str:
    """The kind of an error and the first words of its text: network errors quote whole objects."""
    text = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    return text if len(text) <= 120 else text[:117] + "..."
