"""Moving MNIST (Srivastava, Mansimov & Salakhutdinov 2015, arXiv:1502.04681): digits that drift and bounce in a frame.

Each digit starts anywhere, moves in any direction at one speed, and is thrown back by the walls; where digits overlap,
the brighter one is seen. Pixels are binary by default, each 1 with the probability of its grey value, so that the
entropy of a clip given its grey values is known: no model's expected negative log-likelihood is below it.
"""

import math
from functools import partial

import torch
from jaxtyping import Float, Int64, Num, UInt8
from torch import Tensor
from torch.nn import functional as F

from ancestral.data.catalogue import BUILTINS, builtin
from ancestral.data.dataset import Data
from ancestral.data.files import Store
from ancestral.data.mnist import draw_pixels
from ancestral.data.split import Split
from ancestral.interface import Binary, Event, InputError, Levels

_SOURCES = ("mnist", "digits")
_LABELS = ("digit", "direction")
#: Eighths of a turn, from the right by way of down.
DIRECTIONS = ("right", "down right", "down", "down left", "left", "up left", "up", "up right")
#: The side of an MNIST digit, and of the frame that it moves in.
_DIGIT, _SIDE = 28, 64
#: Clips rendered at once: bounds the memory.
_AT_ONCE = 256


@builtin("moving-mnist", "(20, 1, 64, 64), binary")
def moving_mnist(
    store: Store,
    seed: int,
    n: int = 10_000,
    frames: int = 20,
    side: int = _SIDE,
    digits: int = 2,
    digit_side: int | None = None,
    speed: float = 0.1,
    levels: int = 2,
    source: str | None = None,
    label: str = "digit",
) -> Data:
    """Clips of handwritten digits that move and bounce; training clips are drawn anew each time they are seen.

    `n` clips in all, 80/10/10, those of each split of the digits of that split. `side` and `digit_side` are of a frame
    and of a digit in pixels (by default as large in it as 28 in 64); `speed` is the way in a frame's time, as a share
    of the way between two walls. Of 2 `levels` pixels are binary, drawn with the probability of their grey value;
    `factors` of validation and test then have the grey values as `intensity`, 0 to 255. With one digit, it is the
    label; or, with label="direction", the eighth of a turn in which it sets out: then training clips are drawn but
    once. `source` is mnist, or digits, the small ones of scikit-learn enlarged: these by default if MNIST is absent.
    """
    size = digit_side or max(1, round(_DIGIT * side / _SIDE))
    if n < 10:
        raise InputError(f"n must be at least 10, to be split 80/10/10, got {n}")
    if min(frames, digits, size) < 1 or size > side:
        raise InputError(
            f"frames, digits and digit_side must be at least 1, and a digit at most as large as a frame,"
            f" got frames={frames}, digits={digits}, digit_side={size}, side={side}"
        )
    if not 2 <= levels <= 256 or not 0 <= speed < math.inf:
        raise InputError(f"levels must be 2 to 256 and speed at least 0, got levels={levels}, speed={speed}")
    if label not in _LABELS or (label == "direction" and digits > 1):
        raise InputError(
            f"label must be {' or '.join(_LABELS)}, and of the direction of one digit, got label={label!r} and"
            f" digits={digits}"
        )
    source = source or _SOURCES[0 if BUILTINS[_SOURCES[0]].info(store).available else 1]
    if source not in _SOURCES:
        raise InputError(f"source must be {' or '.join(_SOURCES)}, got {source!r}")
    still = BUILTINS[source].load(store=store, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    event = Event((frames, 1, side, side), Binary() if levels == 2 else Levels(levels))
    splits: dict[str, Split] = {}
    for part, count in {"train": n - n // 10 * 2, "valid": n // 10, "test": n // 10}.items():
        pool = still.splits[part]
        chosen = torch.randint(len(pool), (count, digits), generator=generator)
        images = _resized(pool.x[chosen.flatten()], size, still.event.values or 0).unflatten(0, chosen.shape)
        angle = 2 * math.pi * torch.rand(count, digits, generator=generator) if label == "direction" else None
        y = None if pool.y is None or digits > 1 else pool.y[chosen[:, 0]]
        y = y if angle is None else eighths(angle[:, 0])
        name = f"moving-mnist ({part})"
        if part == "train" and angle is None:
            draw = partial(_clips, frames=frames, side=side, speed=speed, levels=levels)
            splits[part] = Split(images, event, y, draw=draw, name=name)
        else:
            grey = moving(images, frames, side, speed, generator, angle)
            factors = {"intensity": grey} if levels == 2 else {}
            splits[part] = Split(quantised(grey, levels, generator), event, y, factors=factors, name=name)
    note = f"{frames} frames of {side} x {side}, {digits} of {source} in each, drawn by seed {seed}"
    classes = DIRECTIONS if label == "direction" else still.classes if digits == 1 else None
    return Data("moving-mnist", event, splits["train"], splits["valid"], splits["test"], classes, note=note)


def moving(
    images: UInt8[Tensor, "n digits height width"],
    frames: int,
    side: int,
    speed: float,
    generator: torch.Generator | None = None,
    angle: Float[Tensor, "n digits"] | None = None,
) -> UInt8[Tensor, "n frames 1 side side"]:
    """Grey clips of these digits, each from a start and in a direction of its own, or at an `angle` from the right by
    way of down."""
    n, digits, size, _ = images.shape
    start = torch.rand(n, digits, 2, generator=generator)
    if angle is None:
        angle = 2 * math.pi * torch.rand(n, digits, generator=generator)
    velocity = speed * torch.stack([angle.sin(), angle.cos()], dim=-1)
    places = (bouncing(start, velocity, frames) * (side - size)).round().long()
    return torch.cat([_rendered(*part, side) for part in zip(images.split(_AT_ONCE), places.split(_AT_ONCE))])


def bouncing(
    start: Float[Tensor, "n digits 2"], velocity: Float[Tensor, "n digits 2"], frames: int
) -> Float[Tensor, "n digits frames 2"]:
    """Where they are at each time between walls at 0 and 1: straight on in a world that the walls mirror."""
    time = torch.arange(frames)[:, None]
    return 1 - (1 - (start[:, :, None] + velocity[:, :, None] * time) % 2).abs()


def eighths(angle: Float[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """The number of the nearest of `DIRECTIONS`."""
    return (angle * (4 / math.pi)).round().long() % len(DIRECTIONS)


def quantised(
    grey: UInt8[Tensor, "*shape"], levels: int, generator: torch.Generator | None = None
) -> UInt8[Tensor, "*shape"]:
    """Grey values in so many levels; two are drawn, 1 with the probability of the grey value."""
    if levels == 2:
        return draw_pixels(grey, generator)
    return (grey * ((levels - 1) / 255)).round().to(torch.uint8)


def _clips(images: Tensor, *, frames: int, side: int, speed: float, levels: int) -> Tensor:
    """Clips of these digits, drawn from the global generator."""
    return quantised(moving(images, frames, side, speed), levels)


def _rendered(images: Tensor, places: Int64[Tensor, "n digits frames 2"], side: int) -> Tensor:
    """The digits at these rows and columns of their upper left corners, the brighter one where two overlap."""
    n, _, size, _ = images.shape
    frames = places.shape[2]
    inside = torch.arange(size)[:, None] * side + torch.arange(size)
    corner = places[..., 0] * side + places[..., 1]
    at = (corner[..., None, None] + inside).flatten(3).transpose(1, 2).flatten(2)
    ink = images.flatten(2)[:, None].expand(-1, frames, -1, -1).flatten(2)
    canvas = images.new_zeros(n, frames, side * side)
    return canvas.scatter_reduce_(2, at, ink, "amax").view(n, frames, 1, side, side)


def _resized(x: Num[Tensor, "n 1 height width"], size: int, levels: int) -> UInt8[Tensor, "n _ _"]:
    """Images of so many levels as grey values 0 .. 255 of another size."""
    grey = x.float() * (255 / (levels - 1))
    if size != x.shape[-1]:
        grey = F.interpolate(grey, size=(size, size), mode="bilinear", antialias=True)
    return grey[:, 0].round().clamp(0, 255).to(torch.uint8)
