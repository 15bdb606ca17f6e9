"""How far apart two distributions are: Kullback-Leibler and Jensen-Shannon, in nats. `transport.py` has Wasserstein's.

    KL(p || q) = E_p[ln p(x) - ln q(x)]
    JS(p, q) = 1/2 KL(p || m) + 1/2 KL(q || m),    m = (p + q) / 2,    from 0 to ln 2.

Each from what is known of the two: both in closed form, the densities and draws, draws alone, or a trained
discriminator. Its logit T is at best ln p - ln q, and whatever it is, theory bounds both from below (on rows that it
was not trained on):

* 2 JS >= V + ln 4, V = E_p[ln D] + E_q[ln(1 - D)] with D = sigmoid(T) (Goodfellow et al. 2014, theorem 1);
* KL(p || q) >= E_p[T] - ln E_q[e^T] (Donsker & Varadhan 1983), whose mean over draws is a little above the bound;
* KL(p || q) >= E_p[T] - E_q[e^T] + 1 (Nguyen, Wainwright & Jordan 2010; the KL of an f-GAN, Nowozin et al. 2016, with
  T + 1 for its critic), which is never tighter, and free of that bias.

For two densities on a fine grid take the `Categorical` of their cells: the cell's size cancels in each ratio, and the
sum is the trapezoidal rule.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Num
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, MultivariateNormal, Normal
from torch.nn import functional as F

from ancestral.evaluation.likelihood import standard_error
from ancestral.interface import Critic, InputError

LogDensity = Callable[[Tensor], Tensor]

#: Directions whose variances differ by less, relatively, count as of one variance.
_ALIKE = 1e-10
#: Below ln of float64's epsilon.
_CUT = -37.0
#: A quadrature of Gaussians: how far it reaches and the distance of its points, in standard deviations, and how many
#: points are too many.
_REACH, _STEP, _MOST = 12.0, 0.025, 2**23


@dataclass(frozen=True)
class Divergence:
    """A divergence or a distance between two distributions: in nats where it is Kullback-Leibler or Jensen-Shannon, in
    the unit of the data where it is Wasserstein's.

    `kind` says what the value is: "exact", an "estimate" of it, or a "lower bound" up to the error of the draws.
    `stderr` is that error's standard deviation: None where there are no draws, or where the value is infinite.
    """

    value: float
    kind: Literal["exact", "estimate", "lower bound"]
    stderr: float | None = None

    def __str__(self) -> str:
        error = "" if self.stderr is None else f" ± {self.stderr:.3g}"
        return f"{self.value:.4g}{error} ({self.kind})"


# -- In closed form ----------------------------------------------------------------------------------------------------


def kl_divergence(p: Distribution, q: Distribution) -> Divergence:
    """KL(p || q) in nats of two Gaussians or two categorical distributions, exact and in float64.

    A Gaussian is a `Normal`, an `Independent` of one, or a `MultivariateNormal`; each is one distribution, not a batch.
    """
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        return Divergence(_kl(*_log_masses(p, q)), "exact")
    mean, variance = relative_gaussian(p, q)
    # Of N(mean, diag variance) against N(0, I), which q is in its own coordinates.
    return Divergence(0.5 * float((variance + mean.square() - 1 - variance.log()).sum()), "exact")


def jensen_shannon(p: Distribution, q: Distribution) -> Divergence:
    """JS(p, q) in nats of two Gaussians or two categorical distributions, exact and in float64.

    That of Gaussians is an integral over the directions in which they differ, by quadrature to the rounding of float64.
    It can be had for up to two of them: in one dimension or two, or in any where the covariances are equal.
    """
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        return Divergence(_js(*_log_masses(p, q)), "exact")
    mean, variance = _differing(*relative_gaussian(p, q))
    if len(mean) == 0:
        return Divergence(0.0, "exact")
    if len(mean) > 2:
        raise InputError(
            f"the Jensen-Shannon divergence of Gaussians that differ in {len(mean)} directions has no closed form;"
            " use jensen_shannon_from_densities with draws of both"
        )
    lines = [_line(*pair) for pair in zip(mean.tolist(), variance.tolist(), strict=True)]
    if (points := math.prod(map(len, lines))) > _MOST:
        raise InputError(f"the scales of the Gaussians are too far apart for quadrature, which would take {points:,}")
    x = torch.cartesian_prod(*lines).view(-1, len(lines))
    log_p = MultivariateNormal(mean, variance.diag()).log_prob(x)
    log_q = -0.5 * x.square().sum(1)
    return Divergence(_js(log_p.log_softmax(0), log_q.log_softmax(0)), "exact")


def relative_gaussian(p: Distribution, q: Distribution) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"]]:
    """The mean and the variances of p in coordinates where q is N(0, I) and p has no covariances; float64."""
    (mean_p, cov_p), (mean_q, cov_q) = gaussian_moments(p), gaussian_moments(q)
    if len(mean_p) != len(mean_q):
        raise InputError(f"the Gaussians must have as many dimensions, got {len(mean_p)} and {len(mean_q)}")
    root = torch.linalg.cholesky(cov_q)
    half = torch.linalg.solve_triangular(root, cov_p, upper=False)
    relative = torch.linalg.solve_triangular(root, half.T, upper=False)
    variance, vectors = torch.linalg.eigh(0.5 * (relative + relative.T))
    shift = torch.linalg.solve_triangular(root, (mean_p - mean_q)[:, None], upper=False)[:, 0]
    return vectors.T @ shift, variance


def gaussian_moments(of: Distribution) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    """The mean and the covariance of one Gaussian, in float64."""
    base = of.base_dist if isinstance(of, Independent) else of
    if not isinstance(base, Normal | MultivariateNormal):
        raise InputError(
            "closed forms are of two Gaussians (Normal, Independent(Normal), MultivariateNormal) or two Categorical, "
            f"got {type(of).__name__}; use the estimators from densities or from samples"
        )
    if tuple(of.batch_shape) != ():
        raise InputError(
            f"a divergence is of one distribution, got a batch of shape {tuple(of.batch_shape)};"
            " a Gaussian of independent dimensions is Independent(Normal(mean, deviation), 1)"
        )
    mean = base.mean.double().reshape(-1)
    if isinstance(base, MultivariateNormal):
        return mean, base.covariance_matrix.double()
    return mean, base.variance.double().reshape(-1).diag()


def _differing(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """The same in the directions where it is not N(0, 1) alone: all that share the variance are turned to one."""
    alike = (variance - 1).abs() <= _ALIKE
    shift = mean[alike].norm()
    if shift == 0:
        return mean[~alike], variance[~alike]
    return torch.cat([mean[~alike], shift[None]]), torch.cat([variance[~alike], torch.ones_like(shift)[None]])


def _line(mean: float, variance: float) -> Tensor:
    """Points that hold the mass of N(mean, variance) and of N(0, 1), close enough for both."""
    deviation = math.sqrt(variance)
    low, high = min(-_REACH, mean - _REACH * deviation), max(_REACH, mean + _REACH * deviation)
    points = 1 + math.ceil((high - low) / (_STEP * min(1, deviation)))
    if points > _MOST:
        raise InputError(f"the scales of the Gaussians are too far apart for quadrature, which would take {points:,}")
    return torch.linspace(low, high, points, dtype=torch.float64)


def _log_masses(p: Categorical, q: Categorical) -> tuple[Tensor, Tensor]:
    """Normalised in float64, -inf where there is no mass."""
    for of in (p, q):
        if tuple(of.batch_shape) != ():
            raise InputError(f"a divergence is of one distribution, got a batch of shape {tuple(of.batch_shape)}")
    if p.probs.shape != q.probs.shape:
        raise InputError(f"both must have as many categories, got {p.probs.shape[-1]} and {q.probs.shape[-1]}")
    return _log_mass(p), _log_mass(q)


def _log_mass(of: Categorical) -> Tensor:
    # Logits that come from probabilities are cut at the dtype's epsilon; probabilities from logits may be rounded to 0.
    return torch.where(of.logits > _CUT, of.probs.double().log(), of.logits.double()).log_softmax(0)


def _kl(log_p: Tensor, log_q: Tensor) -> float:
    """Of log-masses; what has no mass under p counts nothing."""
    there = log_p > -math.inf
    return float((log_p[there].exp() * (log_p - log_q)[there]).sum())


def _js(log_p: Tensor, log_q: Tensor) -> float:
    middle = torch.logaddexp(log_p, log_q) - math.log(2)
    return 0.5 * _kl(log_p, middle) + 0.5 * _kl(log_q, middle)


# -- From draws and densities ------------------------------------------------------------------------------------------


def kl_from_densities(x: Num[Tensor, "n *event"], log_p: LogDensity, log_q: LogDensity) -> Divergence:
    """KL(p || q) in nats: the mean of ln p - ln q over independent draws `x` of p. A density takes (n, *event) to
    ln p(x) in nats, (n,); a model's is `model.log_prob`."""
    ratio = _finite(log_p(x)) - log_q(x).double()
    return _estimate(float(ratio.mean()), standard_error(ratio))


def jensen_shannon_from_densities(
    x: Num[Tensor, "n *event"], y: Num[Tensor, "m *event"], log_p: LogDensity, log_q: LogDensity
) -> Divergence:
    """JS(p, q) in nats: the means of ln p - ln m over independent draws `x` of p, and of ln q - ln m over `y` of q."""
    parts = []
    for draws, own, other in ((x, log_p, log_q), (y, log_q, log_p)):
        log_own = _finite(own(draws))
        parts.append(log_own - torch.logaddexp(log_own, other(draws).double()) + math.log(2))
    of_p, of_q = parts
    error = 0.5 * math.hypot(standard_error(of_p), standard_error(of_q))
    return _estimate(0.5 * float(of_p.mean() + of_q.mean()), error)


def _finite(log_density: Tensor) -> Tensor:
    """Of draws under their own density."""
    if not bool(log_density.isfinite().all()):
        raise InputError("the density of some draws is not finite under what they are said to be drawn from")
    return log_density.double()


def _estimate(value: float, stderr: float) -> Divergence:
    return Divergence(value, "estimate", stderr if math.isfinite(stderr) else None)


# -- From draws alone --------------------------------------------------------------------------------------------------


def kl_from_samples(x: Num[Tensor, "n *event"], y: Num[Tensor, "m *event"], *, neighbours: int = 5) -> Divergence:
    """KL(p || q) in nats from independent draws `x` of p and `y` of q, by the distances to nearest neighbours.

    d/n sum ln(nu(x) / rho(x)) + ln(m / (n - 1)), with rho and nu the distances of x to its k-th nearest neighbour among
    the other draws of p and among those of q (Pérez-Cruz 2008; Wang, Kulkarni & Verdú 2009). It is consistent for
    densities on all d dimensions; its bias, which the error does not include, grows with d and where q is small.
    """
    found = _neighbour_terms(x, y, neighbours)
    return _estimate(float(found.mean()), standard_error(found))


def jensen_shannon_from_samples(
    x: Num[Tensor, "n *event"], y: Num[Tensor, "m *event"], *, neighbours: int = 5
) -> Divergence:
    """JS(p, q) in nats from independent draws of both: the estimates `kl_from_samples` of both against m.

    One half of the draws of each make those of m, from which the other halves must be independent; of the larger sample
    as many are taken as the smaller one has.
    """
    half = min(len(x), len(y)) // 2
    middle = torch.cat([x[half : 2 * half], y[half : 2 * half]])
    of_p, of_q = (_neighbour_terms(draws[:half], middle, neighbours) for draws in (x, y))
    error = 0.5 * math.hypot(standard_error(of_p), standard_error(of_q))
    return _estimate(0.5 * float(of_p.mean() + of_q.mean()), error)


def _neighbour_terms(x: Tensor, y: Tensor, neighbours: int) -> Tensor:
    """The estimate's terms, (n,), whose mean it is."""
    # Imported on demand: scikit-learn costs a second.
    from sklearn.neighbors import NearestNeighbors

    if x.shape[1:] != y.shape[1:]:
        raise InputError(f"both samples must be of one event, got {tuple(x.shape[1:])} and {tuple(y.shape[1:])}")
    if neighbours < 1 or min(len(x) - 1, len(y)) < neighbours:
        raise InputError(f"{neighbours} nearest neighbours need more draws than {len(x)} and {len(y)}")
    own, other = (draws.detach().cpu().double().reshape(len(draws), -1).numpy() for draws in (x, y))
    # The nearest of its own sample is the draw itself.
    rho = NearestNeighbors(n_neighbors=neighbours + 1).fit(own).kneighbors(own)[0][:, -1]
    nu = NearestNeighbors(n_neighbors=neighbours).fit(other).kneighbors(own)[0][:, -1]
    if min(rho.min(), nu.min()) <= 0:
        raise InputError(
            "some draws are equal, so they are not of a density: count them and use kl_divergence of Categorical"
        )
    ratio = torch.from_numpy(nu).log() - torch.from_numpy(rho).log()
    return own.shape[1] * ratio + math.log(len(other) / (len(own) - 1))


# -- From a trained discriminator --------------------------------------------------------------------------------------


def jensen_shannon_from_discriminator(
    critic: Critic, x: Num[Tensor, "n *event"], y: Num[Tensor, "m *event"]
) -> Divergence:
    """A lower bound on JS(p, q) in nats by a GAN's discriminator, over fresh draws `x` of p (real) and `y` of q."""
    of_p, of_q = _logits(critic, x), _logits(critic, y)
    log_d, log_not_d = F.logsigmoid(of_p), F.logsigmoid(-of_q)
    value = 0.5 * float(log_d.mean() + log_not_d.mean()) + math.log(2)
    return Divergence(value, "lower bound", 0.5 * math.hypot(standard_error(log_d), standard_error(log_not_d)))


def kl_from_discriminator(
    critic: Critic,
    x: Num[Tensor, "n *event"],
    y: Num[Tensor, "m *event"],
    *,
    reverse: bool = False,
    bound: Literal["donsker_varadhan", "f_gan"] = "donsker_varadhan",
) -> Divergence:
    """A lower bound on KL(p || q) in nats by a GAN's discriminator, over fresh draws `x` of p (real) and `y` of q.

    Args:
        critic: a model whose criticism is a logit.
        x: draws of p, what the discriminator takes for real.
        y: draws of q, what it takes for generated.
        reverse: bound KL(q || p) instead.
        bound: "donsker_varadhan", the tighter one, or "f_gan".
    """
    if bound not in ("donsker_varadhan", "f_gan"):
        raise InputError(f'bound must be "donsker_varadhan" or "f_gan", got {bound!r}')
    of_p, of_q = _logits(critic, x), _logits(critic, y)
    if reverse:
        of_p, of_q = -of_q, -of_p
    log_mean = float(of_q.logsumexp(0)) - math.log(len(of_q))
    mean = math.exp(min(log_mean, 700.0))
    # By the delta method the error of the logarithm is that of the mean relative to it.
    relative = standard_error((of_q - log_mean).exp())
    if bound == "donsker_varadhan":
        return Divergence(float(of_p.mean()) - log_mean, "lower bound", math.hypot(standard_error(of_p), relative))
    return Divergence(float(of_p.mean()) - mean + 1, "lower bound", math.hypot(standard_error(of_p), relative * mean))


def _logits(critic: Critic, x: Tensor) -> Tensor:
    if critic.criticism != "logit":
        raise InputError(
            f"{critic.display_name} outputs a {critic.criticism}, not a logit; use wasserstein_from_critic"
        )
    return criticised(critic, x)


@torch.no_grad()
def criticised(critic: Critic, x: Num[Tensor, "n *event"], batch_size: int = 4096) -> Float[Tensor, " n"]:
    """The critic's value of each observation, float64 on the CPU."""
    if critic.context_event is not None:
        raise InputError(f"this {critic.display_name} is conditional: a divergence is of two marginals")
    if len(x) < 2:
        raise InputError(f"an estimate needs at least 2 draws of each distribution, got {len(x)}")
    return torch.cat([critic.criticise(part.to(critic.device)).double().cpu() for part in x.split(batch_size)])
