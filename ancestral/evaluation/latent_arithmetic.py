"""Vector arithmetic in latent space, measured (Radford et al. 2016, section 6.3.2 and figure 7).

The paper adds and subtracts averages of the codes of hand-picked samples: smiling woman - neutral woman + neutral man
decodes to a smiling man. On images with two known factors a classifier picks the samples and reads off the result, so
that every sum of the kind (red square) - (blue square) + (blue circle) can be tried, and the failures counted.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ancestral.data import Data
from ancestral.evaluation.factor_classifier import train_factor_classifier
from ancestral.evaluation.latents import decoded
from ancestral.interface import Decoder, InputError

#: A sample shows a concept where the classifier is at least this sure.
_SURE = 0.9
_EXAMPLES = 8
#: The sums of one draw share their exemplars, and succeed or fail together.
_IDEAL_DRAWS = 20

#: A value of each of the two factors.
Concept: TypeAlias = tuple[int, int]
#: The concepts a, b and c of a - b + c.
Sum: TypeAlias = tuple[Concept, Concept, Concept]


@dataclass(frozen=True)
class VectorArithmetic:
    """The share of all sums whose picture does not show both expected factors, in latent and in pixel space."""

    error: float
    #: The same sums of the exemplars' pixels.
    pixel_error: float
    #: How often the classifier misses a factor of real test images.
    classifier_error: float
    #: Of a blind guess.
    guessing_error: float
    #: Of a latent space N(0, I) where each value of a factor has a direction of its own, and the longest is shown: what
    #: the noise of so few exemplars costs there. No bound: samples that are surely of a value lie nearer to its middle.
    ideal_error: float
    sums: int
    #: The sums of concepts (pairs of values) that the model draws often enough; the others count as failures above.
    possible: int
    #: The share of failures among those.
    error_of_possible: float
    factors: tuple[str, str]
    #: Pictures of a, b, c and a - b + c, one sum after another, (4 n, *event.shape).
    examples: Float[Tensor, "n *event"]


@torch.no_grad()
def vector_arithmetic(
    model: Decoder,
    data: Data,
    *,
    factors: tuple[str, str] = ("colour", "shape"),
    exemplars: int = 3,
    samples: int = 20_000,
    judge: Callable[[Tensor], Mapping[str, Tensor]] | None = None,
    seed: int = 0,
) -> VectorArithmetic:
    """Try every sum z(u, v) - z(u', v) + z(u', v') = (u, v') of the values u of one factor and v of the other.

    z(u, v) is the mean code of `exemplars` draws of the prior (3 in the paper), the first of `samples` that the
    judge is sure to show u and v. The judge maps images (batch, *event) to ln p(value | x) by factor, (batch, values)
    each; by default it is a classifier trained on `data.train`.
    """
    if not model.has_prior or model.context_event is not None:
        raise InputError(f"{model.display_name} needs a prior, and no context, to calculate with its latents")
    factors = (factors[0], factors[1])
    if judge is None:
        with torch.enable_grad():
            judge = train_factor_classifier(data.train, factors, seed=seed).read
    values = [int(data.train.factors[name].max()) + 1 for name in factors]
    concepts = list(itertools.product(range(values[0]), range(values[1])))
    sums: list[Sum] = [
        ((u, v), (other_u, v), (other_u, other_v))
        for u, other_u in itertools.permutations(range(values[0]), 2)
        for v, other_v in itertools.permutations(range(values[1]), 2)
    ]
    generator = torch.Generator().manual_seed(seed)
    z = model.sample_latents(samples, generator=generator)
    images = decoded(model, z, generator=generator).float()
    chosen = _exemplars(judge(images), factors, concepts, exemplars)
    codes = {concept: z[rows].mean(0) for concept, rows in chosen.items()}
    pixels = {concept: images[rows].mean(0) for concept, rows in chosen.items()}

    possible = [terms for terms in sums if all(term in codes for term in terms)]
    if not possible:
        raise InputError(
            f"{model.display_name} draws too few of the {len(concepts)} concepts for any sum: {len(codes)};"
            " train it longer"
        )
    expected = _expected(possible, factors)

    def right(x: Tensor) -> int:
        return int(_shows(judge(model.event.support.project(x)), expected).sum())

    reached = _totals(possible, codes)
    successes = right(decoded(model, reached, generator=generator).float())
    shown = torch.linspace(0, len(possible) - 1, _EXAMPLES).long().tolist()
    examples = torch.stack([code for i in shown for code in (*(codes[term] for term in possible[i]), reached[i])])
    on_real = _shows(judge(data.test.x), {name: data.test.factors[name] for name in factors})
    return VectorArithmetic(
        error=1 - successes / len(sums),
        pixel_error=1 - right(_totals(possible, pixels)) / len(sums),
        classifier_error=1 - float(on_real.double().mean()),
        guessing_error=1 - 1 / len(concepts),
        ideal_error=_ideal_error(sums, values, exemplars, samples, generator),
        sums=len(sums),
        possible=len(possible),
        error_of_possible=1 - successes / len(possible),
        factors=factors,
        examples=decoded(model, examples, generator=generator).float(),
    )


def _exemplars(
    log_probs: Mapping[str, Tensor], factors: tuple[str, str], concepts: Sequence[Concept], n: int
) -> dict[Concept, Tensor]:
    """The first `n` rows that surely show a concept, for every concept that has as many."""
    read = {name: log_probs[name].max(1) for name in factors}
    sure = torch.stack([values.exp() >= _SURE for values, _ in read.values()]).all(0)
    chosen = {}
    for concept in concepts:
        shows = torch.stack([read[name].indices == value for name, value in zip(factors, concept, strict=True)]).all(0)
        rows = (sure & shows).nonzero().squeeze(1)[:n]
        if len(rows) == n:
            chosen[concept] = rows
    return chosen


def _totals(sums: Sequence[Sum], terms: Mapping[Concept, Tensor]) -> Tensor:
    """Every a - b + c, (len(sums), ...)."""
    return torch.stack([terms[a] - terms[b] + terms[c] for a, b, c in sums])


def _expected(sums: Sequence[Sum], factors: tuple[str, str]) -> dict[str, Tensor]:
    """What each sum is to show: the first factor of a and the second of c."""
    first, second = factors
    return {first: torch.tensor([a[0] for a, _, _ in sums]), second: torch.tensor([c[1] for _, _, c in sums])}


def _ideal_error(
    sums: Sequence[Sum], values: Sequence[int], exemplars: int, samples: int, generator: torch.Generator
) -> float:
    """The share of failures where z shows the value of the longest of each factor's own directions, over many draws."""
    factors, concepts = ("first", "second"), list(itertools.product(range(values[0]), range(values[1])))

    def read(z: Tensor) -> dict[str, Tensor]:
        parts = zip(factors, z.split(values, 1), values, strict=True)
        return {name: F.one_hot(part.argmax(1), number).float().log() for name, part, number in parts}

    successes = 0
    for _ in range(_IDEAL_DRAWS):
        z = torch.randn(samples, sum(values), generator=generator)
        chosen = _exemplars(read(z), factors, concepts, exemplars)
        codes = {concept: z[rows].mean(0) for concept, rows in chosen.items()}
        if possible := [terms for terms in sums if all(term in codes for term in terms)]:
            successes += int(_shows(read(_totals(possible, codes)), _expected(possible, factors)).sum())
    return 1 - successes / (_IDEAL_DRAWS * len(sums))


def _shows(log_probs: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Tensor:
    """Where every factor is read as expected, (batch,)."""
    return torch.stack([log_probs[name].argmax(1) == value for name, value in expected.items()]).all(0)
