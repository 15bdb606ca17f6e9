"""What a density promises: total probability 1, bounds in their order, and samples that follow it."""

import copy
import itertools
import math

import torch
from torch import Tensor

from ancestral.checks.report import Property, Undecided, needs, needs_any, require
from ancestral.checks.statistics import (
    Z_LIMIT,
    Weighted,
    apart,
    fourier_features,
    has_total,
    is_whole,
    log_density,
    paired,
    weighted,
)
from ancestral.checks.subject import Subject
from ancestral.dequantization import DequantizedDensity
from ancestral.interface import (
    Autoregressive,
    BoundedDensity,
    Completer,
    Decoder,
    Encoder,
    ExactDensity,
    Model,
    Sampler,
    StagedDensity,
    repeated,
)

SAMPLES = 8192


def probabilities_are_at_most_one(subject: Subject) -> None:
    model, n = subject.precise, subject.rows(64)
    x, context = subject.observations(n, torch.float64), subject.contexts(n)
    if isinstance(model, ExactDensity):
        found = model.log_prob(x, context=context)
        cause = "it has the wrong sign" if float(found.min()) > 0 else "its normaliser is forgotten or too small"
        most = float(found.max())
        require(most <= 1e-6, f"log_prob of discrete data is {most:.4f} nats, a probability above 1: {cause}")
    if isinstance(model, BoundedDensity):
        elbo = model.elbo(x, samples=16, context=context, generator=subject.generator())
        mean, stderr = _mean(elbo)

        def fault() -> str:
            weights = model.log_prob_lower_bound(
                repeated(x, 256), importance_samples=1, context=repeated(context, 256), generator=subject.generator()
            )
            cause = _diagnosis(subject, x, context, elbo[:, None], weights.view(256, n).T)
            return f"the mean elbo of discrete data is {mean:.4f} ± {stderr:.4f} nats, above ln 1: {cause}"

        require(mean <= Z_LIMIT * stderr + 1e-6, fault)


def total_probability_is_one(subject: Subject) -> None:
    original = subject.original
    for which, samples in itertools.product(
        range(len(subject.single_contexts)), (1, 4) if isinstance(original, BoundedDensity) else (1,)
    ):
        reference = weighted(subject, which, samples)
        total, stderr = reference.mass()
        leaked, leaked_stderr = _leaked(subject, reference.model, which)
        error, allowed = total + leaked - 1, Z_LIMIT * math.hypot(stderr, leaked_stderr) + 1e-5
        require(
            error <= allowed and (error >= -allowed or not is_whole(original)),
            lambda: _wrong_total(subject, reference, samples, total, stderr, leaked),  # noqa: B023 - it is called at once
        )


def _wrong_total(
    subject: Subject, reference: Weighted, samples: int, total: float, stderr: float, leaked: float
) -> str:
    model, size = reference.model, subject.event.size
    discrete = subject.event.densities == 0
    whole = "1" if is_whole(model) else "at most 1"
    found = f"to {total + leaked:.6f} ± {stderr:.6f} over all x, not {whole}"
    if leaked:
        found += f" (with the {leaked:.4f} that the inner density puts outside of the levels)"
    if isinstance(model, ExactDensity):
        summed, causes = "the density integrates", "a log-determinant or a normaliser is forgotten, or a mean for a sum"
        constant = 0.5 * size * math.log(2 * math.pi)
        guesses = {"a constant of 1/2 ln(2 pi) for each dimension is forgotten": total / math.exp(constant)}
        guesses["a constant of 1/2 ln(2 pi) for each dimension is counted twice"] = total * math.exp(constant)
        if discrete:
            summed, causes = "probabilities sum", "a softmax over the wrong axis, logits averaged where probabilities"
            causes += " belong, or a mask off by one"
            log_probs = reference.weights[0].log()
            guesses = {"log_prob has the wrong sign": float((-log_probs).exp().sum())}
            guesses["a mean over dimensions stands where a sum belongs"] = float((size * log_probs).exp().sum())
        likely = [cause for cause, corrected in guesses.items() if abs(corrected - 1) < 0.01]
        return f"{summed} {found}; {likely[0] if likely else causes}"
    if samples > 1:
        return (
            f"exp(log_prob_lower_bound) of {samples} importance samples sums {found}, though that of 1 is right: it"
            " must be the logarithm of the mean weight; a wrong normaliser, a mean of logarithms, or chunks of samples"
            " that are put together wrongly"
        )
    return (
        f"the importance weights, unbiased estimates of p(x), sum {found}; a mean where a sum belongs, a KL or an"
        " entropy scaled or of the wrong sign, or a wrong proposal"
    )


def bounds_are_in_order(subject: Subject, repeats: int = 256) -> None:
    model, n = subject.precise, subject.rows(16)
    assert isinstance(model, BoundedDensity)
    # 26 weights for each: 1 and 4 for the two elbos, 1, 4 and 16 for the bounds.
    repeats = subject.rows(26 * n * repeats, budget=2.0**35) // (26 * n)
    if repeats < 8:
        raise Undecided(f"{subject.cost:.0e} operations for a row are too many for a statistical test")
    x, context = subject.observations(n, torch.float64), subject.contexts(n)
    rows = x.repeat_interleave(repeats, 0)
    shared = None if context is None else context.repeat_interleave(repeats, 0)

    def by_row(values: Tensor) -> Tensor:
        return values.unflatten(0, (n, repeats))

    with torch.no_grad():
        elbo = by_row(model.elbo(rows, context=shared, generator=subject.generator()))
        elbo_of_4 = by_row(model.elbo(rows, samples=4, context=shared, generator=subject.generator()))
        bounds = {
            k: by_row(
                model.log_prob_lower_bound(rows, importance_samples=k, context=shared, generator=subject.generator())
            )
            for k in (1, 4, 16)
        }
    scores = paired(elbo, bounds[1])
    # Where the weights sum a latent out, the elbo need not reach what is left of them.
    require(
        float((scores if model.sums_out else scores.abs()).max()) <= Z_LIMIT,
        lambda: (
            f"elbo is {'above' if model.sums_out else 'not'} the mean logarithm of the importance weights:"
            f" {float(elbo.mean()):.4f} instead of"
            f" {float(bounds[1].mean()):.4f} nats on average; {_diagnosis(subject, x, context, elbo, bounds[1])}"
        ),
    )
    require(
        float(paired(elbo, elbo_of_4).abs().max()) <= Z_LIMIT,
        f"elbo changes with its number of samples, from {float(elbo.mean()):.4f} (1) to {float(elbo_of_4.mean()):.4f}"
        " (4) nats: average over samples, do not sum",
    )
    for low, high in ((1, 4), (4, 16)):
        require(
            float(paired(bounds[high], bounds[low]).min()) >= -Z_LIMIT,
            f"the importance bound falls from {float(bounds[low].mean()):.4f} ({low} samples) to"
            f" {float(bounds[high].mean()):.4f} ({high}): it is the logarithm of the mean weight",
        )
    if isinstance(model, ExactDensity):
        exact = model.log_prob(x, context=context)[:, None]
        for name, values in {"elbo": elbo, **{f"the bound of {k} samples": v for k, v in bounds.items()}}.items():
            require(
                float(paired(exact.expand_as(values), values).min()) >= -Z_LIMIT,
                f"{name} is above the exact log_prob: {float(values.mean()):.4f} > {float(exact.mean()):.4f} nats",
            )


def stages_sum_to_the_likelihood(subject: Subject) -> None:
    model, n = subject.far, subject.rows(16)
    assert isinstance(model, StagedDensity)
    x, context = subject.observations(n, torch.float64), subject.contexts(n)
    found = model.stage_log_probs(x, context=context)
    require(
        tuple(found.shape) == (len(model.stages), n),
        f"stage_log_probs must have shape ({len(model.stages)} stages, {n}), got {tuple(found.shape)}",
    )
    if isinstance(model, ExactDensity):
        name, whole = "log_prob", model.log_prob(x, context=context)
    else:
        assert isinstance(model, BoundedDensity)
        name, whole = "elbo", model.elbo(x, context=context, generator=subject.generator())
    require(
        torch.allclose(found.sum(0), whole, rtol=1e-7, atol=1e-7),
        f"the stages sum to {float(found.sum(0)[0]):.6f} nats, but {name} is {float(whole[0]):.6f}: a stage is left"
        " out, counted twice, or given something else than what comes before it",
    )


def samples_follow_the_density(subject: Subject) -> None:
    reference = weighted(subject, 0)
    samples, inside = _samples_within(subject, reference.model, 0)
    flat = samples.flatten(1).double()
    least = [1e-6 if support.values is None else 0.25 for support in subject.event.supports]
    spread = (flat - flat.median(0).values).abs().quantile(0.7, dim=0).maximum(torch.tensor(least).to(flat))
    seed = subject.generator().initial_seed()

    def features(x: Tensor) -> Tensor:
        return fourier_features(x, spread, torch.Generator().manual_seed(seed))

    values = features(reference.points.flatten(2))
    expected, stderr = reference.expectation(values)
    square, _ = reference.expectation(values.square())
    found = (features(flat) * inside[:, None]).mean(0)
    noise = ((square - expected.square()).clamp(min=0) / len(flat) + stderr.square()).sqrt()
    # The slack of a few observations keeps rare values, which are not normally distributed, from a false alarm.
    z = ((found - expected).abs() - 6 / len(flat)).clamp(min=0) / (noise + 1e-9)
    worst = int(z.argmax())
    require(
        float(z[worst]) <= Z_LIMIT,
        f"sample disagrees with the density: over {len(flat)} samples a bounded test function averages"
        f" {float(found[worst]):.4f} where the density gives {float(expected[worst]):.4f}"
        f" ({float(z[worst]):.0f} standard errors). The density is normalised, so the sampler is likelier to be"
        " wrong: it uses another order, temperature, noise or parameters",
    )


def samples_are_stationary(subject: Subject) -> None:
    """E over samples of d ln p(x) / d parameters is 0 if the samples follow p: a test in any number of dimensions.

    One half of the samples gives the direction in which the likelihood would rise; the slope along it, on the other
    half, must be 0.
    """
    # Not far on discrete data: a sample of nearly sure values may lack all the rare ones that balance them.
    model = copy.deepcopy(subject.far if subject.event.densities else subject.precise)
    assert isinstance(model, Sampler)
    assert isinstance(model, ExactDensity)
    n, context = subject.rows(1024, least=64), subject.single_contexts[0]
    learn, test = model.sample(2 * n, context=context, generator=subject.generator()).split(n)
    parameters = list(model.requires_grad_(True).parameters())
    gradients = torch.autograd.grad(model.log_prob(learn, context=context).mean(), parameters, allow_unused=True)
    directions = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, gradients, strict=True)]
    length = math.sqrt(sum(float(g.square().sum()) for g in directions))
    if length == 0 or not math.isfinite(length):
        raise Undecided("the likelihood of its samples has no gradient")
    model.requires_grad_(False)
    # Where the likelihood is steep, a step must be shorter for a difference to be its slope.
    step, scores = 1e-4 / max(1.0, length), []
    for moves in (1, -2):
        for parameter, direction in zip(parameters, directions, strict=True):
            parameter.add_(direction, alpha=moves * step / length)
        scores.append(log_density(model, test, context, subject.generator()))
    mean, stderr = _mean((scores[0] - scores[1]) / (2 * step))
    require(
        abs(mean) <= Z_LIMIT * stderr + 1e-7,
        f"sample disagrees with the density: on samples, ln p has the slope {mean:.4f} ± {stderr:.4f} along a change of"
        " the weights, where it must be 0; one of the two uses another order, temperature, noise or parameters than the"
        " other, or log_prob is not normalised",
    )


def completions_follow_the_density(subject: Subject) -> None:
    """Where x follows p, and what is unknown of it is drawn anew from p(unknown | known), it still follows p."""
    model, n = subject.model, subject.rows(8192, least=256)
    assert isinstance(model, Completer)
    assert isinstance(model, Sampler)
    for context in subject.single_contexts:
        x, samples = (model.sample(n, context=context, generator=subject.generator()) for _ in range(2))
        known = torch.rand(x.shape, generator=subject.generator()).to(x.device) < 0.5
        completed = model.complete(x, known, context=context, generator=subject.generator())
        worst = apart(subject, completed.double().flatten(1), samples.double().flatten(1))
        require(
            worst <= Z_LIMIT,
            f"samples of which a random half was completed anew do not follow the law of sample ({worst:.0f} standard"
            " errors apart in the mean of a bounded test function): complete does not draw from p(unknown | known); it"
            " predicts a mean, forgets the noise or a covariance, or does not look at what is known",
        )


def dequantized_samples_are_the_cells(subject: Subject) -> None:
    model, context = subject.model, subject.single_contexts[0]
    assert isinstance(model, DequantizedDensity)
    assert isinstance(model.inner, Sampler)
    seed = subject.generator().initial_seed()
    x = model.sample(64, context=context, generator=torch.Generator().manual_seed(seed))
    z = model.inner.sample(64, context=context, generator=torch.Generator().manual_seed(seed))
    y = model.from_inner(z)
    inside = (y > 0) & (y < model.levels) & model.ordered
    require(torch.equal(x[inside], y[inside].floor()), "a sample must be the cell that the inner sample lies in")


def _samples_within(subject: Subject, model: Model, which: int) -> tuple[Tensor, Tensor]:
    """Samples, and which of them count: those of a dequantized model are clamped into the levels from outside."""
    assert isinstance(model, Sampler)
    n, context = max(1024, min(SAMPLES, 2**18 // subject.event.size)), subject.single_contexts[which]
    if isinstance(model, DequantizedDensity):
        assert isinstance(model.inner, Sampler)
        z = model.inner.sample(n, context=context, generator=subject.generator())
        y = model.from_inner(z)
        inside = (((y >= 0) & (y < model.levels)) | ~model.ordered).flatten(1).all(1)
        return model._from_core(model._to_levels(z)), inside.double()
    samples = model.sample(n, context=context, generator=subject.generator())
    return samples, samples.new_ones(len(samples))


def _leaked(subject: Subject, model: Model, which: int) -> tuple[float, float]:
    """The share of a dequantized model's inner density that lies outside of all levels, and its standard error."""
    if not isinstance(model, DequantizedDensity):
        return 0.0, 0.0
    _, inside = _samples_within(subject, model, which)
    return 1 - float(inside.mean()), float(inside.std()) / math.sqrt(len(inside))


def _diagnosis(subject: Subject, x: Tensor, context: Tensor | None, elbo: Tensor, weights: Tensor) -> str:
    """What the difference of the elbo from the mean log-weight amounts to."""
    wrong, right = elbo.mean(1), weights.mean(1)
    guesses = {"the elbo has the wrong sign: it is a loss, not a bound": -right}
    guesses["a mean over dimensions stands where a sum belongs"] = right / subject.event.size
    model = subject.precise
    kl = _mean_kl(model, x, context, subject) if isinstance(model, Encoder) and isinstance(model, Decoder) else None
    if kl is not None:
        guesses["the KL is halved"] = right + 0.5 * kl
        guesses["the KL has the wrong sign: it is subtracted from the reconstruction"] = right + 2 * kl
        guesses["the KL is missing"] = right + kl
        guesses["the reconstruction is a mean over dimensions where a sum belongs"] = (
            right + kl
        ) / subject.event.size - kl
    errors = {fault: float((guess - wrong).square().mean()) for fault, guess in guesses.items()}
    likely = min(errors, key=lambda fault: errors[fault])
    if float((guesses[likely] - wrong).mean().abs()) < 0.25 * float((right - wrong).mean().abs()):
        return likely
    return "a KL scaled or of the wrong sign, or a mean where a sum belongs"


def _mean_kl(model: Encoder, x: Tensor, context: Tensor | None, subject: Subject) -> Tensor | None:
    """KL(q(z | x) || p(z)) by samples, (batch,)."""
    assert isinstance(model, Decoder)
    if not model.has_prior:
        return None
    torch.manual_seed(subject.generator().initial_seed())
    posterior = model.encode(x, context=context)
    z = posterior.sample(torch.Size([1024]))
    prior = torch.stack([model.log_prior(draws, context=context) for draws in z])
    return (posterior.log_prob(z) - prior).mean(0)


def _mean(values: Tensor) -> tuple[float, float]:
    return float(values.mean()), float(values.std()) / math.sqrt(len(values))


def _discrete_density(subject: Subject) -> str | None:
    if subject.event.densities:
        return "its data are continuous, or some of its columns"
    return needs_any(ExactDensity, BoundedDensity)(subject)


def _sampled(subject: Subject) -> str | None:
    if reason := needs(Sampler)(subject) or has_total(subject):
        return reason
    return None if is_whole(subject.original) else "its weights cover a part of p(x) only"


def _parametric(subject: Subject) -> str | None:
    if reason := needs(Sampler, ExactDensity)(subject):
        return reason
    return None if any(True for _ in subject.model.parameters()) else "it has no parameters with gradients"


def _completes_exactly(subject: Subject) -> str | None:
    if isinstance(subject.original, Autoregressive):
        return "its draws do not look ahead to what is known later in its order"
    if reason := needs(Completer, Sampler)(subject):
        return reason
    return has_total(subject)


def _dequantized(model: Model) -> str | None:
    return None if isinstance(model, DequantizedDensity) else "it is not dequantized"


LIKELIHOODS = (
    Property("probabilities are at most 1", _discrete_density, probabilities_are_at_most_one, by_chance=True),
    Property("the total probability is 1", has_total, total_probability_is_one, by_chance=True),
    Property("elbo <= importance bound <= exact", needs(BoundedDensity), bounds_are_in_order, by_chance=True),
)

SAMPLING = (
    Property("samples follow the density", _sampled, samples_follow_the_density, by_chance=True),
    Property("samples are stationary for their likelihood", _parametric, samples_are_stationary, by_chance=True),
    Property("completions follow the density", _completes_exactly, completions_follow_the_density, by_chance=True),
    Property("dequantized samples are cells", lambda s: _dequantized(s.original), dequantized_samples_are_the_cells),
)

STAGES = (Property("stages sum to the likelihood", needs(StagedDensity), stages_sum_to_the_likelihood),)
