"""What a fit without gradients promises: an objective that never falls, and a maximum at its end."""

import copy
import itertools
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ancestral.checks.joint import mixture, quantizer
from ancestral.checks.report import Property, Undecided, needs, require
from ancestral.checks.subject import Subject
from ancestral.interface import (
    Classifier,
    ClosedFormFit,
    Decoder,
    Encoder,
    ExactDensity,
    InputError,
    MeanDecoder,
    Model,
)

#: Steps after which a fit must have settled, and the change by a step that counts as none.
MOST_STEPS, SETTLED = 500, 1e-10
#: Nats per example and unit of a change of the data by which a fit may miss its maximum.
FLAT = 1e-3
#: Points on which a missing value is integrated out.
GRID = 2048


class Change(NamedTuple):
    """A change of centred rows by an amount t, which is none at t = 0."""

    apply: Callable[[Tensor, float], Tensor]
    log_det: Callable[[Tensor, float], float]  # of the observed entries, per row


def _zero(x: Tensor, t: float) -> float:
    return 0.0


def _scaled(x: Tensor, t: float) -> float:
    return math.log1p(t) * float((~x.isnan()).sum()) / len(x)


def _first_scaled(x: Tensor, t: float) -> float:
    return _scaled(x[:, :1], t)


def _first_only(x: Tensor) -> Tensor:
    return torch.eye(x.shape[1], dtype=x.dtype, device=x.device)[0]


def _turned(x: Tensor, t: float) -> Tensor:
    first, last = math.cos(t) * x[:, 0] - math.sin(t) * x[:, -1], math.sin(t) * x[:, 0] + math.cos(t) * x[:, -1]
    return torch.cat([first[:, None], x[:, 1:-1], last[:, None]], 1)


#: The mean likelihood of a maximum is stationary under each of these under which the family of densities is closed.
CHANGES: Mapping[str, Change] = {
    "shifted": Change(lambda x, t: x + t, _zero),
    "scaled": Change(lambda x, t: x * (1 + t), _scaled),
    "scaled in the first dimension": Change(lambda x, t: x * (1 + t * _first_only(x)), _first_scaled),
}
#: Those that mix dimensions: not for rows with missing values.
MIXING: Mapping[str, Change] = {
    "sheared": Change(lambda x, t: x + t * x[:, -1:] * _first_only(x), _zero),
    "rotated": Change(_turned, _zero),
}


def fits_never_fall(subject: Subject) -> None:
    model = copy.deepcopy(subject.original).double()
    assert isinstance(model, ClosedFormFit)
    x = subject.clustered(256, torch.float64)
    model.fit_start(x, generator=torch.Generator().manual_seed(subject.seed))
    values: list[tuple[str, float]] = []
    for step in range(10):
        before = _mean_log_prob(model, x)
        result = model.fit_step(x)
        values += [(f"{name} of step {step + 1}", value) for name, value in result.trace]
        values.append((f"step {step + 1}", result.objective))
        # ln p before <= F(theta, q) after the M step <= ln p after it (Neal & Hinton 1998).
        after, slack = _mean_log_prob(model, x), 1e-5 * (1 + abs(result.objective))
        if before is not None and after is not None:
            require(
                before - slack <= result.objective <= after + slack,
                f"fit_step reports the objective {result.objective:.6f}, outside of the mean log_prob before and after"
                f" it, [{before:.6f}, {after:.6f}]",
            )
    for (_, low), (name, high) in itertools.pairwise(values):
        require(math.isfinite(high), f"the objective of {name} is {high}")
        require(
            high >= low - 1e-5 * (1 + abs(low)),
            f"the objective fell from {low:.6f} to {high:.6f} at {name}: EM never falls; a responsibility, a mean or a"
            " covariance is wrong, or the objective is not the one that the steps climb",
        )


def fit_starts_from_its_seed(subject: Subject) -> None:
    x = subject.clustered(64)
    copies = [copy.deepcopy(subject.original) for _ in range(2)]
    for model in copies:
        assert isinstance(model, ClosedFormFit)
        model.fit_start(x, generator=torch.Generator().manual_seed(subject.seed))
        model.fit_step(x)
    first, second = (model.state_dict() for model in copies)
    changed = [name for name, value in first.items() if not torch.equal(value, second[name])]
    require(not changed, f"the same seed gave two different fits: {', '.join(changed)}")


def missing_values_are_declared(subject: Subject) -> None:
    model = copy.deepcopy(subject.original)
    assert isinstance(model, ClosedFormFit)
    x = subject.clustered(64)
    x.view(-1)[:: 2 * subject.event.size + 1] = math.nan
    if model.accepts_missing:
        model.fit_start(x, generator=subject.generator())
        objective = model.fit_step(x).objective
        require(math.isfinite(objective), f"accepts_missing is declared but NaNs in data give objective {objective}")
        return
    try:
        model.fit_start(x, generator=subject.generator())
    except InputError:
        return
    require(False, "fit_start accepts NaN without declaring accepts_missing")


def fits_are_maxima(subject: Subject) -> None:
    rows = subject.clustered(192, torch.float64).flatten(1)
    model = _settled(subject, rows)
    if mixture(subject) is None:
        _require_balanced(model, rows)
    changes = CHANGES if subject.event.size == 1 else {**CHANGES, **MIXING}
    _require_flat(subject, model, rows, changes, _complete_likelihood)


def fits_of_missing_values_are_maxima(subject: Subject) -> None:
    rows, size = subject.clustered(128, torch.float64).flatten(1), subject.event.size
    for row in range(0, len(rows), 5):
        rows[row, row // 5 % size] = math.nan
    model = _settled(subject, rows)
    likelihood = _observed_likelihood(model, rows)
    step = model.fit_step(rows.reshape(-1, *subject.event.shape))
    for name, value in (("objective", step.objective), *step.trace):
        require(
            abs(value - likelihood) <= 1e-4 * (1 + abs(likelihood)),
            f"with missing values fit_step reports {value:.6f} ({name}) at its end, but the mean log-likelihood of what"
            f" was observed, the rest integrated out of log_prob, is {likelihood:.6f} nats",
        )
    scored = _complete_likelihood(model, rows)
    require(
        abs(scored - likelihood) <= 1e-4 * (1 + abs(likelihood)),
        f"of rows with missing values (NaN) log_prob has the mean {scored:.6f} nats, but that of what was observed, the"
        f" rest integrated out, is {likelihood:.6f}",
    )
    _require_flat(subject, model, rows, CHANGES, _observed_likelihood)


def centres_are_means(subject: Subject) -> None:
    x = subject.clustered(192, torch.float64)
    model = _settled(subject, x.flatten(1))
    assert isinstance(model, Encoder)
    assert isinstance(model, MeanDecoder)
    codes = model.encode(x).mean
    centres, labels = model.decode_mean(torch.eye(model.latent_size).to(codes)), codes.argmax(1)
    for label in labels.unique():
        mean = x[labels == label].mean(0)
        error = float((centres[label] - mean).abs().max())
        require(
            error <= 1e-6 * (1 + float(mean.abs().max())),
            f"at the end of the fit the code {int(label)} decodes {error:.2g} away from the mean of its"
            f" {int((labels == label).sum())} rows: the inertia is least at the mean of each cluster",
        )


def _require_balanced(model: Model, rows: Tensor) -> None:
    """At a maximum over its weights a mixture expects of each component the share of the data that it explains."""
    assert isinstance(model, Classifier)
    assert isinstance(model, Decoder)
    expected = model.log_prior(torch.eye(model.classes, dtype=rows.dtype, device=rows.device)).exp()
    shares = model.class_log_probs(rows.reshape(-1, *model.event.shape)).exp().mean(0)
    worst = int((shares - expected).abs().argmax())
    require(
        float((shares - expected).abs().max()) <= FLAT,
        f"the fit ends beside the maximum: component {worst} has the prior probability {float(expected[worst]):.4f},"
        f" but on average {float(shares[worst]):.4f} of the data: the M step sets the weights wrongly",
    )


def _require_flat(
    subject: Subject,
    model: ClosedFormFit,
    rows: Tensor,
    changes: Mapping[str, Change],
    likelihood: Callable[[ClosedFormFit, Tensor], float],
) -> None:
    """The likelihood at the end of a fit must have no slope along any change of the data that the family allows."""
    centre = rows.nanmean(0)

    def value(name: str, fitted: ClosedFormFit, t: float) -> float:
        apply, log_det = changes[name]
        moved = apply(rows - centre, t) + centre
        return likelihood(fitted, moved) + log_det(rows, t)

    reached = likelihood(model, rows)
    for name, change in changes.items():
        step = 1e-4
        slope = (value(name, model, step) - value(name, model, -step)) / (2 * step)
        if abs(slope) <= FLAT:
            continue
        # A family that is not closed under the change (a fixed variance under a scale) fits the changed data otherwise.
        other = _settled(subject, change.apply(rows - centre, 0.25) + centre)
        closed = abs(value(name, other, 0.25) - reached) <= 1e-5 * (1 + abs(reached))
        require(
            not closed,
            f"the fit ends beside the maximum: with the data {name} by a share t the mean log-likelihood changes by"
            f" {slope:.4f} t nats, and a maximum would be level; a mean, a covariance, a weight or a divisor in the"
            " M step is wrong",
        )


def _settled(subject: Subject, rows: Tensor) -> ClosedFormFit:
    """A copy in float64, fitted until a step changes nothing, neither for the better nor for the worse."""
    model, x = copy.deepcopy(subject.original).double(), rows.reshape(-1, *subject.event.shape)
    assert isinstance(model, ClosedFormFit)
    model.fit_start(x, generator=torch.Generator().manual_seed(subject.seed))
    last = -math.inf
    for _ in range(MOST_STEPS):
        objective = model.fit_step(x).objective
        if abs(objective - last) <= SETTLED * (1 + abs(objective)):
            return model
        last = objective
    raise Undecided(f"its fit has not settled after {MOST_STEPS} steps")


def _complete_likelihood(model: Model, rows: Tensor) -> float:
    assert isinstance(model, ExactDensity)
    return float(model.log_prob(rows.reshape(-1, *model.event.shape)).mean())


def _observed_likelihood(model: Model, rows: Tensor) -> float:
    """The mean of ln p(observed entries) for rows with at most one missing: it is integrated out on a grid."""
    assert isinstance(model, ExactDensity)
    missing = rows.isnan()
    whole = ~missing.any(1)
    columns = missing[~whole].double().argmax(1)
    low, high = rows.nan_to_num(math.inf).amin(0)[columns], rows.nan_to_num(-math.inf).amax(0)[columns]
    width = 5 * (high - low)
    offsets = torch.linspace(-0.4, 0.6, GRID, dtype=rows.dtype, device=rows.device)
    filled = rows[~whole].repeat_interleave(GRID, 0)
    filled[torch.arange(len(filled)), columns.repeat_interleave(GRID)] = (
        low[:, None] + width[:, None] * offsets
    ).flatten()
    log_probs = model.log_prob(filled.reshape(-1, *model.event.shape)).view(-1, GRID)
    integrated = log_probs.logsumexp(1) + (width / (GRID - 1)).log()
    total = model.log_prob(rows[whole].reshape(-1, *model.event.shape)).sum() + integrated.sum()
    return float(total) / len(rows)


def _mean_log_prob(model: Model, x: Tensor) -> float | None:
    return float(model.log_prob(x).mean()) if isinstance(model, ExactDensity) else None


def _continuous_likelihood(subject: Subject) -> str | None:
    if reason := needs(ClosedFormFit, ExactDensity)(subject):
        return reason
    return None if subject.event.densities == subject.event.size else "its data are discrete"


def _missing_likelihood(subject: Subject) -> str | None:
    model = subject.original
    if reason := _continuous_likelihood(subject):
        return reason
    assert isinstance(model, ClosedFormFit)
    if not model.accepts_missing:
        return "it takes no missing values"
    return None if subject.event.size > 1 else "of one dimension there is nothing left where it is missing"


def _clustering(subject: Subject) -> str | None:
    return needs(ClosedFormFit)(subject) or quantizer(subject)


PROPERTIES = (
    Property("a fit's objective never falls", needs(ClosedFormFit), fits_never_fall),
    Property("a fit is a maximum", _continuous_likelihood, fits_are_maxima),
    Property("a fit with missing values is a maximum", _missing_likelihood, fits_of_missing_values_are_maxima),
    Property("centres are the means of their clusters", _clustering, centres_are_means),
    Property("a fit starts from its seed", needs(ClosedFormFit), fit_starts_from_its_seed),
    Property("missing values are declared", needs(ClosedFormFit), missing_values_are_declared),
)
