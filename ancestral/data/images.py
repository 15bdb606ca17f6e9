"""Folders and zip archives of images; what their folders stand for is said in `entries`."""

import io
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from ancestral.data.assembly import SPLITS, Rows, assemble
from ancestral.data.dataset import Data
from ancestral.data.entries import UNLABELLED, Entry, Tree, open_tree
from ancestral.interface import Binary, InputError, Levels, Support

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"})

# The modes that are kept as they are, with their channels; a palette is what it stands for, colours.
_CHANNELS = {"1": 1, "L": 1, "RGB": 3, "RGBA": 4}


def load_images(
    path: Path, seed: int, support: Support | None, *, size: int | Sequence[int] | None = None, grey: bool = False
) -> Data:
    """The images in a folder or a zip archive, (channels, height, width) of 256 levels.

    Args:
        path: The folder or archive; its folders are splits, classes or domains, see `load_data`.
        seed: Draws the splits that there are no top folders for.
        support: By default `Levels(256)`, and `Binary()` for images of one bit.
        size: The side, or (height, width), to which every image is resized.
        grey: Take every image as grey.
    """
    sides = [size, size] if isinstance(size, int) else size
    if sides is not None and (len(sides) != 2 or min(sides) < 1):
        raise InputError(f"size must be a side or (height, width), each at least 1, got {size}")
    with open_tree(path) as tree:
        entries = tree.entries(IMAGES)
        pixels, mode = _decode(tree, entries, sides, grey)
    default = Binary() if mode == "1" else Levels(256)
    parts, names = group(entries, pixels)
    return assemble(path.name, parts, seed=seed, support=support or default, **names)


def group(entries: Sequence[Entry], x: Tensor) -> tuple[dict[str, Rows], dict[str, Any]]:
    """Rows by the splits of their files, and the names of the `classes`, or `domains`, that their folders stand for."""
    names = sorted({entry.label for entry in entries if entry.label not in (None, UNLABELLED)})
    number = {name: index for index, name in enumerate(names)}
    parts = {}
    for split in SPLITS:
        rows = [row for row, entry in enumerate(entries) if entry.split == split]
        if rows:
            labels = torch.tensor([number.get(entries[row].label or UNLABELLED, -1) for row in rows])
            parts[split] = Rows(x[torch.tensor(rows)], labels if names else None)
    kind = "domains" if entries[0].is_domain else "classes"
    return parts, {kind: tuple(names)} if names else {}


def _decode(
    tree: Tree, entries: list[Entry], size: Sequence[int] | None, grey: bool
) -> tuple[UInt8[Tensor, "n channels height width"], str]:
    """All images as one tensor, and their one mode."""
    open_image = _opener(tree, size, grey)
    first, mode = open_image(entries[0])
    pixels = torch.empty(len(entries), *first.shape, dtype=torch.uint8)
    for row, entry in enumerate(entries):
        image, found = open_image(entry)
        if (image.shape, found) != (first.shape, mode):
            raise InputError(
                f"{entry.path} in {tree.source} is {_words(image, found)}, but {entries[0].path} is"
                f" {_words(first, mode)}; images must have one size and mode: pass size= to resize, grey=True for grey"
            )
        pixels[row] = torch.from_numpy(image)
    return pixels, mode


def _opener(tree: Tree, size: Sequence[int] | None, grey: bool) -> Callable[[Entry], tuple[np.ndarray, str]]:
    from PIL import Image

    def open_image(entry: Entry) -> tuple[np.ndarray, str]:
        content = tree.read(entry)
        try:
            with Image.open(io.BytesIO(content)) as image:
                mode = "L" if grey else "RGB" if image.mode == "P" else image.mode
                if mode not in _CHANNELS:
                    raise InputError(
                        f"{entry.path} in {tree.source} has the mode {mode}, expected one of {', '.join(_CHANNELS)};"
                        " convert it, or pass grey=True"
                    )
                picture = image if image.mode == mode else image.convert(mode)
                if size is not None:
                    picture = picture.resize((size[1], size[0]), Image.Resampling.LANCZOS)
                pixels = np.array(picture, dtype=np.uint8)
        except InputError:
            raise
        except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
            raise InputError(
                f"{entry.path} in {tree.source} ({len(content)} bytes) is no image, or a damaged one ({error})"
            ) from error
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1), mode

    return open_image


def _words(image: np.ndarray, mode: str) -> str:
    return f"{image.shape[1]}x{image.shape[2]} {mode}"
