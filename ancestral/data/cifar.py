"""CIFAR-10 (Krizhevsky 2009): the original archive of plain bytes, and a zip of JPEG images."""

import hashlib
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ancestral.data.assembly import Rows, assemble
from ancestral.data.catalogue import builtin
from ancestral.data.dataset import Data
from ancestral.data.files import SourceFile, Store
from ancestral.data.images import load_images
from ancestral.interface import InputError, Levels

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# The binary version: the Python version is a pickle, which could run any code when it is read.
_ARCHIVE = SourceFile(
    "cifar10/cifar-10-binary.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "c32a1d4ab5d03f1284b67883e8d87530",
    170.0,
)
_JPEG = SourceFile("cifar10-jpeg.zip")
_SHAPE = (3, 32, 32)
_RECORD = 1 + 3 * 32 * 32
_TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))


@builtin("cifar10", "(3, 32, 32), 256 levels", [_ARCHIVE])
def cifar10(store: Store, seed: int) -> Data:
    """Photographs of ten classes: 45,000 / 5,000 / 10,000, the last of the training files for validation."""
    [path] = store.get(_ARCHIVE)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != _ARCHIVE.md5:
        raise InputError(f"{path} has the MD5 sum {found}, expected {_ARCHIVE.md5}: damaged, or another archive")
    train, test = read_archive(path, records=10_000)
    parts = {"train": train.take(torch.arange(45_000)), "valid": train.take(torch.arange(45_000, 50_000)), "test": test}
    return assemble("cifar10", parts, seed=seed, support=Levels(256), classes=CLASSES)


@builtin("cifar10-jpeg", "(3, 32, 32), 256 levels", [_JPEG])
def cifar10_jpeg(store: Store, seed: int) -> Data:
    """CIFAR-10 as JPEG, so lossy: its bits/dim stand beside no published figure; valid is a tenth of train."""
    [path] = store.get(_JPEG)
    data = load_images(path, seed, None)
    return replace(data, name="cifar10-jpeg", note=f"lossy JPEG; valid drawn from train by seed {seed}")


def read_archive(path: Path, records: int) -> tuple[Rows, Rows]:
    """The training and the test images of the binary archive, whose six files have `records` records each.

    A record is a byte of label and 3,072 bytes of pixels: red, green, blue, each row by row.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            content = {Path(member.name).name: archive.extractfile(member) for member in archive if member.isfile()}
            parts = {name: file.read() for name, file in content.items() if file is not None}
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise InputError(f"{path} cannot be read ({error}); it is no .tar.gz archive, or a damaged one") from error
    batches = [_records(parts, name, path, records) for name in (*_TRAIN_FILES, "test_batch.bin")]
    train = Rows(
        torch.cat([rows.x for rows in batches[:-1]]), torch.cat([rows.y for rows in batches[:-1] if rows.y is not None])
    )
    return train, batches[-1]


def _records(parts: dict[str, bytes], name: str, path: Path, records: int) -> Rows:
    if name not in parts:
        raise InputError(f"{path} holds {', '.join(sorted(parts)) or 'nothing'}, but no {name}")
    if len(parts[name]) != records * _RECORD:
        raise InputError(
            f"{name} in {path} has {len(parts[name])} bytes, expected {records} records of {_RECORD}: it is damaged"
        )
    table = torch.from_numpy(np.frombuffer(parts[name], np.uint8).reshape(records, _RECORD).copy())
    y = table[:, 0].to(torch.int64)
    if int(y.max()) >= len(CLASSES):
        raise InputError(f"{name} in {path} has the label {int(y.max())} at record {int(y.argmax())}, expected 0 to 9")
    return Rows(table[:, 1:].reshape(records, *_SHAPE), y)
