"""Data in numpy's own files, .npy and .npz. Nothing is ever unpickled."""

import tokenize
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ancestral.data.assembly import SPLITS, Rows, assemble, encode_labels
from ancestral.data.cells import FEW_ROWS, listed
from ancestral.data.dataset import Data
from ancestral.data.doubts import warn_of_atoms
from ancestral.data.entries import ZIP_ERRORS
from ancestral.data.support import as_tensor
from ancestral.interface import InputError, Support

_MAGIC = {".npy": b"\x93NUMPY", ".npz": b"PK"}
# The names under which one array of observations, and its labels, are looked for in an .npz file.
_OBSERVATIONS = ("x", "X", "images", "data")
_LABELS = ("y", "Y", "labels")
# Numbers that are looked through for what to warn of.
_LOOKED_AT = 10**7


def load_arrays(path: Path, seed: int | None, support: Support | None, *, missing: bool = False) -> Data:
    """The data set in an .npy or .npz file.

    An .npz file holds `train` (and `valid`, `test`, each with `_labels`), or `x` (or `images`, `data`) with `y`
    (or `labels`), or one array. Bytes or booleans of shape (n, h, w) or (n, h, w, 3) are images.

    Args:
        path: The file.
        seed: Draws the splits that the file does not have; None takes all rows in their order.
        support: By default what the values suggest; of images of bytes 256 levels.
        missing: Keep NaN, for a model that accepts missing values.
    """
    arrays = read_arrays(path)
    parts: dict[str, Rows] = {}
    names: set[tuple[str, ...]] = set()
    layouts: set[str | None] = set()
    for part, (key, label_key) in _keys(arrays, path).items():
        source = f"{path} [{key}]" if key else str(path)
        array = arrays[key]
        if array.ndim < 2:
            raise InputError(f"{source} has shape {array.shape}; expected observations in rows, (n, ...)")
        y = None
        if label_key is not None:
            y, classes = encode_labels(arrays[label_key], f"{path} [{label_key}]")
            names.add(tuple(classes or ()))
            if len(y) != len(array):
                raise InputError(f"{path} has {len(array)} rows in {key} but {len(y)} labels in {label_key}")
        x, layout = as_images(as_tensor(array, source))
        layouts.add(layout)
        parts[part] = Rows(x, y)
        if support is None and seed is not None:
            _warn_of(array, source)
    if len(names) > 1:
        raise InputError(f"the labels of {path} name different classes in each split: {sorted(names)}")
    classes = list(names.pop()) if names else []
    layout = layouts.pop() if len(layouts) == 1 else None
    return assemble(
        path.name, parts, seed=seed, support=support, classes=classes or None, missing=missing, layout=layout
    )


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name; that of an .npy file by the name of ''."""
    magic = _MAGIC[path.suffix.lower()]
    try:
        with path.open("rb") as file:
            start = file.read(len(magic))
            if start != magic:
                what = "is empty" if not start else f"begins with the bytes {start.hex(' ')}"
                raise InputError(f"{path} {what}, so it is not the {path.suffix} file its name says")
            file.seek(0)
            loaded = np.load(file, allow_pickle=False)
            return {"": loaded} if isinstance(loaded, np.ndarray) else {key: loaded[key] for key in loaded.files}
    except InputError:
        raise
    except ValueError as error:
        if "Object arrays" in str(error):
            raise InputError(
                f"{path} holds an array of Python objects, which would have to be unpickled: that is never done,"
                " since it can run any code; save the array with a numeric dtype (rows of different shapes, as clips of"
                " different lengths, are kept as objects: cut or pad them to one shape)"
            ) from error
        raise InputError(f"{path} cannot be read ({error}); it is damaged or incomplete") from error
    except (*ZIP_ERRORS, KeyError, MemoryError, SyntaxError, TypeError, tokenize.TokenError) as error:
        raise InputError(f"{path} cannot be read ({error}); it is damaged or incomplete") from error


def as_images(x: Tensor) -> tuple[Tensor, str | None]:
    """Bytes or booleans (n, h, w) and (n, h, w, channels) as (n, channels, h, w), and what they were, 'NHW' or 'NHWC';
    all else as it is."""
    if x.dtype not in (torch.uint8, torch.bool):
        return x, None
    if x.dim() == 3:
        return x[:, None], "NHW"
    if x.dim() == 4 and x.shape[-1] in (1, 3, 4) and x.shape[1] not in (1, 3, 4):
        return x.permute(0, 3, 1, 2), "NHWC"
    return x, None


def as_stored(x: Tensor, layout: str | None) -> Tensor:
    """Images (n, channels, h, w) with the axes of a layout: the inverse of `as_images`."""
    return {"NHW": lambda: x[:, 0], "NHWC": lambda: x.permute(0, 2, 3, 1)}.get(layout or "", lambda: x)()


def _warn_of(array: np.ndarray, source: str) -> None:
    """Warn of columns of real rows that never vary, or hold one value in many rows; where it costs little."""
    if array.dtype.kind != "f" or array.ndim != 2 or array.size > _LOOKED_AT or len(array) <= FEW_ROWS:
        return
    if constant := np.flatnonzero((array == array[:1]).all(0)).tolist():
        warnings.warn(
            f"{source}: the columns {listed(constant)} never vary, where a density has no bound; leave them out",
            stacklevel=2,
        )
    for i in sorted({*range(array.shape[1])} - {*constant}):
        warn_of_atoms(array[:, i], f"column {i}", source, len(array))


def _keys(arrays: Mapping[str, np.ndarray], path: Path) -> dict[str, tuple[str, str | None]]:
    """For each split that the file has, the names of its observations and of its labels."""
    if "train" in arrays:
        return {
            part: (part, f"{part}_labels" if f"{part}_labels" in arrays else None) for part in SPLITS if part in arrays
        }
    rows = next((key for key in _OBSERVATIONS if key in arrays), None)
    if rows is None and len(arrays) == 1:
        rows = next(iter(arrays))
    if rows is None:
        found = ", ".join(arrays) or "nothing"
        raise InputError(
            f"{path} holds {found}; expected train (with valid, test and their _labels), or x (with y), or one array"
        )
    return {"train": (rows, next((key for key in _LABELS if key in arrays), None))}
