"""IDX, the format of the MNIST files: four bytes of magic, the sizes big-endian, then the values.

The layout is stated on the page of the MNIST database (LeCun, Cortes & Burges): two zero bytes, a type code, the
number of dimensions; then a 32-bit size for each dimension; then the values in C order.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from torch import Tensor

from ancestral.data.assembly import Rows, encode_labels
from ancestral.data.support import as_tensor
from ancestral.interface import InputError

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"


def read_bytes(path: Path) -> bytes:
    """The content of a file, unpacked if it is gzipped."""
    try:
        content = path.read_bytes()
        if content[:2] == _GZIP:
            return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read ({error}); it is damaged or incomplete: fetch it again") from error
    return content


def parse_idx(content: bytes, source: str) -> np.ndarray:
    """The array in an IDX file's bytes."""
    if len(content) < 4:
        raise InputError(f"{source} has {len(content)} bytes; an IDX file begins with 4 bytes of magic number")
    zero, code, dimensions = struct.unpack(">HBB", content[:4])
    if zero != 0 or code not in _TYPES or dimensions == 0:
        raise InputError(
            f"{source} begins with the bytes {content[:4].hex(' ')}; an IDX file begins with 00 00, a type code"
            " (08 for bytes) and the number of dimensions"
        )
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise InputError(f"{source} ends within its header: {len(content)} bytes of {header}")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    dtype = np.dtype(_TYPES[code])
    expected = header + dtype.itemsize * math.prod(shape)
    if len(content) != expected:
        raise InputError(
            f"{source} states the shape {shape}, which takes {expected} bytes, but it has {len(content)}:"
            " it is damaged or incomplete"
        )
    return np.frombuffer(content, dtype, offset=header).reshape(shape)


def read_idx(path: Path) -> np.ndarray:
    """The array in an IDX file, gzipped or not."""
    return parse_idx(read_bytes(path), str(path))


def read_images(images: Path, labels: Path) -> tuple[Rows, bytes]:
    """Labelled images (n, 1, height, width), and the unpacked bytes of their file for a checksum."""
    content = read_bytes(images)
    x, y = parse_idx(content, str(images)), read_idx(labels)
    if x.ndim != 3 or x.dtype != np.uint8:
        raise InputError(f"{images} holds {x.dtype} of shape {x.shape}; expected bytes (n, height, width)")
    numbers, _ = encode_labels(y, str(labels))
    if len(numbers) != len(x):
        raise InputError(f"{images} has {len(x)} images but {labels} has {len(numbers)} labels; they are no pair")
    return Rows(as_tensor(x, str(images))[:, None], numbers), content


def idx_rows(path: Path) -> dict[str, Rows]:
    """An IDX file as rows; a folder of the four files of an MNIST-like set as splits."""
    if path.is_file():
        return {"train": Rows(_as_images(as_tensor(read_idx(path), str(path))))}
    found = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        pair = [_in_folder(path, f"{prefix}-{what}") for what in ("images-idx3-ubyte", "labels-idx1-ubyte")]
        found[part], _ = read_images(*pair)
    return found


def _in_folder(folder: Path, name: str) -> Path:
    for candidate in (folder / f"{name}.gz", folder / name):
        if candidate.is_file():
            return candidate
    raise InputError(
        f"{folder} has no {name} or {name}.gz; an MNIST-like folder has train- and t10k-, images and labels"
    )


def _as_images(x: Tensor) -> Tensor:
    return x[:, None] if x.dim() == 3 else x
