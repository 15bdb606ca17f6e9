"""What latents promise: that prior, decoder, encoder, density and sampler are those of one joint distribution."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, OneHotCategorical

from ancestral.checks.report import Property, Undecided, needs, require
from ancestral.checks.statistics import (
    Z_LIMIT,
    Weighted,
    apart,
    enumerated,
    heavy_tailed,
    integrated,
    largest_difference,
    paired,
    too_large,
)
from ancestral.checks.subject import Subject
from ancestral.interface import (
    BoundedDensity,
    Categories,
    Classifier,
    Decoder,
    Encoder,
    ExactDensity,
    JointDensity,
    MeanDecoder,
    Model,
    Sampler,
    repeated,
    seeded,
)

#: Distinct values up to which a latent that repeats itself counts as discrete.
MOST_VALUES = 64
#: Observations that a latent decodes to, by whose mean a decoder that draws is known.
DRAWS = 1024
#: Latent dimensions up to which their covariance is estimated whole.
MOST_COVARIANCE = 64


def latents_follow_their_prior(subject: Subject) -> None:
    """E over prior draws of r(z) / p(z) is 1 for any density r that is narrower than the prior."""
    # Where latents far apart depend on each other too unevenly, those nearby need not.
    if not any(_follow_their_prior(subject, model) for model in (subject.far, subject.precise)):
        raise Undecided("the density of its latents is too uneven for a test of sample_latents")


def _follow_their_prior(subject: Subject, model: Model) -> bool:
    """Whether it could be decided that they do."""
    n = subject.rows(4096, least=512)
    assert isinstance(model, Decoder)
    first, *others = model.latent_shapes
    for context in subject.single_contexts:
        fitted = model.sample_latents(n, context=context, generator=subject.generator())
        z = model.sample_latents(n, context=context, generator=subject.generator())
        if others:
            given = model.split_latents(z)[first]
            z = model.sample_latents(n, given={first: given}, context=context, generator=subject.generator())
            require(
                torch.equal(model.split_latents(z)[first], given),
                f"sample_latents changes the latent {first!r} that it is given",
            )
        log_prior = model.log_prior(z, context=context)
        ratios = ((_narrower(model, fitted, z, share) - log_prior).exp() for share in (1.0, 0.3, 0.1, 0.03))
        ratio = next((ratio for ratio in ratios if not heavy_tailed(ratio)), None)
        if ratio is None:
            return False
        mean, stderr = float(ratio.mean()), float(ratio.std()) / math.sqrt(n)
        children = f", given {first!r}," if others else ""
        require(
            abs(mean - 1) <= Z_LIMIT * stderr + 1e-5,
            f"sample_latents{children} does not follow log_prior: over its draws a narrower density r has E r(z)/p(z) ="
            f" {mean:.4f} ± {stderr:.4f}, not 1; one of the two has another scale, mean or dependence on the parents"
            " than the other, or log_prior is not normalised",
        )
    return True


def encoding_agrees_with_the_density(subject: Subject, draws: int = 1024) -> None:
    model, n = subject.precise, subject.rows(16)
    assert isinstance(model, JointDensity)
    assert isinstance(model, Encoder)
    draws = max(16, subject.rows(n * draws, budget=2.0**34) // n)
    x, context = subject.observations(n, torch.float64), subject.contexts(n)
    with torch.no_grad():
        posterior = model.encode(x, context=context)
        with seeded(subject.generator(), model.device):
            z = posterior.sample(torch.Size([draws]))
        if bool((z == z[:1]).all()):  # a code without noise
            draws = min(draws, 16)
            z = z[:draws]
        joint = model.log_joint(repeated(x, draws), z.flatten(0, 1), context=repeated(context, draws))
        weights = (joint.view(draws, n) - posterior.log_prob(z)).T
        if isinstance(model, ExactDensity):
            exact = model.log_prob(x, context=context)[:, None]
            error = weights - exact
            require(
                bool((error.abs() <= 1e-6 * (1 + exact.abs())).all()),
                lambda: _wrong_posterior(error),
            )
            return
        assert isinstance(model, BoundedDensity)
        elbo = model.elbo(repeated(x, draws), context=repeated(context, draws), generator=subject.generator())
        elbo = elbo.view(draws, n).T
    worst = float(paired(weights, elbo).abs().max())
    require(
        worst <= Z_LIMIT,
        f"log_joint(x, z) - ln q(z | x) with z ~ q = encode(x) averages {float(weights.mean()):.4f} nats, but elbo is"
        f" {float(elbo.mean()):.4f} ({worst:.0f} standard errors): encode is not the q of the bound (another scale,"
        " mean or context), or log_joint is not its p(x, z) (a likelihood or a prior scaled, a mean for a sum)",
    )


def classes_are_bayes_rule(subject: Subject) -> None:
    model, n = subject.precise, subject.rows(64)
    assert isinstance(model, Classifier)
    assert isinstance(model, JointDensity)
    assert isinstance(model, Encoder)
    x = subject.observations(n, torch.float64)
    codes = torch.eye(model.classes, dtype=x.dtype, device=x.device)
    with torch.no_grad():
        joint = torch.stack([model.log_joint(x, code.expand(n, -1)) for code in codes], 1)
        posterior = torch.stack([model.encode(x).log_prob(code.expand(n, -1)) for code in codes], 1)
        found = {"class_log_probs": model.class_log_probs(x).double(), "encode": posterior}
    want = joint.log_softmax(1)
    for name, value in found.items():
        require(
            torch.allclose(value, want, rtol=1e-5, atol=1e-6),
            f"{name} is not Bayes' rule, p(z | x) = p(x, z) / sum over z of p(x, z): the classes of an observation have"
            f" {_listed(value[0])} nats where log_joint gives {_listed(want[0])}",
        )


def observations_given_latents(subject: Subject, latents: int = 4) -> None:
    if reason := too_large(subject.event):
        raise Undecided(reason)
    model, context = subject.far, subject.contexts(latents)
    assert isinstance(model, JointDensity)
    z = model.sample_latents(latents, context=context, generator=subject.generator())
    for row in range(latents):
        given = None if context is None else context[row]
        reference = _conditional(subject, model, z[row], given)
        total, stderr = reference.mass()
        require(
            abs(total - 1) <= Z_LIMIT * stderr + 1e-5,
            f"exp(log_joint(x, z) - log_prior(z)), the probability of x given z, has a total over x of {total:.6f} ±"
            f" {stderr:.6f}, not 1: a normaliser is wrong or the prior is counted twice",
        )
        ordered = _ordered(subject)
        points = reference.points.flatten(2)[:, :, ordered]
        mean, error = reference.expectation(points)
        found, noise = (values[ordered] for values in _mean_given(subject, model, z[row], given))
        slack = 1e-4 * (1 + mean.abs())
        if not isinstance(model, MeanDecoder):
            # A value too rare for any draw has no spread among the draws; one that is drawn a few times is no alarm.
            variance = (reference.expectation(points.square())[0] - mean.square()).clamp(min=0)
            noise = noise.maximum((variance / DRAWS).sqrt())
            slack = slack + 6 / DRAWS * (points.amax((0, 1)) if subject.event.densities == 0 else 0)
        allowed = Z_LIMIT * (error.square() + noise.square()).sqrt() + slack
        name = "decode_mean" if isinstance(model, MeanDecoder) else "the mean of decode"
        require(
            bool(((found - mean).abs() <= allowed).all()),
            f"{name} of a latent is {_listed(found)}, but given it observations have the mean {_listed(mean)} under"
            " log_joint: the two decode differently",
        )


def decoded_prior_averages_to_the_samples(subject: Subject) -> None:
    """In each dimension, and along the direction in which half of the draws differ most, on the other half."""
    model, n = subject.far, subject.rows(4096, least=256)
    assert isinstance(model, MeanDecoder)
    assert isinstance(model, Sampler)
    for context in subject.single_contexts:
        z = model.sample_latents(n, context=context, generator=subject.generator())
        ordered = _ordered(subject)
        samples = model.sample(n, context=context, generator=subject.generator()).double().flatten(1)[:, ordered]
        means = {
            "decode_mean": model.decode_mean(z, context=context).double().flatten(1)[:, ordered],
            # Of a generator without noise on discrete data the nearest value is the observation.
            "decode": model.decode(z, context=context, generator=subject.generator()).double().flatten(1)[:, ordered],
        }
        scores = {name: largest_difference(values, samples) for name, values in means.items()}
        name = min(scores, key=lambda name: scores[name])
        require(
            scores[name] <= Z_LIMIT,
            f"{name} of prior draws averages {_listed(means[name].mean(0))}, but sample {_listed(samples.mean(0))}"
            f" ({scores[name]:.0f} standard errors apart): the decoder and the sampler use different parameters,"
            f" contexts or priors{_who_agrees(subject)}",
        )


def decoded_prior_follows_the_samples(subject: Subject) -> None:
    model, n = subject.far, subject.rows(8192, least=256)
    assert isinstance(model, Decoder)
    assert isinstance(model, Sampler)
    for context in subject.single_contexts:
        z = model.sample_latents(n, context=context, generator=subject.generator())
        decoded = model.decode(z, context=context, generator=subject.generator()).double().flatten(1)
        samples = model.sample(n, context=context, generator=subject.generator()).double().flatten(1)
        worst = apart(subject, decoded, samples)
        require(
            worst <= Z_LIMIT,
            f"decode of sample_latents does not follow the law of sample ({worst:.0f} standard errors apart in the mean"
            " of a bounded test function): the decoder, the prior or the context of one is not that of the other",
        )


def codes_are_the_nearest(subject: Subject) -> None:
    model, n = subject.precise, subject.rows(64)
    assert isinstance(model, Encoder)
    assert isinstance(model, MeanDecoder)
    x, context = subject.observations(n, torch.float64), subject.contexts(1)
    one = None if context is None else context[0]
    codes = torch.eye(model.latent_size, dtype=x.dtype, device=x.device)
    with torch.no_grad():
        centres = model.decode_mean(codes, context=one)
        if subject.event.values is None:
            x = torch.cat([centres, x])
        chosen = model.encode(x, context=one).mean
        error = (x - model.decode_mean(chosen, context=one)).flatten(1).square().sum(1)
    least = torch.cdist(x.flatten(1), centres.flatten(1)).square().amin(1)
    wrong = error > least + 1e-6 * (1 + least)
    require(
        not bool(wrong.any()),
        f"encode takes another code than the one whose decoding is nearest for {int(wrong.sum())} of {len(x)} rows"
        f"{', the decoded codes themselves among them' if bool(wrong[: len(centres)].any()) else ''}: codes are"
        " numbered differently in encode and decode, or the distance is wrong",
    )


def _narrower(model: Decoder, fitted: Tensor, z: Tensor, share: float) -> Tensor:
    """ln r(z) of a density fitted to draws: frequencies for discrete latents, for the others a Gaussian of less
    variance than theirs, by as much as leaves r/p even in many dimensions, and a `share` of that."""
    log_density, continuous = z.new_zeros(len(z)), []
    parts = zip(model.split_latents(fitted).values(), model.split_latents(z).values(), strict=True)
    for known, new in parts:
        known, new = known.flatten(1) if known.dim() > 1 else known[:, None], new.reshape(len(z), -1)
        _, places = torch.cat((known, new)).unique(dim=0, return_inverse=True)
        counts = places[: len(known)].bincount(minlength=len(known) + len(new))
        values, whole = int((counts > 0).sum()), bool((known == known.round()).all())
        if values > len(known) // 4 and whole:
            raise Undecided("its latents are discrete, and take too many values to be counted")
        if values > min(MOST_VALUES, len(known) // 8) and not whole:
            continuous.append((known, new))
            continue
        log_density = log_density + (counts / len(known)).to(z)[places[len(known) :]].log()
    if continuous:
        known, new = (torch.cat(side, 1) for side in zip(*continuous, strict=True))
        size = known.shape[1]
        covariance = known.T.cov().reshape(size, size)
        if size > MOST_COVARIANCE:
            covariance = covariance.diagonal().diag()
        covariance = covariance * share * (1 - min(0.5, 1 / math.sqrt(size)))
        log_density = log_density + MultivariateNormal(known.mean(0), covariance).log_prob(new)
    return log_density


def _ordered(subject: Subject) -> list[bool]:
    """Which dimensions have a mean: categories have none."""
    return [not isinstance(support, Categories) for support in subject.event.supports]


def _conditional(subject: Subject, model: JointDensity, z: Tensor, context: Tensor | None) -> Weighted:
    """p(x | z) as weighted points."""

    def log_likelihood(x: Tensor) -> Tensor:
        rows = z.expand(len(x), -1)
        return model.log_joint(x, rows, context=context) - model.log_prior(rows, context=context)

    if subject.event.densities == 0:
        return enumerated(model, log_likelihood)
    if subject.event.densities < subject.event.size:
        around = subject.observations(128, torch.float64)
        centres = model.decode(z[None], context=context, generator=subject.generator()) + around - around.mean(0)
        return integrated(model, log_likelihood, centres, subject.generator())
    if not isinstance(model, MeanDecoder):
        centres = model.decode(z.expand(128, -1), context=context, generator=subject.generator())
        return integrated(model, log_likelihood, centres, subject.generator(), points=256)
    # About its mean, as wide as the curvature there says.
    mean = model.decode_mean(z[None], context=context).detach()
    size = subject.event.size
    with torch.enable_grad():
        curvature = torch.autograd.functional.hessian(lambda x: log_likelihood(x).sum(), mean).reshape(size, size)
    root, failed = torch.linalg.cholesky_ex(-curvature)
    if int(failed) != 0:
        raise Undecided("log_joint has no peak at decode_mean to integrate around")
    with seeded(subject.generator(), model.device):
        noise = torch.linalg.solve_triangular(root.T, torch.randn(size, 128).to(root), upper=True).T
    return integrated(model, log_likelihood, mean + noise.view(128, *subject.event.shape), subject.generator(), 256)


def _mean_given(subject: Subject, model: Decoder, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
    """The mean of the observations that a latent decodes to, and its standard error, (size,) each."""
    if isinstance(model, MeanDecoder):
        mean = model.decode_mean(z[None], context=context).detach().flatten().double()
        return mean, torch.zeros_like(mean)
    draws = model.decode(z.expand(DRAWS, -1), context=context, generator=subject.generator()).double().flatten(1)
    return draws.mean(0), draws.std(0) / math.sqrt(len(draws))


def _wrong_posterior(error: Tensor) -> str:
    """What log_joint - ln q - log_prob, (rows, draws), says of the three."""
    offset, spread = float(error.mean()), float((error - error.mean(1, keepdim=True)).abs().max())
    found = (
        f"log_joint(x, z) - ln q(z | x) with z ~ q = encode(x) differs from log_prob(x) by {offset:.4f} nats on average"
    )
    if spread <= 1e-6 * (1 + abs(offset)):
        return (
            f"{found}, for all z of an x alike: encode is the posterior of log_joint, whose p(x, z) is not log_prob's"
        )
    ratio = error.exp().flatten()
    if abs(float(ratio.mean()) - 1) <= Z_LIMIT * float(ratio.std()) / math.sqrt(len(ratio)):
        return f"{found}, by {spread:.4f} from one z to another: log_joint is right, but encode is not its posterior"
    return f"{found}, by {spread:.4f} from one z to another: encode, log_prior or the likelihood in log_joint is wrong"


def _who_agrees(subject: Subject) -> str:
    if isinstance(subject.original, ExactDensity | BoundedDensity) and not too_large(subject.event):
        return "; the sampler agrees with the density, so look at the decoder and the prior"
    return ""


def _listed(values: Tensor) -> str:
    shown = ", ".join(f"{float(value):.4f}" for value in values.flatten()[:4])
    return f"({shown}{', ...' if values.numel() > 4 else ''})"


def _of_a_prior(*abilities: type) -> Callable[[Subject], str | None]:
    def unless(subject: Subject) -> str | None:
        model = subject.original
        if reason := needs(Decoder, *abilities)(subject):
            return reason
        return None if isinstance(model, Decoder) and model.has_prior else "its latents have no prior"

    return unless


def _encoded_density(subject: Subject) -> str | None:
    if reason := _of_a_prior(JointDensity, Encoder)(subject):
        return reason
    if not isinstance(subject.original, ExactDensity | BoundedDensity):
        return "it is neither ExactDensity nor BoundedDensity"
    return None


def _one_hot(subject: Subject) -> bool:
    model = subject.model
    return isinstance(model, Encoder) and isinstance(
        model.encode(subject.observations(2), context=subject.contexts(2)), OneHotCategorical
    )


def mixture(subject: Subject) -> str | None:
    """Why the classes of a model are not its only latent, one-hot, or None."""
    if reason := _of_a_prior(JointDensity, Encoder, Classifier)(subject):
        return reason
    model = subject.original
    assert isinstance(model, Classifier)
    assert isinstance(model, Decoder)
    return None if _one_hot(subject) and model.latent_size == model.classes else "its classes are not its latent"


def _noiseless(subject: Subject) -> str | None:
    model = subject.original
    if reason := _of_a_prior(Sampler)(subject):
        return reason
    noisy = isinstance(model, ExactDensity | BoundedDensity | JointDensity)
    return "what it decodes is a mean" if noisy and isinstance(model, MeanDecoder) else None


def quantizer(subject: Subject) -> str | None:
    """Why a model has no hard codes whose decodings are centres, or None."""
    if reason := needs(Encoder, MeanDecoder)(subject):
        return reason
    model = subject.original
    assert isinstance(model, Decoder)
    if model.has_prior:
        return "its latents have a prior"
    return None if _one_hot(subject) else "its codes are not one-hot"


PROPERTIES = (
    Property("latents follow their prior", _of_a_prior(), latents_follow_their_prior, by_chance=True),
    Property("the encoding is that of the density", _encoded_density, encoding_agrees_with_the_density, by_chance=True),
    Property("classes are Bayes' rule", mixture, classes_are_bayes_rule),
    Property(
        "given its latents an observation has total probability 1",
        _of_a_prior(JointDensity),
        observations_given_latents,
        by_chance=True,
    ),
    Property(
        "the decoded prior averages to the samples",
        _of_a_prior(Sampler, MeanDecoder),
        decoded_prior_averages_to_the_samples,
        by_chance=True,
    ),
    Property("the decoded prior follows the samples", _noiseless, decoded_prior_follows_the_samples, by_chance=True),
    Property("a code is the nearest", quantizer, codes_are_the_nearest),
)
