"""Two domains whose true pairs are known and hidden from training: images, and the same images in another style.

A training sees one half of the images as they are and the other half in the other style, so that it meets no pair; the
held-out rows are in both, and the factor `pair` says which two belong together: what a translator of unpaired images
(Zhu et al. 2017, CycleGAN) should find can be measured.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional as F

from ancestral.data.dataset import Data
from ancestral.data.split import Split
from ancestral.interface import Event, InputError, Levels
from ancestral.suggestions import did_you_mean

#: What the images as they are are called.
ORIGINAL = "original"
#: Of a coloured twin, in shares of full brightness: what black becomes, and what white becomes.
_GROUND, _INK = (0.1, 0.15, 0.4), (1.0, 0.8, 0.2)


@dataclass(frozen=True)
class Styles:
    """The images of one split in both styles, row by row, and their labels."""

    first: UInt8[Tensor, "n channels height width"]
    second: UInt8[Tensor, "n channels height width"]
    labels: Tensor | None = None
    factors: Mapping[str, Tensor] | None = None


def with_twin(data: Data, twin: str, seed: int) -> Data:
    """Grey or coloured images as one domain, and their twin as the other.

    `twin` is rotated (by a half turn), inverted (black for white), thick (each pixel as bright as the brightest of its
    3x3 neighbours), coloured (grey images on a ground of one colour in the ink of another), or several of these in
    turn, as inverted+coloured.
    """
    names = twin.split("+")
    for name in names:
        if name not in TWINS:
            raise InputError(f"there is no twin {name!r}{did_you_mean(name, TWINS)}; there are {', '.join(TWINS)}")
    assert isinstance(data.event.support, Levels)
    brightest = data.event.support.levels - 1
    coloured = "coloured" in names
    if coloured and data.event.shape[0] != 1:
        raise InputError(f"{data.name} has colours already, so it has no coloured twin")
    styles = {}
    for part, split in data.splits.items():
        other = reduce(lambda x, name: TWINS[name](x, brightest), names, split.x)
        # Both domains have as many channels.
        same = split.x.expand(-1, other.shape[1], -1, -1)
        styles[part] = Styles(same, other.expand(-1, 3, -1, -1) if coloured else other, split.y, split.factors)
    return unpaired(data.name, styles, (ORIGINAL, twin), data.event.support, seed)


def unpaired(
    name: str, styles: Mapping[str, Styles], domains: tuple[str, str], support: Levels, seed: int, note: str = ""
) -> Data:
    """Two domains of the styles of the same images: for training, halves of its rows that `seed` draws, one in each
    style; of validation and test all rows in both, with the factor `pair`. What was the label is a factor, too."""
    generator = torch.Generator().manual_seed(seed)
    splits = {}
    for part, both in styles.items():
        n = len(both.first)
        one = two = torch.arange(n)
        if part == "train":
            one, two = torch.randperm(n, generator=generator).tensor_split(2)
        rows = torch.cat([one, two])
        known = {**(both.factors or {}), **({} if both.labels is None else {"label": both.labels})}
        factors = {key: values[rows] for key, values in known.items()}
        splits[part] = Split(
            torch.cat([both.first[one], both.second[two]]),
            Event(tuple(both.first.shape[1:]), support),
            torch.arange(2).repeat_interleave(torch.tensor([len(one), len(two)])),
            factors=factors if part == "train" else {**factors, "pair": rows},
            name=f"{name} ({part})",
        )
    train, valid, test = splits["train"], splits["valid"], splits["test"]
    said = f"{' and '.join(domains)} without pairs, a half of the training rows each (seed {seed})"
    note = "; ".join(filter(None, [note, said]))
    return Data(name, train.event, train, valid, test, domains=domains, note=note)


def _rotated(x: Tensor, brightest: int) -> Tensor:
    return torch.rot90(x, 2, (2, 3))


def _inverted(x: Tensor, brightest: int) -> Tensor:
    return brightest - x


def _thick(x: Tensor, brightest: int) -> Tensor:
    return F.max_pool2d(x.float(), 3, stride=1, padding=1).to(x.dtype)


def _coloured(x: Tensor, brightest: int) -> Tensor:
    ground, ink = (torch.tensor(colour).view(3, 1, 1) for colour in (_GROUND, _INK))
    return (ground * brightest + x * (ink - ground)).round().to(x.dtype)


TWINS: Mapping[str, Callable[[Tensor, int], Tensor]] = {
    "rotated": _rotated,
    "inverted": _inverted,
    "thick": _thick,
    "coloured": _coloured,
}
