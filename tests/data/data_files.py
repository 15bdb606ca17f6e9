"""Small files in the formats that are read, made by hand."""

import gzip
import io
import itertools
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image


def pixels(*shape: int) -> np.ndarray:
    """Bytes that differ from place to place."""
    return (np.arange(np.prod(shape)) * 37 % 251).astype(np.uint8).reshape(shape)


def idx(array: np.ndarray) -> bytes:
    """The IDX file of an array of bytes."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx_set(folder: Path, train: int = 60, test: int = 20) -> None:
    """The four files of an MNIST-like set of 4x5 images."""
    folder.mkdir(exist_ok=True)
    for prefix, n in (("train", train), ("t10k", test)):
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pixels(n, 4, 5))))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx((np.arange(n) % 3).astype(np.uint8)))


def write_spoken_digits(path: Path, recordings: int = 12, rate: int = 8000) -> None:
    """A zip of `recordings` of the digits 0 to 9 by bea and adam; of each sound the first value is its digit over 10,
    the second its speaker (adam 0, bea 1) over 10 and the third its index over 100, and it is 100 + index long."""
    with zipfile.ZipFile(path, "w") as archive:
        for digit, speaker, index in itertools.product(range(10), ("bea", "adam"), range(recordings)):
            wave = np.zeros(100 + index, dtype=np.float32)
            wave[:3] = digit / 10, ["adam", "bea"].index(speaker) / 10, index / 100
            stream = io.BytesIO()
            soundfile.write(stream, wave, rate, format="WAV", subtype="FLOAT")
            archive.writestr(f"recordings/{digit}_{speaker}_{index}.wav", stream.getvalue())


def png(array: np.ndarray) -> bytes:
    """The PNG of (h, w) or (h, w, channels)."""
    out = io.BytesIO()
    Image.fromarray(array).save(out, "png")
    return out.getvalue()


def write_image_folder(folder: Path, n: int = 6, size: int = 8) -> None:
    """`train/` and `test/` of two classes with n images each."""
    for split in ("train", "test"):
        for index, label in enumerate(("ape", "bee")):
            (folder / split / label).mkdir(parents=True)
            for number in range(n):
                array = np.full((size, size, 3), number, np.uint8)
                array[..., 0], array[..., 2] = index, split == "test"
                (folder / split / label / f"{number:02}.png").write_bytes(png(array))


def cifar_archive(path: Path, records: int = 4, **replaced: bytes) -> None:
    """The binary CIFAR-10 archive; `replaced` gives the content of single files, by name without .bin."""
    with tarfile.open(path, "w:gz") as archive:
        for batch, name in enumerate([*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]):
            table = pixels(records, 3073)
            table[:, 0], table[:, 1] = np.arange(records) % 10, batch
            content = replaced.get(name, table.tobytes())
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
