"""`load_data`: a built-in data set by name, or a file or folder by path."""

import os
from pathlib import Path
from typing import Any

# Imported for the data sets that they register.
from ancestral.data import cifar, digits, mnist, shapes, synthetic, uci  # noqa: F401
from ancestral.data.catalogue import BUILTINS, DataInfo, call
from ancestral.data.dataset import Data
from ancestral.data.files import Store
from ancestral.data.formats import loader_for
from ancestral.data.support import parse_support, storage_dtype
from ancestral.interface import Event, InputError
from ancestral.registry import did_you_mean


def load_data(
    name_or_path: str | os.PathLike[str],
    *,
    data_root: str | os.PathLike[str] | None = None,
    seed: int = 0,
    support: str | None = None,
    **options: Any,
) -> Data:
    """A data set with its splits.

    Args:
        name_or_path: The name of a built-in data set (`list_data()`; '_' counts as '-'), or the path of an .npy, .npz,
            .csv, .parquet or IDX file, or of a folder or zip of images or of WAV files. A path is also looked for
            below the data root.
        data_root: The folder with the files of built-in data sets; by default the environment variable ANCESTRAL_DATA.
        seed: Of everything random here: the split 80/10/10 of a source without splits, binarization, synthetic data.
        support: 'binary', 'levels:N' or 'real', where the one that the values suggest is not meant.
        options: Of the one source; an unknown one is refused by an error that names those there are.

    Raises:
        InputError: There is no such data set or file, or what it holds is wrong or damaged.
    """
    store = Store.at(data_root)
    wanted = None if support is None else parse_support(support)
    known = BUILTINS.get(os.fspath(name_or_path).replace("_", "-"))
    if known is None:
        path = _path(name_or_path, store)
        return call(loader_for(path), str(path), options, path=path, seed=seed, support=wanted)
    data = call(known.load, known.name, options, store=store, seed=seed)
    if wanted is None or wanted == data.event.support:
        return data
    event, dtype = Event(data.event.shape, wanted), storage_dtype(wanted)
    return data.with_splits({name: split.with_event(event, dtype) for name, split in data.splits.items()})


def list_data(data_root: str | os.PathLike[str] | None = None) -> list[DataInfo]:
    """Every built-in data set, and whether it can be had without a download."""
    store = Store.at(data_root)
    return [entry.info(store) for entry in BUILTINS.values()]


def _path(name_or_path: str | os.PathLike[str], store: Store) -> Path:
    text = os.fspath(name_or_path)
    path = Path(text).expanduser()
    below_root = None if store.root is None else store.root / path
    for candidate in (path, below_root):
        if text and candidate is not None and candidate.exists():
            return candidate
    if isinstance(name_or_path, os.PathLike) or "/" in text or os.sep in text or path.suffix:
        raise InputError(f"there is no file or folder {text!r}")
    near = did_you_mean(text.replace("_", "-"), BUILTINS)
    raise InputError(f"there is no data set {text!r}{near}; `ancestral data` lists them all, and a path works too")
