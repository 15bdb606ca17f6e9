"""Which values of an observation are kept, and which are filled in: by words such as 'top-half', or by a picture.

The words name a part of one axis, or the middle of several: of images rows and columns, of sequences time, of clips
frames or, in every frame alike, rows and columns.
"""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from ancestral.data.images import IMAGES, load_images
from ancestral.interface import Columns, Event, InputError
from ancestral.suggestions import did_you_mean


@dataclass(frozen=True)
class _Kind:
    """What the words mean for events of one kind."""

    name: str
    #: The axis that each side is a part of, and whether it is its end.
    sides: dict[str, tuple[int, bool]]
    #: The axes that the centre is of.
    middle: tuple[int, ...]
    #: What a whole number counts on each axis.
    units: dict[int, str]


_SIDES = {"top": (-2, False), "bottom": (-2, True), "left": (-1, False), "right": (-1, True)}
_PIXELS = {-2: "rows", -1: "columns"}
#: By the number of axes of an event.
_KINDS = {
    1: _Kind("sequences", {"first": (-1, False), "last": (-1, True)}, (-1,), {-1: "steps"}),
    3: _Kind("images", _SIDES, (-2, -1), _PIXELS),
    4: _Kind("clips", {"first": (-4, False), "last": (-4, True), **_SIDES}, (-2, -1), {-4: "frames", **_PIXELS}),
}


def kept_by_words(words: str, event: Event) -> Bool[Tensor, "*event"]:
    """The mask that is true where `words` say that values of an event are kept.

    A side, 'top', 'bottom', 'left' or 'right' of an image (colours, height, width), 'first' or 'last' of a sequence
    (time,); all six of a clip (frames, colours, height, width), where the last two are of its frames. How much follows
    as a share or as a whole number: 'top:0.25', 'first:4'; 'top-half' is 'top:0.5'. 'centre' keeps the middle of every
    axis ('centre:0.25' a quarter of the height and of the width), 'outside' all but it. 'every:4' keeps every fourth
    row and column of images and frames from the first on: an image of a quarter of the resolution.

        >>> kept_by_words("left:1", Event((1, 2, 3), Binary()))[0].int()
        tensor([[1, 0, 0],
                [1, 0, 0]], dtype=torch.int32)
    """
    kind = _kind_of(event)
    if (step := _spacing(words)) is not None and kind.name != "sequences":
        if not 2 <= step < max(event.shape[-2:]):
            raise InputError(
                f"'every:N' keeps every N-th row and column, N from 2 to {max(event.shape[-2:]) - 1} in {kind.name} of"
                f" {_by(event.shape[-2:])} pixels, got {words!r}"
            )
        kept = torch.zeros(event.shape, dtype=torch.bool)
        kept[..., ::step, ::step] = True
        return kept
    side, amount = _parsed(words, kind)
    if side in kind.sides:
        axis, from_end = kind.sides[side]
        count = _count(words, amount, event.shape[axis], kind.units[axis])
        start = event.shape[axis] - count if from_end else 0
        return _box(event, {axis: (start, count)})
    counts = {axis: _count(words, amount, event.shape[axis], kind.units[axis]) for axis in kind.middle}
    inside = _box(event, {axis: ((event.shape[axis] - count) // 2, count) for axis, count in counts.items()})
    return inside if side == "centre" else ~inside


def _spacing(words: str) -> int | None:
    """The N of 'every:N', by default 2; None of other words."""
    side, _, amount = words.strip().lower().partition(":")
    if side != "every":
        return None
    return int(amount or 2) if (amount or "2").isdecimal() else 0


def kept_by_picture(path: Path, event: Event) -> Bool[Tensor, "*event"]:
    """The mask of a picture that is white where values are kept and black where they are filled in.

    It has the height and the width of the event's images; of a clip it holds in every frame. What is neither black nor
    white counts as the nearer of them, with a warning.
    """
    kind = _kind_of(event)
    if kind.name == "sequences":
        raise InputError(f"a mask as a picture is of images, and the data are {kind.name}; say what to keep in words")
    if not path.is_file():
        raise InputError(f"there is no mask {str(path)!r}")
    if path.suffix.lower() not in IMAGES:
        raise InputError(f"a mask is a picture, as mask.png, got {str(path)!r}")
    x = load_images(path, None, None, grey=True).train
    light, brightest = x.x[0, 0], (x.event.values or 256) - 1
    if light.shape != event.shape[-2:]:
        raise InputError(
            f"the mask {path} is {_by(light.shape)} pixels (height x width), but the {kind.name} are"
            f" {_by(event.shape[-2:])}; make the mask of that size"
        )
    kept = 2 * light.long() > brightest
    if bool(kept.all()):
        raise InputError(f"the mask {path} is all white, which is kept; paint black what is to be filled in")
    if not bool(kept.any()):
        raise InputError(f"the mask {path} is all black, which is filled in; paint white what is to be kept")
    if grey := int(((light > 0) & (light < brightest)).sum()):
        warnings.warn(
            f"{grey} of {light.numel()} pixels of the mask {path} are neither black nor white: lighter ones than middle"
            " grey are kept",
            stacklevel=2,
        )
    return kept.expand(event.shape)


def _kind_of(event: Event) -> _Kind:
    kind = _KINDS.get(len(event.shape))
    if kind is None or isinstance(event.support, Columns):
        what = "a table" if isinstance(event.support, Columns) else f"observations of shape {event.shape}"
        raise InputError(
            f"what to keep can be said of {', '.join(kind.name for kind in _KINDS.values())}; in {what} leave empty"
            " (NaN) what is to be filled in"
        )
    return kind


def _parsed(words: str, kind: _Kind) -> tuple[str, int | float]:
    """The side and how much of it: a share below 1, or a whole number."""
    side, colon, amount = words.strip().lower().partition(":")
    if not colon and side.endswith("-half"):
        side, amount = side.removesuffix("-half"), "0.5"
    known = [*kind.sides, "centre", "outside", *([] if kind.name == "sequences" else ["every"])]
    if side not in known:
        hint = did_you_mean(side, known)
        raise InputError(
            f"of {kind.name} {', '.join(known)} can be kept, got {words!r}{hint}; for example {known[0]}:0.5"
        )
    amount = amount or "0.5"
    value: int | float
    try:
        value = float(amount) if "." in amount else int(amount)
    except ValueError:
        value = math.nan
    if not (0 < value < 1 or isinstance(value, int)):
        raise InputError(
            f"how much to keep is a share between 0 and 1 or a whole number, as {side}:0.25 or {side}:3, got {words!r}"
        )
    return side, value


def _count(words: str, amount: int | float, size: int, unit: str) -> int:
    """How many of `size` a share or a number is."""
    count = amount if isinstance(amount, int) else math.floor(amount * size + 0.5)
    if not 0 < count < size:
        raise InputError(f"{words!r} is {count} of {size} {unit}; at least one must be kept, and one filled in")
    return count


def _box(event: Event, ranges: dict[int, tuple[int, int]]) -> Tensor:
    """True in a range of each of these axes, (start, count), and along all of the others."""
    mask = torch.ones(event.shape, dtype=torch.bool)
    for axis, (start, count) in ranges.items():
        places = torch.arange(event.shape[axis])
        inside = (places >= start) & (places < start + count)
        mask &= inside.view(-1, *[1] * (-1 - axis))
    return mask


def _by(sides: tuple[int, ...]) -> str:
    return "x".join(map(str, sides))
