"""Expectations under a model's density, by enumeration or importance sampling, with their standard errors."""

import copy
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.distributions import Chi2

from ancestral.checks.report import Undecided
from ancestral.checks.subject import Subject
from ancestral.dequantization import DequantizedDensity
from ancestral.interface import BoundedDensity, Event, ExactDensity, InputError, Model, Sampler, seeded

#: Standard errors by which two estimates may differ: exceeded by chance about once in 10^5 tests.
Z_LIMIT = 5.5
#: States that are enumerated, dimensions that are integrated, and rows that are scored, at most.
MOST_STATES, MOST_DIMENSIONS, MOST_ROWS = 4096, 6, 2**16
#: A total mass known to this share of it or better is worth testing.
INFORMATIVE = 0.01


@dataclass(frozen=True)
class Weighted:
    """Independent blocks of weighted points: an expectation is the mean over blocks of sum(weight * value).

    One block is exact: an enumeration with exact probabilities.
    """

    model: Model
    points: Tensor  # (blocks or 1, points, *event)
    weights: Tensor  # (blocks, points)
    heavy: bool = False  # the weights may have no finite variance

    def expectation(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and its standard error, (values,) each, of values (blocks or 1, points, values)."""
        totals = torch.einsum("bp,bpv->bv", self.weights, values.expand(len(self.weights), -1, -1))
        if len(totals) == 1:
            return totals[0], torch.zeros_like(totals[0])
        return totals.mean(0), totals.std(0) / math.sqrt(len(totals))

    def mass(self) -> tuple[float, float]:
        """The total probability and its standard error."""
        mean, stderr = self.expectation(self.weights.new_ones(1, self.weights.shape[1], 1))
        return float(mean), float(stderr)


_KNOWN: WeakKeyDictionary[Subject, dict[tuple[int, int], Weighted]] = WeakKeyDictionary()


def redraw(subject: Subject) -> None:
    """Forget the points that were drawn: the next test is to be independent of the one before."""
    _KNOWN.pop(subject, None)


def has_total(subject: Subject) -> str | None:
    """Why a model has no total probability, or None."""
    if not isinstance(subject.original, ExactDensity | BoundedDensity):
        return "it is neither ExactDensity nor BoundedDensity"
    return None


def is_whole(model: Model) -> bool:
    """Whether the density, or the expected importance weights, must sum to 1: not to less."""
    return isinstance(model, ExactDensity) or (isinstance(model, BoundedDensity) and model.total_weight == "one")


def too_large(event: Event) -> str | None:
    """Why sums over all observations are out of reach, or None."""
    counts = [support.values for support in event.supports if support.values is not None]
    if event.densities > MOST_DIMENSIONS:
        return f"{event.densities} dimensions are too many to integrate over (at most {MOST_DIMENSIONS})"
    if sum(map(math.log, counts)) > math.log(MOST_STATES) + 1e-9:
        return f"{' x '.join(map(str, counts))} observations are too many to enumerate (at most {MOST_STATES})"
    return None


def weighted(subject: Subject, which: int, samples: int = 1) -> Weighted:
    """The density given one of the subject's single contexts as weighted points, of the first of the tame copies whose
    estimates can be trusted, or are surely wrong. The weights of a bound are means of `samples` importance weights, of
    the copy that serves for 1. Raises `Undecided` if there is none."""
    if reason := too_large(subject.event):
        raise Undecided(reason)
    known = _KNOWN.setdefault(subject, {})
    if (which, samples) not in known:
        if samples == 1:
            known[which, 1] = _first_trusted(subject, which)
        else:
            # In chunks of unequal lengths, as a caller's many samples may be.
            model = copy.deepcopy(weighted(subject, which).model)
            assert isinstance(model, BoundedDensity)
            model.rows_at_once = MOST_ROWS // 4 * (samples - 1)
            known[which, samples] = _points(subject, model, which, samples, 1)
    return known[which, samples]


def _first_trusted(subject: Subject, which: int) -> Weighted:
    # What a density has far from its samples is found by looking wider; a bound's weights are uneven by themselves.
    exact = isinstance(subject.original, ExactDensity)
    for model in subject.tame:
        for effort, width in ((1, 1.0), (4, 1.0), (4, 8.0)) if exact else ((1, 1.0), (4, 1.0)):
            found = _points(subject, model, which, 1, effort, width)
            mass, stderr = found.mass()
            # Weights are positive: however uneven they are, a mean far above 1 in standard errors is no accident.
            if not math.isfinite(mass) or mass - Z_LIMIT * stderr > 1:
                return found
            if found.heavy:
                if exact:
                    continue
                break
            if stderr <= INFORMATIVE * mass:
                return found
            if mass + Z_LIMIT * stderr < 1 and is_whole(model) and not isinstance(model, DequantizedDensity):
                return found
    raise Undecided("its density, or its importance weights, are too uneven for an estimate of the total")


def _points(subject: Subject, model: Model, which: int, samples: int, effort: int, width: float = 1.0) -> Weighted:
    context = subject.single_contexts[which]

    def log_weights(x: Tensor) -> Tensor:
        return log_density(model, x, context, subject.generator(), samples)

    if subject.event.densities == 0:
        if isinstance(model, ExactDensity):
            return enumerated(model, log_weights)
        return enumerated(model, log_weights, max(16, effort * MOST_ROWS // samples // len(states(subject.event))))
    if isinstance(model, Sampler):
        centres = model.sample(128, context=context, generator=subject.generator())
    else:
        centres = 2 * subject.observations(128, torch.float64)
    centres = centres.mean(0) + width * (centres - centres.mean(0))
    return integrated(model, log_weights, centres, subject.generator(), 512 * effort)


@torch.no_grad()
def enumerated(model: Model, log_weights: Callable[[Tensor], Tensor], blocks: int = 1) -> Weighted:
    """All values of a discrete event, weighted by exact probabilities or by `blocks` estimates of them: logarithms,
    (batch, *event) -> (batch,)."""
    points = states(model.event).to(model.device)
    found = log_weights(points.repeat(blocks, *[1] * len(model.event.shape))).exp()
    weights = found.unflatten(0, (blocks, len(points)))
    return Weighted(model, points[None], weights, blocks > 1 and heavy_tailed(weights / weights.mean(0)))


@torch.no_grad()
def integrated(
    model: Model,
    log_density: Callable[[Tensor], Tensor],
    centres: Tensor,
    generator: torch.Generator,
    points: int = 512,
    blocks: int = 32,
) -> Weighted:
    """Points drawn about `centres`, weighted by a density over that of their proposal.

    What is discrete of an event takes all of its values alike, whatever the rest is.
    """
    continuous = torch.tensor([support.values is None for support in model.event.supports])
    proposal = _Proposal(centres.double().flatten(1)[:, continuous])
    discrete = states(model.event).flatten(1)
    flat = centres.new_empty(blocks * points, model.event.size, dtype=torch.float64)
    with seeded(generator, model.device):
        flat[:, continuous] = proposal.sample(len(flat))
        flat[:, ~continuous] = discrete[torch.randint(len(discrete), (len(flat),))].to(flat)
    x, log_proposal = flat.reshape(-1, *model.event.shape), proposal.log_prob(flat[:, continuous])
    weights = (log_density(x) - log_proposal + math.log(len(discrete))).exp() / points
    return Weighted(model, x.unflatten(0, (blocks, -1)), weights.unflatten(0, (blocks, -1)), heavy_tailed(weights))


def heavy_tailed(weights: Tensor) -> bool:
    """Whether the variance of positive weights may be infinite: Hill's (1975) estimate of their tail index below 2.5.

    The mean of such weights lies below its expectation most of the time, and its standard error does not tell.
    """
    top = weights.flatten().sort(descending=True).values[: max(16, math.isqrt(weights.numel()))].log()
    return not float((top[:-1] - top[-1]).mean()) < 1 / 2.5


def states(event: Event) -> Tensor:
    """Every value of what is discrete of an event, (states, *shape), or (states, discrete dimensions) of a part."""
    ranges = [range(support.values) for support in event.supports if support.values is not None]
    found = torch.tensor(list(itertools.product(*ranges)), dtype=torch.float64)
    return found if event.densities else found.reshape(-1, *event.shape)


@torch.no_grad()
def log_density(
    model: Model, x: Tensor, context: Tensor | None, generator: torch.Generator, samples: int = 1
) -> Tensor:
    """ln p(x), or the logarithm of an unbiased estimate of p(x) by `samples` importance weights, (batch,)."""
    if isinstance(model, ExactDensity):
        return torch.cat([model.log_prob(part, context=context) for part in x.split(MOST_ROWS // 4)])
    if isinstance(model, BoundedDensity):
        return model.log_prob_lower_bound(x, importance_samples=samples, context=context, generator=generator)
    raise InputError(f"{model.display_name} has no density")


class _Proposal:
    """Half a kernel estimate around `centres` and half one wide component, all of them Student-t for heavy tails."""

    freedom = 3.0

    def __init__(self, centres: Tensor) -> None:
        size = centres.shape[1]
        if not bool(torch.isfinite(centres).all()):
            raise Undecided("its samples are not finite")
        self.wide = centres.mean(0)
        covariance = centres.T.cov().reshape(size, size)
        # A little of each dimension's own variance: their units may differ by many orders.
        variances = covariance.diagonal().clamp(min=1e-12 * float(covariance.trace()) / size)
        self.root = torch.linalg.cholesky(covariance + 1e-6 * variances.diag())
        self.centres, self.bandwidth, self.spread = centres, 0.5, 2.0

    def sample(self, n: int) -> Tensor:
        size = len(self.wide)
        normal = torch.randn(n, size).to(self.wide)
        chi_square = Chi2(torch.tensor(self.freedom)).sample(torch.Size([n, 1])).to(self.wide)
        steps = normal / (chi_square / self.freedom).sqrt() @ self.root.T
        narrow = torch.rand(n, 1).to(self.wide) < 0.5
        which = torch.randint(len(self.centres), (n,)).to(self.wide.device)
        return torch.where(narrow, self.centres[which] + self.bandwidth * steps, self.wide + self.spread * steps)

    def log_prob(self, x: Tensor) -> Tensor:
        white = torch.linalg.solve_triangular(self.root, x.T, upper=False).T
        centres = torch.linalg.solve_triangular(self.root, self.centres.T, upper=False).T
        wide = torch.linalg.solve_triangular(self.root, self.wide[:, None], upper=False).T
        # The squared distances to the centres are recomputed without cancellation: x may lie far out.
        kernels = self._student(
            torch.cdist(white, centres, compute_mode="donot_use_mm_for_euclid_dist"), self.bandwidth
        )
        near = kernels.logsumexp(1) - math.log(len(centres))
        far = self._student((white - wide).norm(dim=1), self.spread)
        return torch.logaddexp(near, far) - math.log(2) - self.root.diagonal().log().sum()

    def _student(self, distance: Tensor, scale: float) -> Tensor:
        """ln of the multivariate t density at a distance from its centre, in whitened coordinates."""
        size, freedom = len(self.wide), self.freedom
        constant = (
            math.lgamma((freedom + size) / 2)
            - math.lgamma(freedom / 2)
            - 0.5 * size * math.log(freedom * math.pi)
            - size * math.log(scale)
        )
        return constant - 0.5 * (freedom + size) * torch.log1p((distance / scale).square() / freedom)


def fourier_features(x: Tensor, spread: Tensor, generator: torch.Generator, features: int = 96) -> Tensor:
    """Bounded random features cos(w . x + b) of one, two or all dimensions, (..., size) -> (..., features)."""
    size = x.shape[-1]
    frequencies = torch.randn(features, size, generator=generator, dtype=torch.float64)
    ranks = torch.rand(features, size, generator=generator).argsort(1).argsort(1)
    dimensions = torch.tensor([1, 2, size]).repeat(features)[:features, None]
    scale = torch.tensor([1.0, 3.0]).repeat_interleave(3).repeat(features)[:features, None]
    frequencies = frequencies * scale * (ranks < dimensions)
    phases = 2 * math.pi * torch.rand(features, generator=generator, dtype=torch.float64)
    return torch.cos((x / spread) @ frequencies.T.to(x) + phases.to(x))


def paired(a: Tensor, b: Tensor) -> Tensor:
    """z-scores of mean(a) - mean(b): of each row, and of all rows together; (rows, repeats) -> (rows + 1,)."""
    difference = a.mean(1) - b.mean(1)
    variance = (a.var(1) + b.var(1)) / a.shape[1]
    difference = torch.cat([difference, difference.sum()[None]])
    variance = torch.cat([variance, variance.sum()[None]])
    # Below 1e-7 nats a difference is rounding.
    return torch.where(difference.abs() < 1e-7 * (1 + a.abs().mean()), 0.0, difference / (variance.sqrt() + 1e-12))


def _standard_errors(a: Tensor, b: Tensor) -> Tensor:
    """By how many standard errors the means of two sets of rows differ, in each column."""
    noise = (a.var(0) / len(a) + b.var(0) / len(b)).sqrt()
    both = torch.cat([a, b])
    # A few observations are forgiven: rare values are not normally distributed.
    slack = 6 / min(len(a), len(b)) * (both.amax(0) - both.amin(0)) + 1e-9 * both.abs().amax(0)
    return ((a.mean(0) - b.mean(0)).abs() - slack).clamp(min=0) / (noise + 1e-12)


def apart(subject: Subject, a: Tensor, b: Tensor) -> float:
    """How far two samples (n, size) are apart, in standard errors of the mean of the worst bounded test function."""
    seed = subject.generator().initial_seed()
    both = torch.cat([a, b])
    spread = (both - both.median(0).values).abs().quantile(0.7, dim=0)
    spread = torch.where(spread > 0, spread, 1.0)
    return largest_difference(
        *(fourier_features(x, spread, torch.Generator().manual_seed(seed)).double() for x in (a, b))
    )


def largest_difference(a: Tensor, b: Tensor) -> float:
    """By how many standard errors the means of two sets of rows differ, in the worst column or along the direction in
    which half of them differ most, on the other half."""
    half = len(a) // 2
    deviation = (a.var(0) + b.var(0)).sqrt()
    direction = (a[:half].mean(0) - b[:half].mean(0)) / deviation.square().clamp(min=1e-12)
    along = _standard_errors(a[half:] @ direction[:, None], b[half:] @ direction[:, None])
    return float(torch.cat([_standard_errors(a, b), along]).max())
