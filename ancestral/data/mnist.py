"""MNIST (LeCun et al. 1998), its binarized and dequantized forms, and Fashion-MNIST (Xiao et al. 2017)."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ancestral.data.assembly import Rows, assemble
from ancestral.data.catalogue import builtin
from ancestral.data.dataset import Data
from ancestral.data.files import SourceFile, Store
from ancestral.data.idx import read_images
from ancestral.data.split import Split
from ancestral.data.twins import with_twin
from ancestral.interface import Binary, InputError, Levels, Real

_SHAPE = (1, 28, 28)
_VALID = 10_000
_COUNTS = {"train": 60_000, "test": 10_000}
_DIGITS = tuple(str(digit) for digit in range(10))
_GARMENTS = (
    "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip

# The published MD5 sums of the unpacked image files; how they are packed may differ.
_UNPACKED = {"train": "6bbc9ace898e44ae57da46a324031adb", "test": "2646ac647ad5339dbf082846283269ea"}


def _files(folder: str, url: str, md5: Sequence[str], megabytes: float) -> tuple[SourceFile, ...]:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(
        SourceFile(f"{folder}/{name}-ubyte.gz", f"{url}{name}-ubyte.gz", checksum, megabytes / 4)
        for name, checksum in zip(names, md5)
    )


_MNIST = _files(
    "mnist",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
    11.6,
)
_FASHION = _files(
    "fashion-mnist",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    30.9,
)


@builtin("mnist", "(1, 28, 28), 256 levels", _MNIST)
def mnist(store: Store, seed: int, twin: str | None = None) -> Data:
    """Handwritten digits with labels: 50,000 / 10,000 / 10,000, the last of the training file for validation.

    With a `twin` (rotated, inverted, thick, coloured, or several as inverted+coloured) two domains without pairs.
    """
    data = assemble("mnist", _read(_MNIST, store, _UNPACKED), seed=seed, support=Levels(256), classes=_DIGITS)
    return data if twin is None else with_twin(data, twin, seed)


@builtin("fashion-mnist", "(1, 28, 28), 256 levels", _FASHION)
def fashion_mnist(store: Store, seed: int) -> Data:
    """Pictures of clothes with labels, in the form of MNIST."""
    return assemble("fashion-mnist", _read(_FASHION, store, {}), seed=seed, support=Levels(256), classes=_GARMENTS)


@builtin("binarized-mnist", "(1, 28, 28), binary", _MNIST)
def binarized_mnist(store: Store, seed: int) -> Data:
    """MNIST binarized once: each pixel is 1 with the probability x / 255, drawn by the seed."""
    parts = _binarized(_read(_MNIST, store, _UNPACKED), seed)
    return assemble(
        "binarized-mnist", parts, seed=seed, support=Binary(), classes=_DIGITS, note=f"static (seed {seed})"
    )


@builtin("binarized-mnist-dynamic", "(1, 28, 28), binary", _MNIST)
def binarized_mnist_dynamic(store: Store, seed: int) -> Data:
    """MNIST with training pixels drawn anew each time they are seen; valid and test drawn once by the seed."""
    grey = _read(_MNIST, store, _UNPACKED)
    fixed = assemble("binarized-mnist-dynamic", _binarized(grey, seed), seed=seed, support=Binary(), classes=_DIGITS)
    train = Split(grey["train"].x, fixed.event, fixed.train.y, draw=draw_pixels, name="binarized-mnist-dynamic (train)")
    note = f"dynamic (valid and test: seed {seed})"
    return replace(fixed, train=train, note=note)


@builtin("mnist-dequantized", "(1, 28, 28), real", _MNIST)
def mnist_dequantized(store: Store, seed: int) -> Data:
    """MNIST as real numbers (x + u) / 256 in [0, 1), with u uniform, drawn once by the seed."""
    generator = torch.Generator().manual_seed(seed)
    parts = {
        part: Rows(_dequantized(rows.x, generator), rows.y)
        for part, rows in _read(_MNIST, store, _UNPACKED).items()
    }  # fmt: skip
    return assemble(
        "mnist-dequantized", parts, seed=seed, support=Real(), classes=_DIGITS, note=f"(x + u) / 256 (seed {seed})"
    )


def draw_pixels(intensity: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Pixels in {0, 1}, each 1 with the probability intensity / 255 exactly: a level of 0..254 lies below it."""
    return (torch.empty_like(intensity).random_(0, 255, generator=generator) < intensity).to(torch.uint8)


def _binarized(grey: dict[str, Rows], seed: int) -> dict[str, Rows]:
    generator = torch.Generator().manual_seed(seed)
    return {part: Rows(draw_pixels(rows.x, generator), rows.y) for part, rows in grey.items()}


def _dequantized(x: Tensor, generator: torch.Generator) -> Tensor:
    # u is (k + 1/2) / 2^15 with k uniform: x + u is exact in float32, where finer noise would round up to x + 1.
    k = torch.empty(x.shape).random_(0, 2**15, generator=generator)
    return k.add_(0.5).div_(2**15).add_(x).div_(256)


def _read(files: Sequence[SourceFile], store: Store, unpacked: dict[str, str]) -> dict[str, Rows]:
    parts = {}
    paths = store.get(*files)
    for part, path, labels in zip(("train", "test"), paths[::2], paths[1::2]):
        parts[part], content = read_images(path, labels)
        shape = tuple(parts[part].x.shape)
        if shape != (_COUNTS[part], *_SHAPE):
            raise InputError(f"{path} holds images of shape {shape}, expected {(_COUNTS[part], *_SHAPE)}")
        if part in unpacked and (found := hashlib.md5(content).hexdigest()) != unpacked[part]:
            raise InputError(f"{path} has the MD5 sum {found} when unpacked, expected {unpacked[part]}: another set?")
    rows = torch.arange(_COUNTS["train"])
    train = parts["train"]
    return {"train": train.take(rows[:-_VALID]), "valid": train.take(rows[-_VALID:]), "test": parts["test"]}
