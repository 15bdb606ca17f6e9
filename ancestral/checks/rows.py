"""What every row is promised: results of its own input alone, its whole context, and noise of its own."""

import copy
import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from ancestral.checks.report import Property, always, needs, require
from ancestral.checks.statistics import Z_LIMIT, fourier_features
from ancestral.checks.subject import Rows, Subject, calls, is_deterministic, outputs
from ancestral.interface import BoundedDensity, ExactDensity, Model

#: The public methods that take no context, by the start of their names.
WITHOUT_CONTEXT = ("translate", "class_log_probs", "features")
#: Those that may be the same for every context, by the start of their names: a latent may hold all of it, or nothing.
MAY_IGNORE_CONTEXT = (*WITHOUT_CONTEXT, "encode", "decode", "sample_latents", "log_prior")
#: Values of a context's dimension, and dimensions of it, that are tried, at most.
MOST_VALUES, MOST_CONTEXT_DIMENSIONS = 16, 16
#: Standard errors by which the largest of many thousands of correlations may differ from 0.
Z_OF_MANY = 6.0


def rows_stand_alone(subject: Subject) -> None:
    model, n = _in_parts(subject.far, 2), subject.rows(9, least=5)
    given = subject.inputs(model, n)
    other = subject.other_inputs(model, given)
    expected = outputs(model, given, subject.seed)
    first = torch.arange(n, device=given.x.device) == 0
    for changed in (first, ~first):
        found = outputs(model, given.replaced(changed, other), subject.seed)
        for name, value in expected.items():
            if name.startswith("sample") and given.context is None:
                continue  # nothing about the rows was given
            moved = [row for row in (~changed).nonzero()[:, 0].tolist() if not _close(value[row], found[name][row])]
            require(
                not moved,
                f"{name} of a row depends on the other rows of its batch: {_rows(moved)} moved when"
                f" {'row 0' if changed is first else 'all rows but row 0'} alone changed;"
                f" {_diagnosis(model, given, other, changed, name, subject.seed) if moved else ''}",
            )
    order = torch.randperm(n, generator=subject.generator()).to(given.x.device)
    permuted, alone = outputs(model, given.at(order), subject.seed), outputs(model, given.at(order[:1]), subject.seed)
    for name, value in expected.items():
        if not is_deterministic(model, name):
            continue
        require(
            _close(permuted[name], value[order]),
            f"{name} of a row depends on its place in the batch: the same rows in another order give other numbers",
        )
        require(
            _close(alone[name], value[order[:1]]),
            f"{name} of a row is different when it is scored on its own",
        )


def contexts_are_used(subject: Subject) -> None:
    model = subject.far
    for n in (16, 512):  # a change of samples on few levels, where it is small, shows in many rows alone
        unused = _unused(subject, model, subject.rows(n))
        if not unused:
            break
    require(not unused, "; ".join(f"{name} is {what}" for name, what in list(unused.items())[:1]))
    n = subject.rows(16)
    one, given = subject.single_contexts[0], subject.inputs(model, n)
    assert one is not None
    shared = outputs(model, given._replace(context=one), subject.seed)
    repeated = outputs(model, given._replace(context=one.expand(n, *one.shape)), subject.seed)
    for name, value in shared.items():
        require(_close(value, repeated[name]), f"{name} with one context differs from that context given for every row")


def draws_are_independent(subject: Subject) -> None:
    """Rows of the same input differ by their noise alone: no two of a call, and none of two calls, may share it."""
    n = subject.rows(1024, least=128)
    model = _in_parts(subject.far, n // 4)
    one = subject.inputs(model, 1).at(torch.zeros(n, dtype=torch.int64))
    continuous_density = isinstance(model, ExactDensity | BoundedDensity) and model.event.densities > 0
    for name, call in calls(model, one.x, one.context, one.z, one.known).items():
        if is_deterministic(model, name):
            continue
        draws = _draw(subject, call)
        if name == "sample" and continuous_density:
            distinct = len(draws.unique(dim=0))
            require(distinct == n, f"of {n} samples of a density only {distinct} are different: noise is repeated")
        others, seed = _draw(subject, call), subject.generator().initial_seed()
        require(
            torch.equal(draws, others) or bool((draws != draws[:1]).any()),
            f"{name} draws the same for all of {n} rows with the same input: the rows share one noise",
        )
        scores = _correlations(draws, others, seed)
        kind, distance, feature = (int(i) for i in torch.unravel_index(scores.abs().argmax(), scores.shape))
        worst = float(scores[kind, distance, feature])
        require(
            abs(worst) <= Z_OF_MANY,
            f"{name} draws rows that are not independent: of {n} rows with the same input,"
            f" {_PAIRS[kind].format(distance)} are correlated ({worst:.0f} standard errors); noise is shared, repeated"
            " or antithetic, or comes from a generator of the model's own",
        )


def weights_are_independent(subject: Subject, samples: int = 4) -> None:
    """The bound of four samples has the law of the mean of four independent weights."""
    n = subject.rows(2048, least=128)
    model = _in_parts(subject.far, 2 * n)
    assert isinstance(model, BoundedDensity)
    one = subject.inputs(model, 1)

    def bounds(rows: int, importance_samples: int) -> Tensor:
        given = one.at(torch.zeros(rows, dtype=torch.int64))
        return model.log_prob_lower_bound(
            given.x, importance_samples=importance_samples, context=given.context, generator=subject.generator()
        ).double()

    with torch.no_grad():
        single, joint = bounds(samples * n, 1), bounds(n, samples)
    grouped = single.view(n, samples).logsumexp(1) - math.log(samples)
    spread, seed = single.std().clamp(min=1e-9 * (1 + float(single.mean().abs()))), subject.generator().initial_seed()
    ours, theirs = (
        fourier_features(values[:, None], spread, torch.Generator().manual_seed(seed)) for values in (joint, grouped)
    )
    scores = (ours.mean(0) - theirs.mean(0)) / ((ours.var(0) + theirs.var(0)) / n + 1e-12).sqrt()
    worst = float(scores.abs().max())
    require(
        worst <= Z_LIMIT,
        f"the importance bound of {samples} samples is not the logarithm of the mean of {samples} independent weights"
        f" ({worst:.0f} standard errors): the samples of a row share noise",
    )


def _in_parts(model: Model, rows_at_once: int) -> Model:
    """A copy whose bounds go through the model a few rows at a time, so that an error of a later part shows."""
    model = copy.deepcopy(model)
    if isinstance(model, BoundedDensity):
        model.rows_at_once = rows_at_once
    return model


def _diagnosis(model: Model, given: Rows, other: Rows, changed: Tensor, name: str, seed: int) -> str:
    """Which of the inputs of another row a row depends on."""
    for field, what in (("context", "context"), ("z", "latent"), ("known", "mask")):
        if getattr(given, field) is None:
            continue
        found = outputs(model, given.replaced(changed, other, only=field), seed)[name]
        if not _close(found[~changed], outputs(model, given, seed)[name][~changed]):
            return f"another row's {what} leaks into it (one row's for all, or the first rows' for every later part)"
    return "batch statistics, as of batch norm, leak into it, or another row's data"


def _settings(subject: Subject, context: Tensor) -> dict[str, Tensor]:
    """Contexts that differ from each other in one dimension, by what differs: each must give results of its own.

    Of a label all values; otherwise a context, "", and changes of one of its dimensions each.
    """
    event = subject.original.context_event
    assert event is not None
    values = event.values
    if values is not None and event.size == 1:
        labels = torch.linspace(0, values - 1, min(values, MOST_VALUES)).round().long().tolist()
        return {f"label {label}": torch.full_like(context, label) for label in labels}
    tried = torch.linspace(0, event.size - 1, min(event.size, MOST_CONTEXT_DIMENSIONS)).round().long().unique().tolist()
    found = {"": context}
    for dimension in tried:
        changed = context.flatten(1).clone()
        changed[:, dimension] += 1
        if values is not None:
            changed[:, dimension] %= values
        found[f"dimension {dimension}"] = changed.view_as(context)
    return found


def _unused(subject: Subject, model: Model, n: int) -> dict[str, str]:
    """What of the context makes no difference to a method, by the method's name."""
    given = subject.inputs(model, n)
    assert given.context is not None
    settings = _settings(subject, given.context)
    found = {what: outputs(model, given._replace(context=context), subject.seed) for what, context in settings.items()}
    # Of labels all pairs are compared, of other contexts each change with the first.
    pairs = [(a, b) for a, b in itertools.combinations(found, 2) if a == "" or "" not in found]
    unused: dict[str, str] = {}
    for name in next(iter(found.values())):
        if name.startswith(MAY_IGNORE_CONTEXT):
            continue
        equal = [(a, b) for a, b in pairs if torch.equal(found[a][name], found[b][name])]
        if len(equal) == len(pairs):
            unused[name] = "the same for every context: the context is never used"
        elif equal:
            a, b = equal[0]
            unused[name] = f"the same for {a} and {b}" if a else f"the same for every value of the context's {b}"
    return unused


def _draw(subject: Subject, call: Callable[[torch.Generator], Tensor]) -> Tensor:
    with torch.no_grad():
        draws = call(subject.generator()).double()
    return draws.reshape(len(draws), -1)


#: The kinds of pairs of rows, and what they are called at one distance or sum of their numbers.
_PAIRS = (
    "those {} apart",
    "those whose numbers sum to {} (modulo their count)",
    "those of two calls with different seeds, {} apart,",
    "those of two calls with different seeds whose numbers sum to {} (modulo their count)",
)


def _correlations(first: Tensor, second: Tensor, seed: int, features: int = 32) -> Tensor:
    """z-scores of the correlations of bounded features over all pairs of rows at one distance, or with one sum of their
    numbers, (kinds of pairs, n, features): of one call, (n, size), and between two."""
    n, spread = len(first), first.std(0).clamp(min=1e-9)
    spectra, known = [], []
    for draws in (first, second):
        values = fourier_features(
            draws / spread, torch.ones_like(spread), torch.Generator().manual_seed(seed), features
        )
        deviations = values.std(0)
        # What is nearly constant is far from normal even in such sums.
        known.append(deviations > 0.3)
        spectra.append(torch.fft.rfft((values - values.mean(0)) / deviations.clamp(min=0.3), dim=0))
    a, b = spectra
    products = torch.stack([a * a.conj(), a * a, a * b.conj(), a * b])
    scores = torch.fft.irfft(products, n=n, dim=1) / math.sqrt(n)
    scores[0, 0] = 0  # a row with itself
    if n % 2 == 0:
        scores[0, n // 2] /= math.sqrt(2)  # every pair counts twice
    scores[1] /= math.sqrt(2)
    return scores * (known[0] & known[1])


def _rows(moved: list[int]) -> str:
    return f"row{'s' if len(moved) > 1 else ''} {', '.join(map(str, moved[:5]))}"


def _close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a.double(), b.double(), rtol=1e-7, atol=1e-7)


def _conditional(subject: Subject) -> str | None:
    return "it takes no context" if subject.original.context_event is None else None


PROPERTIES = (
    Property("a row's results depend on that row alone", always, rows_stand_alone),
    Property("the context is used", _conditional, contexts_are_used),
    Property("draws are independent", always, draws_are_independent, by_chance=True),
)

#: A bound that is no mean of weights is named by its total, which comes before.
WEIGHTS = (
    Property("importance weights are independent", needs(BoundedDensity), weights_are_independent, by_chance=True),
)
