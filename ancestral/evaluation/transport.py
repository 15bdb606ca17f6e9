"""Wasserstein distances, in the unit of the data: the least mean cost of moving one distribution onto another.

    W_1(p, q) = min E|x - y|,    W_2(p, q) = (min E|x - y|^2)^(1/2)    over couplings of x ~ p and y ~ q,

with Euclidean distances |.|. By Kantorovich and Rubinstein W_1 is also the largest E_p[f] - E_q[f] over all f of slope
at most 1, which a WGAN's critic looks for (Arjovsky et al. 2017, equation 2).

On a line the best coupling is in order of size. Elsewhere it is a linear program, solved exactly by POT
(`pip install ancestral[quality]`).
"""

import math

import torch
from jaxtyping import Float, Num
from torch import Tensor
from torch.distributions import Categorical, Distribution

from ancestral.evaluation.divergences import Divergence, criticised, gaussian_moments
from ancestral.evaluation.likelihood import standard_error
from ancestral.evaluation.two_samples import between_gaussians
from ancestral.interface import Critic, InputError

#: Pairs of points whose costs fit in memory, 8 bytes each.
_MOST_PAIRS = 10**8


def wasserstein(
    p: Distribution, q: Distribution, *, order: int = 1, points: Num[Tensor, "k *event"] | None = None
) -> Divergence:
    """W_1 or W_2 of two Gaussians or two categorical distributions, exact and in float64.

    W_2 of Gaussians is that of their means and covariances (Dowson & Landau 1982); W_1 is known on the line, and where
    the covariances are equal.

    Args:
        p: a `Normal`, an `Independent` of one, a `MultivariateNormal` or a `Categorical`; one, not a batch.
        q: likewise.
        order: 1 or 2.
        points: where the categories lie, (categories, *event); by default 0, 1, 2, ... on the line.
    """
    _check_order(order)
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        return _of_atoms(p, q, order, points)
    if points is not None:
        raise InputError("points say where the categories of two Categorical lie; these are none")
    (mean_p, cov_p), (mean_q, cov_q) = gaussian_moments(p), gaussian_moments(q)
    if len(mean_p) != len(mean_q):
        raise InputError(f"the Gaussians must have as many dimensions, got {len(mean_p)} and {len(mean_q)}")
    shift = float((mean_p - mean_q).norm())
    if order == 2:
        root_p, root_q = (torch.linalg.cholesky(cov, upper=True) for cov in (cov_p, cov_q))
        return Divergence(math.sqrt(between_gaussians(mean_p, root_p, mean_q, root_q)), "exact")
    if torch.equal(cov_p, cov_q):
        return Divergence(shift, "exact")
    if len(mean_p) > 1:
        raise InputError(
            "W_1 of Gaussians of several dimensions has no closed form unless their covariances are equal;"
            " use order=2, or wasserstein_from_samples"
        )
    # Quantile by quantile x - y is shift + (sigma_p - sigma_q) z: the mean of a folded normal distribution.
    spread = abs(float(cov_p.sqrt() - cov_q.sqrt()))
    at = shift / (spread * math.sqrt(2))
    return Divergence(spread * math.sqrt(2 / math.pi) * math.exp(-(at**2)) + shift * math.erf(at), "exact")


def wasserstein_from_samples(x: Num[Tensor, "n *event"], y: Num[Tensor, "m *event"], *, order: int = 1) -> Divergence:
    """W_1 or W_2 from independent draws `x` of p and `y` of q: the exact distance of the two samples.

    It estimates that of p and q with a bias upwards of order n^(-1/d) in d dimensions, at most; the error, by the
    variance of the optimal potentials (del Barrio & Loubes 2019), is without it. On the line it is had by sorting;
    else POT solves the linear program, in memory of n m numbers.
    """
    _check_order(order)
    if x.shape[1:] != y.shape[1:]:
        raise InputError(f"both samples must be of one event, got {tuple(x.shape[1:])} and {tuple(y.shape[1:])}")
    if min(len(x), len(y)) < 2:
        raise InputError(f"an estimate needs at least 2 draws of each distribution, got {len(x)} and {len(y)}")
    a, b = (torch.full((len(draws),), 1 / len(draws), dtype=torch.float64) for draws in (x, y))
    cost, of_x, of_y = _transport(_flat(x), _flat(y), a, b, order)
    value = cost ** (1 / order)
    error = math.hypot(standard_error(of_x), standard_error(of_y))
    return Divergence(value, "estimate", error / (order * value ** (order - 1)) if value else None)


def wasserstein_from_critic(
    critic: Critic, x: Num[Tensor, "n *event"], y: Num[Tensor, "m *event"], *, lipschitz: float | None = None
) -> Divergence:
    """W_1 by a WGAN's critic: its mean over draws `x` of p (real) less that over `y` of q, by its Lipschitz constant.

    In the unit of the data, of their Euclidean distance. It is a lower bound as far as no slope of the critic is larger
    than the constant, which is known of none that is trained, so that the value is an estimate.

    Args:
        critic: a model whose criticism is a potential.
        x: draws of p, that the critic was not trained on.
        y: draws of q.
        lipschitz: the constant, of slopes in the data's unit; None for the largest one on the lines between draws in
            turn. A gradient penalty brings slopes near 1 on the networks' scale, which is the data's own where they
            are `Real` and not standardised; clipped weights leave the constant unknown.
    """
    if critic.criticism != "potential":
        raise InputError(
            f"{critic.display_name} outputs a {critic.criticism}, not a potential; use the discriminator's bounds"
        )
    if lipschitz is not None and not 0 < lipschitz < math.inf:
        raise InputError(f"lipschitz must be a finite number above 0, got {lipschitz}")
    of_p, of_q = criticised(critic, x), criticised(critic, y)
    slope = _largest_slope(critic, x, y) if lipschitz is None else lipschitz
    if slope == 0:
        return Divergence(0.0, "estimate", None)
    error = math.hypot(standard_error(of_p), standard_error(of_q))
    return Divergence(float(of_p.mean() - of_q.mean()) / slope, "estimate", error / slope)


def _largest_slope(critic: Critic, x: Tensor, y: Tensor, batch_size: int = 4096) -> float:
    """The largest norm of the critic's gradient at a point of each line between x_i and y_i, evenly spread over it."""
    n, found = min(len(x), len(y)), 0.0
    # Multiples of the golden ratio are as evenly spread in any order of the draws.
    share = (torch.arange(n, dtype=torch.float64) * (math.sqrt(5) - 1) / 2).frac().view(-1, *[1] * (x.dim() - 1))
    for rows in torch.arange(n).split(batch_size):
        real, fake = (draws[rows].to(critic.device, critic.dtype) for draws in (x, y))
        between = torch.lerp(real, fake, share[rows].to(real)).requires_grad_()
        with critic._public():  # between values of the support there may be none
            (gradient,) = torch.autograd.grad(critic._criticise(critic._to_core(between), None).sum(), between)
        found = max(found, float(gradient.flatten(1).norm(dim=1).max()))
    return found


# -- Exact transport ---------------------------------------------------------------------------------------------------


def _of_atoms(p: Categorical, q: Categorical, order: int, points: Tensor | None) -> Divergence:
    for of in (p, q):
        if tuple(of.batch_shape) != ():
            raise InputError(f"a distance is of one distribution, got a batch of shape {tuple(of.batch_shape)}")
    a, b = p.probs.double(), q.probs.double()
    if points is None:
        points = torch.arange(max(len(a), len(b)))
        first, second = points[: len(a)], points[: len(b)]
    elif len(points) == len(a) == len(b):
        first = second = points
    else:
        raise InputError(f"{len(points)} points need as many categories of both, got {len(a)} and {len(b)}")
    cost, _, _ = _transport(_flat(first), _flat(second), a / a.sum(), b / b.sum(), order)
    return Divergence(cost ** (1 / order), "exact")


def _transport(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], a: Float[Tensor, " n"], b: Float[Tensor, " m"], order: int
) -> tuple[float, Float[Tensor, " n"], Float[Tensor, " m"]]:
    """The least mean of |x - y|^order between atoms of masses `a` and `b`, and the potentials of both: how it grows
    with the mass of each."""
    if x.shape[1] == 1:
        return _on_a_line(x[:, 0], y[:, 0], a, b, order)
    if len(x) * len(y) > _MOST_PAIRS:
        raise InputError(
            f"exact transport between {len(x):,} and {len(y):,} points needs"
            f" {8e-9 * len(x) * len(y):.1f} GB for their costs; take fewer of them"
        )
    try:
        import ot
    except ImportError as error:
        raise InputError(
            "exact transport in more than one dimension is solved by POT, which is not installed;"
            " pip install ancestral[quality]"
        ) from error
    cost = torch.cdist(x, y) if order == 1 else (x[:, None] - y).square().sum(-1)
    total, log = ot.emd2(a.numpy(), b.numpy(), cost.numpy(), numItermax=10_000_000, log=True)
    return float(total), torch.from_numpy(log["u"]), torch.from_numpy(log["v"])


def _on_a_line(x: Tensor, y: Tensor, a: Tensor, b: Tensor, order: int) -> tuple[float, Tensor, Tensor]:
    """The coupling in order of size: pieces of mass, each of one atom of either side."""
    (x, of_x), (y, of_y) = x.sort(), y.sort()
    ends_x, ends_y = a[of_x].cumsum(0), b[of_y].cumsum(0)
    ends = torch.cat([ends_x, ends_y]).sort().values
    mass = ends.diff(prepend=torch.zeros(1, dtype=ends.dtype))
    middle = ends - 0.5 * mass
    i = torch.searchsorted(ends_x, middle).clamp(max=len(x) - 1)
    j = torch.searchsorted(ends_y, middle).clamp(max=len(y) - 1)

    def cost(i: Tensor, j: Tensor) -> Tensor:
        return (x[i] - y[j]).abs() ** order

    total = float((mass * cost(i, j)).sum())
    # From piece to piece the potential of x may rise by what its move costs against either piece's y.
    rise = 0.5 * (cost(i[1:], j[:-1]) - cost(i[:-1], j[:-1]) + cost(i[1:], j[1:]) - cost(i[:-1], j[1:]))
    along = torch.cat([torch.zeros(1, dtype=x.dtype), rise.cumsum(0)])
    potential_x, potential_y = torch.empty_like(x), torch.empty_like(y)
    potential_x[of_x[i]] = along
    potential_y[of_y[j]] = cost(i, j) - along
    return total, potential_x, potential_y


def _flat(x: Tensor) -> Tensor:
    return x.detach().cpu().double().reshape(len(x), -1)


def _check_order(order: int) -> None:
    if order not in (1, 2):
        raise InputError(f"order must be 1 or 2, got {order!r}")
