"""Generated colour images of one shape each, with every factor known, and a caption."""

import math

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from ancestral.data.catalogue import builtin
from ancestral.data.dataset import Data
from ancestral.data.files import Store
from ancestral.data.split import Split
from ancestral.data.twins import Styles, unpaired, with_twin
from ancestral.interface import Event, InputError, Levels

SHAPES = ("circle", "square", "triangle", "cross", "ring")
COLOURS = {
    "red": (220, 50, 47),
    "green": (60, 170, 70),
    "blue": (50, 100, 220),
    "yellow": (235, 205, 50),
    "purple": (150, 70, 190),
    "cyan": (60, 200, 205),
    "orange": (240, 140, 40),
    "white": (240, 240, 240),
}
_BACKGROUND = (24.0, 24.0, 32.0)
# The twin in another style: its ground, and how wide its lines are in pixels.
OUTLINED = "outlined"
_LIGHT, _LINE = (190.0, 180.0, 165.0), 1.5
_SIDE = 32
# Radii in pixels; the words part the range in three, as they part the positions.
_SMALLEST, _LARGEST = 4.0, 10.0
_SIZES = ("small", "medium", "large")
_ROWS = ("top", "middle", "bottom")
_COLUMNS = ("left", "centre", "right")
# How far a shape looks the same again when turned, in radians; 0: always.
_PERIODS = (0.0, math.pi / 2, 2 * math.pi / 3, math.pi / 2, 0.0)
# A turn by less than this is not called one.
_UPRIGHT = math.radians(10)

VOCABULARY = ("", "a", "at", "the", ",", "rotated", *_SIZES, *COLOURS, *SHAPES, *_ROWS, *_COLUMNS)
_TOKEN = {word: index for index, word in enumerate(VOCABULARY)}


@builtin("shapes", "(3, 32, 32), 256 levels")
def shapes(store: Store, seed: int, n: int = 10_000, twin: str | None = None, levels: int = 256) -> Data:
    """Generated images of one shape, with its factors (shape, colour, size, position, rotation) and a caption.

    `n` images in all, 80/10/10. `factors` of a split has `shape` and `colour` (numbers), `size` (radius in pixels),
    `x` and `y` (centre in pixels from the left and the top), `rotation` (radians, clockwise, 0 up to the angle at which
    the shape looks the same again). The label is the shape; `captions` are token ids. With fewer `levels` than 256 the
    values of each colour are rounded down to so many steps of equal width.

    With a `twin` two domains without pairs: outlined (the shapes as lines on a light ground), or those of grey images
    but for the coloured one.
    """
    if n < 10:
        raise InputError(f"n must be at least 10, to be split 80/10/10, got {n}")
    if not 2 <= levels <= 256:
        raise InputError(f"levels of shapes must be from 2 to 256, got {levels}")
    factors = draw_factors(n, torch.Generator().manual_seed(seed))
    x, tokens = in_levels(render(factors), levels), captions(factors)
    event, held_out = Event((3, _SIDE, _SIDE), Levels(levels)), n // 10
    bounds = {"train": (0, n - 2 * held_out), "valid": (n - 2 * held_out, n - held_out), "test": (n - held_out, n)}
    train, valid, test = (
        Split(
            x[start:stop],
            event,
            factors["shape"][start:stop],
            factors={key: value[start:stop] for key, value in factors.items()},
            captions=tokens[start:stop],
            name=f"shapes ({part})",
        )
        for part, (start, stop) in bounds.items()
    )
    note = f"drawn by seed {seed}"
    names = {"shape": SHAPES, "colour": tuple(COLOURS)}
    data = Data("shapes", event, train, valid, test, SHAPES, factor_names=names, vocabulary=VOCABULARY, note=note)
    if twin is None:
        return data
    if twin != OUTLINED:
        return with_twin(data, twin, seed)
    styles = {
        part: Styles(split.x, in_levels(render(dict(split.factors), outlined=True), levels), split.y, split.factors)
        for part, split in data.splits.items()
    }
    return unpaired("shapes", styles, ("filled", OUTLINED), Levels(levels), seed, note)


def in_levels(x: UInt8[Tensor, "n 3 32 32"], levels: int) -> UInt8[Tensor, "n 3 32 32"]:
    """Values 0 .. 255 as 0 .. levels - 1, in steps of equal width."""
    return x if levels == 256 else (x.int() * levels // 256).to(torch.uint8)


def draw_factors(n: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Independent factors: shape and colour uniform, then size, centre and rotation uniform in their ranges."""
    shape = torch.randint(len(SHAPES), (n,), generator=generator)
    colour = torch.randint(len(COLOURS), (n,), generator=generator)
    size, x, y, turn = torch.rand(4, n, generator=generator)
    size = _SMALLEST + (_LARGEST - _SMALLEST) * size
    # The whole shape stays inside the image whatever its size and rotation.
    reach = _SIDE - 2 * _LARGEST
    rotation = turn * torch.tensor(_PERIODS)[shape]
    return {
        "shape": shape,
        "colour": colour,
        "size": size,
        "x": _LARGEST + reach * x,
        "y": _LARGEST + reach * y,
        "rotation": rotation,
    }


def render(factors: dict[str, Tensor], *, outlined: bool = False) -> UInt8[Tensor, "n 3 32 32"]:
    """The images of `factors`, anti-aliased: a pixel's share of the colour is by its distance from the outline.

    Shapes that are `outlined` are lines of their colour on a light ground.
    """
    parts = zip(*(factors[key].split(2048) for key in ("shape", "colour", "size", "x", "y", "rotation")))
    return torch.cat([_render(*part, outlined=outlined) for part in parts])


def captions(factors: dict[str, Tensor]) -> Int64[Tensor, "n tokens"]:
    """Token ids of 'a small red square at the top left, rotated', padded with 0."""
    period = torch.tensor(_PERIODS)[factors["shape"]]
    turned = torch.minimum(factors["rotation"], period - factors["rotation"]) > _UPRIGHT
    third = (_LARGEST - _SMALLEST) / 3
    reach = (_SIDE - 2 * _LARGEST) / 3
    size = ((factors["size"] - _SMALLEST) / third).long().clamp(0, 2)
    row, column = (((factors[key] - _LARGEST) / reach).long().clamp(0, 2) for key in ("y", "x"))

    def word(text: str) -> Tensor:
        return torch.full_like(size, _TOKEN[text])

    return torch.stack(
        [
            word("a"),
            _TOKEN[_SIZES[0]] + size,
            _TOKEN[next(iter(COLOURS))] + factors["colour"],
            _TOKEN[SHAPES[0]] + factors["shape"],
            word("at"),
            word("the"),
            _TOKEN[_ROWS[0]] + row,
            _TOKEN[_COLUMNS[0]] + column,
            torch.where(turned, _TOKEN[","], 0),
            torch.where(turned, _TOKEN["rotated"], 0),
        ],
        dim=1,
    )


def _render(
    shape: Tensor, colour: Tensor, size: Tensor, x: Tensor, y: Tensor, rotation: Tensor, *, outlined: bool
) -> Tensor:
    centres = torch.arange(_SIDE) + 0.5
    across = centres[None, None, :] - x[:, None, None]
    down = centres[None, :, None] - y[:, None, None]
    cos, sin = rotation.cos()[:, None, None], rotation.sin()[:, None, None]
    # Into the frame of the shape: turned back, in units of pixels.
    u, v = cos * across + sin * down, cos * down - sin * across
    distance = torch.empty(len(shape), _SIDE, _SIDE)
    for index in range(len(SHAPES)):
        chosen = shape == index
        distance[chosen] = _distance(index, u[chosen], v[chosen], size[chosen][:, None, None])
    if outlined:
        distance = torch.maximum(distance, -distance - _LINE)
    share = (0.5 - distance).clamp(0, 1)[:, None]
    ink = torch.tensor(list(COLOURS.values()), dtype=torch.float32)[colour][:, :, None, None]
    ground = torch.tensor(_LIGHT if outlined else _BACKGROUND)[:, None, None]
    return (ground + share * (ink - ground)).round().to(torch.uint8)


def _distance(shape: int, u: Tensor, v: Tensor, radius: Tensor) -> Float[Tensor, "n height width"]:
    """Pixels from the outline, negative inside (at corners, from the nearest side's line); it fits in `radius`."""
    round_distance = (u.square() + v.square()).sqrt() - radius
    if SHAPES[shape] == "circle":
        return round_distance
    if SHAPES[shape] == "ring":
        return torch.maximum(round_distance, -round_distance - 0.45 * radius)
    if SHAPES[shape] == "square":
        return torch.maximum(u.abs(), v.abs()) - radius * math.sqrt(0.5)
    if SHAPES[shape] == "triangle":
        sides = [math.sin(angle) * u + math.cos(angle) * v for angle in (0, 2 * math.pi / 3, 4 * math.pi / 3)]
        return torch.stack(sides).amax(0) - radius / 2
    long, short = 0.95 * radius, 0.3 * radius
    beams = [torch.maximum(a.abs() - long, b.abs() - short) for a, b in ((u, v), (v, u))]
    return torch.minimum(*beams)
