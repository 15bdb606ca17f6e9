"""Which loader reads a file or folder."""

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from ancestral.data.arrays import load_arrays
from ancestral.data.assembly import assemble
from ancestral.data.audio import SOUNDS, load_sounds
from ancestral.data.dataset import Data
from ancestral.data.entries import open_tree
from ancestral.data.idx import idx_rows
from ancestral.data.images import IMAGES, load_images
from ancestral.data.tables import TABLES, load_table
from ancestral.data.texts import TEXTS, load_text
from ancestral.interface import InputError, Support


def load_idx(path: Path, seed: int | None, support: Support | None) -> Data:
    """An IDX file, gzipped or not, or a folder of the four files of an MNIST-like set."""
    return assemble(path.name, idx_rows(path), seed=seed, support=support)


_BY_SUFFIX: Mapping[str, Callable[..., Data]] = {
    ".npy": load_arrays,
    ".npz": load_arrays,
    **dict.fromkeys(TABLES, load_table),
    ".txt": load_text,
    ".gz": load_idx,
    **dict.fromkeys(IMAGES, load_images),
    **dict.fromkeys(SOUNDS, load_sounds),
}
#: The kinds of sources with options of their own, and the loaders whose docstrings describe these.
KINDS: Mapping[str, Callable[..., Data]] = {
    "tables (.csv, .tsv, .parquet)": load_table,
    "arrays (.npy, .npz)": load_arrays,
    "images, folders and zips of them": load_images,
    "WAV files, folders and zips of them": load_sounds,
    "texts (.txt, .txt.gz, folders and zips of them)": load_text,
}
_KNOWN = (
    ".npy, .npz, .csv, .tsv, .parquet, .txt, IDX, an image or a WAV file, or a folder or zip of images, of WAV files or"
    " of texts"
)


def loader_for(path: Path) -> Callable[..., Data]:
    """The loader `(path, seed, support, **options)` for a file or folder that exists."""
    if path.is_dir() or path.suffix.lower() == ".zip":
        return _loader_for_tree(path)
    if path.name.lower().endswith(".txt.gz"):
        return load_text
    if path.suffix.lower() in _BY_SUFFIX:
        return _BY_SUFFIX[path.suffix.lower()]
    if _is_idx(path.name):
        return load_idx
    raise InputError(f"{path} is of no known kind ({path.suffix or 'it has no suffix'}); expected {_KNOWN}")


def _loader_for_tree(path: Path) -> Callable[..., Data]:
    with open_tree(path) as tree:
        names = tree.names()
    if not names:
        raise InputError(f"{path} is empty; expected {_KNOWN}")
    if path.is_dir() and any(_is_idx(name.name) for name in names):
        return load_idx
    if any(_has(name, IMAGES) for name in names):
        return load_images
    if any(_has(name, SOUNDS) for name in names):
        return load_sounds
    if any(_has(name, TEXTS) for name in names):
        return load_text
    raise InputError(f"{path} holds no images, WAV files or texts; the first of {len(names)} files is {names[0]}")


def _has(name: PurePosixPath, suffixes: frozenset[str]) -> bool:
    return name.suffix.lower() in suffixes


def _is_idx(name: str) -> bool:
    return "-idx" in name or ".idx" in name
