"""Images, folders and zip archives of them; what their folders stand for is said in `entries`."""

import io
import itertools
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from ancestral.data.assembly import SPLITS, Rows, assemble
from ancestral.data.captions import Captions, read_captions
from ancestral.data.dataset import Data
from ancestral.data.entries import UNLABELLED, Entry, Tree, open_tree
from ancestral.interface import Binary, InputError, Levels, Support

if TYPE_CHECKING:
    from PIL import Image

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"})

# The formats of which several frames are a clip; several pages of a TIFF are not.
_ANIMATED = ("GIF", "WEBP", "PNG")
# The modes that are kept as they are; a palette is what it stands for, colours.
_MODES = ("1", "L", "LA", "RGB", "RGBA")


def load_images(
    path: Path,
    seed: int | None,
    support: Support | None,
    *,
    size: int | Sequence[int] | None = None,
    grey: bool = False,
    clips: bool = False,
    length: int | None = None,
    captions: str | None = None,
    classes: Sequence[str] = (),
) -> Data:
    """The images in a folder or a zip archive, or one image, (channels, height, width) of 256 levels; of animations
    (GIF, WebP, PNG), and with `clips` of folders of frames, clips of all their frames, (frames, channels, height,
    width).

    They are turned as their EXIF orientation says. Alpha is a fourth channel where all images have colours and alpha;
    otherwise what is transparent is laid on white, with a warning.

    Args:
        path: The folder, archive or image; its folders are splits, classes or domains, see `load_data`.
        seed: Draws the splits that there are no top folders for.
        support: By default `Levels(256)`, and `Binary()` for images of one bit. Fewer levels are taken as `save_images`
            writes them, from black to white; what lies between two is the nearer, with a warning.
        size: The side, or (height, width), to which every image is resized.
        grey: Take every image as grey.
        clips: Take each folder that holds images as a clip, its frames in the order of their names and numbers.
        length: Of every clip at most so many of its first frames; without it clips must have one length.
        captions: A table (.csv, .tsv or .parquet), in the folder or elsewhere, with the columns `file`, a path in the
            folder (with or without the folder's own name before) or a name, and `caption`: what `context=captions` is.
        classes: The names of known classes, whose folders label files even where there is one alone.
    """
    sides = [size, size] if isinstance(size, int) else size
    if sides is not None and (len(sides) != 2 or min(sides) < 1):
        raise InputError(f"size must be a side or (height, width), each at least 1, got {size}")
    if length is not None and length < 1:
        raise InputError(f"length must be at least 1, got {length}")
    with open_tree(path) as tree:
        entries = tree.entries(IMAGES, classes, of_frames=clips)
        pixels, mode = _decode(tree, entries, sides, grey, length)
    if length is not None and pixels.ndim == 4:
        warnings.warn(
            f"{path}: length= cuts clips, and these are images; folders of frames are clips with clips=True",
            stacklevel=2,
        )
    support = support or (Binary() if mode == "1" else Levels(256))
    said = None if captions is None else read_captions(captions, path, [entry.path for entry in entries])
    parts, names = group(entries, _in_levels(pixels, 1 if mode == "1" else 255, support, path.name), said)
    return assemble(path.name, parts, seed=seed, support=support, **names)


def group(
    entries: Sequence[Entry], x: Tensor, captions: Captions | None = None
) -> tuple[dict[str, Rows], dict[str, Any]]:
    """Rows by the splits of their files; the names of the `classes`, or `domains`, that their folders stand for, and
    the words of their captions."""
    names = sorted({entry.label for entry in entries if entry.label not in (None, UNLABELLED)})
    number = {name: index for index, name in enumerate(names)}
    parts = {}
    for split in SPLITS:
        rows = [row for row, entry in enumerate(entries) if entry.split == split]
        if rows:
            labels = torch.tensor([number.get(entries[row].label or UNLABELLED, -1) for row in rows])
            files = np.array([str(entries[row].path) for row in rows], dtype=object)
            said = None if captions is None else captions.tokens[torch.tensor(rows)]
            parts[split] = Rows(x[torch.tensor(rows)], labels if names else None, {"file": files}, said)
    kind = "domains" if entries[0].is_domain else "classes"
    words = {} if captions is None else {"vocabulary": captions.vocabulary}
    return parts, {**({kind: tuple(names)} if names else {}), **words}


def _in_levels(pixels: UInt8[Tensor, "*shape"], white: int, support: Support, name: str) -> UInt8[Tensor, "*shape"]:
    """Pixels from 0 to `white` as the levels of a support, from the least for black to the greatest for white."""
    if not isinstance(support, Binary | Levels) or (support.values or 0) > 256:
        return pixels
    brightest = (support.values or 0) - 1
    if brightest == white:
        return pixels
    levels = torch.arange(white + 1) * brightest / white
    taken = torch.floor(levels + 0.5)
    back = torch.floor(taken * white / brightest + 0.5)
    exact = (back == torch.arange(white + 1))[pixels.long()]
    if not bool(exact.all()):
        warnings.warn(
            f"{name}: {100 * (~exact).double().mean():.0f}% of the pixels lie between the {support.values} levels asked"
            " for, and are taken as the nearest of them",
            stacklevel=3,
        )
    return taken.to(torch.uint8)[pixels.long()]


def _decode(
    tree: Tree, entries: list[Entry], size: Sequence[int] | None, grey: bool, length: int | None
) -> tuple[UInt8[Tensor, "n *shape"], str]:
    """All images as one tensor, and their one mode; alpha is a fourth channel where every colour image has one."""
    first, _, mode = _open(tree, entries[0], size, grey, length)
    pixels = torch.empty(len(entries), *first.shape, dtype=torch.uint8)
    alphas: dict[int, np.ndarray] = {}
    for row, entry in enumerate(entries):
        image, alpha, found = _open(tree, entry, size, grey, length)
        if len(image.shape) == len(first.shape) == 4 and len(image) != len(first):
            raise InputError(
                f"{entry.path} in {tree.source} has {len(image)} frames, but {entries[0].path} has {len(first)}; clips"
                " must be of one length: pass length= for as many first frames as the shortest has"
            )
        if (image.shape, found) != (first.shape, mode):
            raise InputError(
                f"{entry.path} in {tree.source} is {_words(image, found)}, but {entries[0].path} is"
                f" {_words(first, mode)}; images must have one size and mode: pass size= to resize, grey=True for grey"
            )
        pixels[row] = torch.from_numpy(image)
        if alpha is not None:
            alphas[row] = alpha
    if mode == "RGB" and len(alphas) == len(entries):
        return torch.cat([pixels, torch.from_numpy(np.stack([alphas[row] for row in range(len(entries))]))], 1), mode
    for row, alpha in alphas.items():
        pixels[row] = torch.from_numpy(_laid_on_white(pixels[row].numpy(), alpha))
    if seen_through := [row for row, alpha in alphas.items() if alpha.min() < 255]:
        warnings.warn(
            f"{tree.source}: {len(seen_through)} of {len(entries)} images, such as {entries[seen_through[0]].path}, are"
            " transparent in places and not all have colours with alpha: they are laid on white",
            stacklevel=2,
        )
    return pixels, mode


def _open(
    tree: Tree, entry: Entry, size: Sequence[int] | None, grey: bool, length: int | None
) -> tuple[UInt8[np.ndarray, "*frames channels height width"], UInt8[np.ndarray, "1 height width"] | None, str]:
    """An image as it is meant to be looked at, its alpha where it has one, and its mode without; of an animation its
    first `length` frames, or all, in colours or grey, with what is transparent laid on white."""
    from PIL import Image, ImageSequence, UnidentifiedImageError

    if entry.frames:
        return _open_frames(tree, entry, size, grey, length)
    content = tree.read(entry)
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.format not in _ANIMATED or getattr(image, "n_frames", 1) == 1:
                return _values_of(tree, entry, image, size, grey)
            # The first frame of a GIF may be a palette, and those after it colours.
            frames = [
                _values_of(tree, entry, _on_white(frame), size, grey)[0]
                for frame in itertools.islice(ImageSequence.Iterator(image), length)
            ]
            return np.stack(frames), None, "L" if grey else "RGB"
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(
            f"{entry.path} in {tree.source} ({len(content)} bytes) is no image of a known format; convert or remove it"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise InputError(
            f"{entry.path} in {tree.source} ({len(content)} bytes) is no image, or a damaged one ({error})"
        ) from error


def _open_frames(
    tree: Tree, entry: Entry, size: Sequence[int] | None, grey: bool, length: int | None
) -> tuple[UInt8[np.ndarray, "frames channels height width"], None, str]:
    """The clip of a folder of frames, what is transparent laid on white, and its mode."""
    frames: list[np.ndarray] = []
    first_mode = ""
    for path in entry.frames[:length]:
        image, alpha, mode = _open(tree, Entry(path, entry.split, entry.label), size, grey, None)
        first_mode = first_mode or mode
        if image.ndim > 3:
            raise InputError(
                f"{path} in {tree.source} is an animation, which is a clip of its own and no frame of one; leave clips="
                " out for a folder of animations"
            )
        if frames and (image.shape, mode) != (frames[0].shape, first_mode):
            raise InputError(
                f"{path} in {tree.source} is {_words(image, mode)}, but {entry.frames[0].name} is"
                f" {_words(frames[0], first_mode)}; the frames of a clip are images of one size and mode: pass size= to"
                " resize, grey=True for grey"
            )
        frames.append(image if alpha is None else _laid_on_white(image, alpha))
    return np.stack(frames), None, first_mode


def _laid_on_white(
    image: UInt8[np.ndarray, "*shape"], alpha: UInt8[np.ndarray, "*alpha"]
) -> UInt8[np.ndarray, "*shape"]:
    return (image * (alpha / 255) + (255 - alpha) + 0.5).astype(np.uint8)


def _on_white(frame: "Image.Image") -> "Image.Image":
    """A frame in colours."""
    from PIL import Image

    frame = frame.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", frame.size, "white"), frame).convert("RGB")


def _values_of(
    tree: Tree, entry: Entry, image: "Image.Image", size: Sequence[int] | None, grey: bool
) -> tuple[UInt8[np.ndarray, "channels height width"], UInt8[np.ndarray, "1 height width"] | None, str]:
    """The values of an image, turned as its EXIF orientation says, its alpha, and its mode."""
    from PIL import Image, ImageOps

    picture = ImageOps.exif_transpose(image)
    if picture.mode.startswith("I;16"):
        warnings.warn(f"{tree.source}: images of 16 bits are taken as 8, 256 levels, to the nearest", stacklevel=2)
        picture = Image.fromarray(((np.array(picture, dtype=np.uint32) + 128) // 257).astype(np.uint8))
    if picture.mode == "P":
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    if grey and picture.mode not in ("LA", "RGBA"):
        picture = picture.convert("L")
    if grey and picture.mode == "RGBA":
        picture = picture.convert("LA")
    if picture.mode not in _MODES:
        raise InputError(
            f"{entry.path} in {tree.source} has the mode {picture.mode}, expected one of {', '.join(_MODES)};"
            " convert it, or pass grey=True"
        )
    if size is not None:
        picture = picture.resize((size[1], size[0]), Image.Resampling.LANCZOS)
    pixels, mode = np.array(picture, dtype=np.uint8), picture.mode
    channels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    if mode.endswith("A"):
        return channels[:-1], channels[-1:], mode[:-1]
    return channels, None, mode


def _words(image: np.ndarray, mode: str) -> str:
    frames = f"{len(image)} frames of " if image.ndim == 4 else ""
    return f"{frames}{image.shape[-2]}x{image.shape[-1]} {mode}"
