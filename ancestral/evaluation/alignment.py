"""Translations between two domains, and how well they meet the pairs that training did not see.

A translator of unpaired images may pass any test of its domains and of its cycles and yet pair the wrong images: both
hold for every one-to-one map between the domains. Where the true pairs are known (`pair` among the factors of a split),
a translation is right if the partner of its original is nearer to it than every other of 1,000 candidates.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64, Num
from torch import Tensor

from ancestral.data import Split
from ancestral.evaluation.likelihood import standard_error
from ancestral.interface import Event, InputError, Translator

#: What a pair has in common, among the factors of a split.
PAIR = "pair"
_BATCH = 256


@dataclass(frozen=True)
class Translations:
    """Observations of one domain, (n, *event.shape), what they are in the other, and that translated back."""

    x: Num[Tensor, "n *event"]
    there: Float[Tensor, "n *event"]
    back: Float[Tensor, "n *event"]
    #: The names of the domains that they are of and were translated to.
    source: str
    target: str


@dataclass(frozen=True)
class Alignment:
    """How many translations miss their true partners, and how far the way there and back leads away."""

    #: The share of translations whose partner is not the nearest candidate by squared distance, both ways together.
    error: float
    stderr: float
    #: The same of translations to each domain, by its name.
    error_to: dict[str, float]
    #: The mean absolute difference of an observation and its translation translated back, as a share of the range.
    cycle_error: float
    #: Candidates of each translation, its partner among them.
    candidates: int
    #: Translations that were judged.
    n: int

    @property
    def chance(self) -> float:
        """The error of a blind choice among the candidates."""
        return 1 - 1 / self.candidates

    def __str__(self) -> str:
        ways = ", ".join(f"{100 * error:.1f} % to {name}" for name, error in self.error_to.items())
        return (
            f"{100 * self.error:.1f} ± {100 * self.stderr:.1f} % of the translations miss their partners among"
            f" {self.candidates:,} ({ways}; chance {100 * self.chance:.1f} %); there and back they are off by"
            f" {100 * self.cycle_error:.2f} % of the range, n = {self.n:,}"
        )


@torch.no_grad()
def translated(model: Translator, x: Num[Tensor, "n *event"], to: str) -> Translations:
    """`x`, of the other domain, translated to the domain `to` and back, a few rows at a time; on the CPU."""
    if to not in model.domains:
        raise InputError(f"to must be one of {', '.join(model.domains)}, got {to!r}")
    source = other_domain(model, to)
    parts = []
    for rows in x.split(_BATCH):
        there = model.translate(rows.to(model.device), to=to)
        parts.append((there.cpu(), model.translate(there, to=source).cpu()))
    there, back = (torch.cat(side) for side in zip(*parts, strict=True))
    return Translations(x.cpu(), there, back, source, to)


def other_domain(model: Translator, name: str) -> str:
    """The domain that is not `name`."""
    first, second = model.domains
    return second if name == first else first


def true_pairs(split: Split) -> tuple[Int64[Tensor, " pairs"], Int64[Tensor, " pairs"]] | None:
    """The rows of the first domain and, in their order, those of the second that are the same in truth; None where the
    split knows of no pairs."""
    pair, y = split.factors.get(PAIR), split.y
    if pair is None or y is None:
        return None
    first, second = ((y == side).nonzero()[:, 0] for side in (0, 1))
    first, second = first[pair[first].argsort()], second[pair[second].argsort()]
    if not torch.equal(pair[first], pair[second]):
        raise InputError(f"the pairs of {split.name} do not match: each needs one row of either domain")
    return first, second


def evaluate_alignment(
    model: Translator, split: Split, *, candidates: int = 1000, limit: int | None = None
) -> Alignment:
    """Translate the pairs of `split` (at most the first `limit`), both ways, and look for each partner among as many
    `candidates`; pairs that are left after the last whole group of them are not judged."""
    sides = _groups(split, candidates, limit)
    missed, errors, domains = [], {}, model.domains
    scale = _range(split.event, split.x)
    cycles = []
    for here, there in ((0, 1), (1, 0)):
        found = translated(model, sides[here], domains[there])
        missed.append(misses(found.there, sides[there], candidates))
        errors[domains[there]] = float(missed[-1].double().mean())
        cycles.append((found.back.double() - found.x.double()).abs().mean() / scale)
    return _alignment(torch.cat(missed), errors, float(torch.stack(cycles).mean()), candidates)


def identity_alignment(split: Split, *, candidates: int = 1000, limit: int | None = None) -> Alignment:
    """The alignment of what translates nothing: an image of one domain is taken for one of the other."""
    first, second = _groups(split, candidates, limit)
    missed = [misses(first, second, candidates), misses(second, first, candidates)]
    errors = {f"the {which}": float(side.double().mean()) for which, side in zip(("second", "first"), missed)}
    return _alignment(torch.cat(missed), errors, 0.0, candidates)


def misses(
    translations: Num[Tensor, "n *event"], partners: Num[Tensor, "n *event"], candidates: int
) -> Bool[Tensor, " n"]:
    """Where the partner of a translation, row by row, is not nearer to it than all others of its group of
    `candidates`."""
    found = []
    for ours, theirs in zip(
        translations.flatten(1).double().split(candidates), partners.flatten(1).double().split(candidates)
    ):
        distances = torch.cdist(ours, theirs)
        own = distances.diagonal().clone()
        found.append(distances.fill_diagonal_(torch.inf).amin(1) <= own)
    return torch.cat(found)


def _groups(split: Split, candidates: int, limit: int | None) -> tuple[Tensor, Tensor]:
    """The pairs side by side, so many that they make whole groups of candidates."""
    rows = true_pairs(split)
    if rows is None:
        raise InputError(
            f"{split.name} does not know which rows are pairs, so there is no alignment to measure; data with a"
            " twin do, such as load_data('mnist', twin='thick')"
        )
    if candidates < 2:
        raise InputError(f"candidates must be at least 2, got {candidates}")
    pairs = len(rows[0]) if limit is None else min(limit, len(rows[0]))
    if pairs < candidates:
        raise InputError(f"{split.name} has {pairs} pairs, fewer than candidates={candidates}; take fewer candidates")
    n = pairs // candidates * candidates
    x = split.x
    return x[rows[0][:n]], x[rows[1][:n]]


def _alignment(missed: Tensor, errors: dict[str, float], cycle_error: float, candidates: int) -> Alignment:
    values = missed.double()
    return Alignment(float(values.mean()), standard_error(values), errors, cycle_error, candidates, len(values))


def _range(event: Event, x: Tensor) -> float:
    """From the least to the greatest value: of the support, or of real data as they are."""
    return float(x.max() - x.min()) if event.values is None else event.values - 1.0
