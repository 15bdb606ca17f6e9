"""Sets that are read from NPZ files under the data root: the binary UCI sets, and the Frey faces."""

from ancestral.data.arrays import read_arrays
from ancestral.data.assembly import SPLITS, Rows, assemble
from ancestral.data.catalogue import builtin
from ancestral.data.dataset import Data
from ancestral.data.files import SourceFile, Store
from ancestral.data.support import as_tensor
from ancestral.interface import Binary, InputError, Levels

_DNA = SourceFile("uci/dna.npz")
_MUSHROOMS = SourceFile("uci/mushrooms.npz")
_FREY = SourceFile("freyfaces.npz")


@builtin("dna", "(180,), binary", [_DNA])
def dna(store: Store, seed: int) -> Data:
    """UCI splice-junction DNA with the split of the NADE and MADE papers: 1,400 / 600 / 1,186."""
    return _uci("dna", _DNA, store, 180)


@builtin("mushrooms", "(112,), binary", [_MUSHROOMS])
def mushrooms(store: Store, seed: int) -> Data:
    """UCI mushrooms with the split of the NADE and MADE papers: 2,000 / 500 / 5,624."""
    return _uci("mushrooms", _MUSHROOMS, store, 112)


@builtin("freyfaces", "(1, 28, 20), 256 levels", [_FREY])
def freyfaces(store: Store, seed: int, frames: int | None = None) -> Data:
    """1,965 frames of one face in time order, split 1,565 / 200 / 200 in that order.

    Or clips of so many `frames` in a row: in training from every frame on, in validation and test side by side.
    """
    [path] = store.get(_FREY)
    images = read_arrays(path).get("images")
    if images is None or images.shape != (1965, 28, 20):
        found = "no 'images'" if images is None else f"images of shape {images.shape}"
        raise InputError(f"{path} has {found}; expected 'images' of shape (1965, 28, 20)")
    x = as_tensor(images, str(path))[:, None]
    splits = {"train": x[:1565], "valid": x[1565:1765], "test": x[1765:]}
    note = "no published split: 1,565 / 200 / 200 in time order"
    if frames is not None:
        if not 2 <= frames <= 200:
            raise InputError(f"frames must be 2 to the 200 of a held-out split, got {frames}")
        splits = {
            part: rows.unfold(0, frames, 1 if part == "train" else frames).movedim(-1, 1)
            for part, rows in splits.items()
        }
        note += f"; clips of {frames} frames, which overlap in training"
    parts = {part: Rows(rows) for part, rows in splits.items()}
    return assemble("freyfaces", parts, seed=seed, support=Levels(256), note=note)


def _uci(name: str, file: SourceFile, store: Store, dimensions: int) -> Data:
    [path] = store.get(file)
    arrays = read_arrays(path)
    for part in SPLITS:
        if part not in arrays or arrays[part].shape[1:] != (dimensions,):
            found = f"shape {arrays[part].shape}" if part in arrays else "nothing"
            raise InputError(f"{path} has {found} under {part!r}; expected (n, {dimensions})")
    parts = {part: Rows(as_tensor(arrays[part], f"{path} [{part}]")) for part in SPLITS}
    return assemble(name, parts, seed=0, support=Binary())
