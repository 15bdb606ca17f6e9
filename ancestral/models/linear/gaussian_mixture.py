"""Gaussian mixture by expectation-maximisation (Dempster, Laird & Rubin 1977; Bishop 2006, section 9.2).

    p(z = k) = pi_k,  p(x | z = k) = N(mu_k, Sigma_k),  Sigma spherical, diagonal, tied or full.

EM is coordinate ascent on F(theta, q) = E_q[ln p(x, z; theta)] + H(q) (Neal & Hinton 1998, equation 7): the E step sets
q to the responsibilities (Bishop 9.23), where F = ln p(x); the M step sets theta (Bishop 9.24 to 9.26).

Both steps are linear in the sufficient statistics T(x) = (1, x, x x^T), since ln p(x, k) = <eta_k, T(x)>. One pass over
the data, a chunk at a time in cache, forms T and multiplies it by the natural parameters eta (E step) and by the
responsibilities (M step). Up to 64 dimensions each is one matrix product over the D(D+1)/2 distinct entries of x x^T,
half the operations of a Mahalanobis distance for every component. F after the M step needs no second pass: it is
F + <eta_new - eta_old, sum of T under q>. Squares are taken about the mixture's mean, and all is in float64.

As in scikit-learn, `variance_floor` is added to every variance rather than maximised under, so F may fall by the order
of the floor where it acts. It is in the units of what is fitted: on `Real` data a share of each dimension's variance,
for `build(name, data)` standardises them. Left out: priors on the parameters (MAP, variational mixtures).
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.distributions import Distribution, OneHotCategorical
from torch.nn import functional as F

from ancestral.interface import (
    Classifier,
    ClosedFormFit,
    Encoder,
    Event,
    ExactDensity,
    FitStep,
    InputError,
    JointDensity,
    MeanDecoder,
    QuickSettings,
    Real,
    Sampler,
)
from ancestral.models.linear.kmeans import KMeans
from ancestral.models.linear.quadratic import Matrices, Pairs, Squares
from ancestral.registry import register

Covariance = Literal["spherical", "diagonal", "tied", "full"]


class _Natural(NamedTuple):
    """ln p(x, k) = constant_k + linear_k . x + quadratic_k . features(x), or, summed over rows, statistics of T(x)."""

    constant: Tensor  # (components,)
    linear: Tensor  # (components, size)
    quadratic: Tensor  # (components or 1, features)

    def dot(self, other: "_Natural") -> float:
        return sum(float((mine * theirs).sum()) for mine, theirs in zip(self, other, strict=True))


@register("gaussian_mixture")
class GaussianMixture(Sampler, ExactDensity, Encoder, MeanDecoder, JointDensity, Classifier, ClosedFormFit):
    """Mixture of Gaussians, fitted by expectation-maximisation from a k-means start.

    Parameters are float64 buffers: `weights` (components,), `means` (components, size), and `covariances` of shape
    (components,), (components, size), (size, size) or (components, size, size), from spherical to full. The code of a
    row, and its class, is its component, one-hot; it decodes to the component's mean.

    Args:
        components: the number of Gaussians.
        covariance: "spherical", "diagonal", "full", or "tied": full, and the same in all components.
        variance_floor: added to every variance, in the units that the model is fitted in (of `Real` data from
            `build(name, data)` squared standard deviations), so that no component shrinks to a point.
    """

    #: Rows of a chunk: the matrices at work stay in cache.
    rows_at_once = 1024
    #: Up to this size full matrices go by the products of all pairs of dimensions.
    pairs_up_to = 64
    #: A component with less than this many rows to its name is dead: it restarts at the least likely row.
    least_rows = 1e-6

    weights: Tensor
    means: Tensor
    covariances: Tensor

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        components: int = 10,
        covariance: Covariance = "full",
        variance_floor: float = 1e-6,
    ) -> None:
        super().__init__(event, context_event=context_event)
        if components < 1:
            raise InputError(f"components must be at least 1, got {components}")
        if covariance not in get_args(Covariance):
            raise InputError(f"covariance must be one of {', '.join(get_args(Covariance))}, got {covariance!r}")
        if variance_floor < 0:
            raise InputError(f"variance_floor must not be negative, got {variance_floor}")
        self.components, self.covariance, self.variance_floor = components, covariance, variance_floor
        self.dense = covariance in ("tied", "full")
        size = event.size
        self.forms = (Pairs if size <= self.pairs_up_to else Matrices)(size) if self.dense else Squares(size)
        ones = torch.ones(components, size, dtype=torch.float64)
        start = {"spherical": ones[:, 0], "diagonal": ones, "tied": ones[0].diag(), "full": torch.diag_embed(ones)}
        self.register_buffer("weights", torch.full((components,), 1 / components, dtype=torch.float64))
        self.register_buffer("means", torch.randn(components, size, dtype=torch.float64))
        self.register_buffer("covariances", start[covariance].clone())

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if context_event is not None:
            return "it is unconditional"
        return None if isinstance(event.support, Real) else "a Gaussian mixture is a density on real numbers"

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        if len(event.shape) < 3:
            return QuickSettings({"components": 20})
        if event.size <= 256:
            return QuickSettings({"components": 60, "covariance": "diagonal"})
        return QuickSettings({"components": 30, "covariance": "diagonal"}, {"max_iterations": 30})

    @classmethod
    def examples(cls) -> Iterable["GaussianMixture"]:
        generator = torch.Generator().manual_seed(0)
        for covariance in get_args(Covariance):
            for shape in ((2,), (1, 2, 2)) if covariance == "full" else ((2,),):
                model = cls(Event(shape, Real()), components=3, covariance=covariance)
                x = torch.randn(128, *shape, generator=generator)
                model.fit_start(x, generator=generator)
                model.fit_step(x)
                yield model

    # -- Density, samples and responsibilities ---------------------------------------------------------------------

    def _joint_columns(self, x: Tensor) -> Iterator[Tensor]:
        """ln p(x, z = k), (components, n), for some rows at a time."""
        shift = self._shift()
        natural = self._natural(shift)
        for part in x.reshape(-1, self.event.size).split(self.rows_at_once):
            columns = (part - shift).T
            yield self._log_joint(columns, natural, self.forms.features(columns))

    def _log_joints(self, x: Tensor) -> Tensor:
        return torch.cat([joint.T for joint in self._joint_columns(x)])

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return torch.cat([joint.logsumexp(0) for joint in self._joint_columns(x)])

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        return OneHotCategorical(logits=self._log_joints(x))

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"component": (self.components,)}

    def _sample_latent(self, name: str, parents: Mapping[str, Tensor], n: int, context: Tensor | None) -> Tensor:
        return OneHotCategorical(probs=self.weights).sample((n,))

    def _log_prior(self, z: Tensor, context: Tensor | None) -> Tensor:
        return torch.xlogy(z, self.weights).sum(1)

    def _log_likelihood(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        return (z * (self._log_joints(x) - self.weights.log())).sum(1)

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return (z @ self.means).reshape(-1, *self.event.shape)

    @property
    def classes(self) -> int:
        return self.components

    def _class_log_probs(self, x: Tensor) -> Tensor:
        return self._log_joints(x).log_softmax(1)

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        component = torch.multinomial(self.weights, n, replacement=True)
        x = torch.randn(n, self.event.size, dtype=self.dtype, device=self.device)
        if self.dense:
            scales = torch.linalg.cholesky(self._matrices()).expand(self.components, -1, -1)
            for k in range(self.components):
                mine = component == k
                x[mine] = x[mine] @ scales[k].T
        else:
            x *= self._variances().sqrt()[component]
        return (x + self.means[component]).reshape(n, *self.event.shape)

    # -- Expectation-maximisation ----------------------------------------------------------------------------------

    def _fit_start(self, x: Tensor) -> None:
        """Lloyd's algorithm from k-means++, then one M step from its hard responsibilities."""
        kmeans = KMeans(self.event, components=self.components).to(x)
        kmeans._fit_start(x)
        last = -math.inf
        for _ in range(30):
            objective = kmeans._fit_step(x).objective
            if objective <= last + 1e-4 * abs(last):
                break
            last = objective
        rows = x.reshape(-1, self.event.size)
        shift = rows.mean(0)
        statistics, evidence = self._statistics(rows, shift, labels=kmeans._assign(rows)[0])
        self._maximise(statistics, shift, rows, evidence)

    def _fit_step(self, x: Tensor) -> FitStep:
        """One EM iteration. The objective is F(theta, q) after the M step, a lower bound of the mean log-likelihood."""
        rows, shift = x.reshape(-1, self.event.size), self._shift()
        before = self._natural(shift)
        statistics, evidence = self._statistics(rows, shift)
        self._maximise(statistics, shift, rows, evidence)
        after = self._natural(shift)
        expected = float(evidence.mean())
        maximised = expected + (after.dot(statistics) - before.dot(statistics)) / len(x)
        return FitStep(maximised, (("E", expected), ("M", maximised)))

    def _statistics(self, rows: Tensor, shift: Tensor, labels: Tensor | None = None) -> tuple[_Natural, Tensor]:
        """The sums of T(x - shift) under q, and ln p of each row; q is the exact posterior, or the given labels."""
        natural = self._natural(shift)
        total = _Natural(*map(torch.zeros_like, natural))
        evidence = rows.new_zeros(len(rows))
        for start in range(0, len(rows), self.rows_at_once):
            here = slice(start, start + self.rows_at_once)
            x = (rows[here] - shift).T.contiguous()
            features = self.forms.features(x)
            if labels is None:
                joint = self._log_joint(x, natural, features)
                top = joint.amax(0)
                q = joint.sub_(top).exp_()
                mass = q.sum(0)
                q /= mass
                evidence[here] = mass.log_().add_(top)
            else:
                q = F.one_hot(labels[here], self.components).to(x.dtype).T
            total.constant.add_(q.sum(1))
            total.linear.addmm_(q, x.T)
            weights = q.sum(0, keepdim=True) if self.covariance == "tied" else q
            total.quadratic.add_(self.forms.scatter(weights, features))
        return total, evidence

    def _maximise(self, statistics: _Natural, shift: Tensor, rows: Tensor, evidence: Tensor) -> None:
        """Set the parameters from the sums of T(x - shift)."""
        counts, sums, second = (part.clone() for part in statistics)
        dead = counts < self.least_rows
        if dead.any():
            unlikely = rows[evidence.argsort()[: int(dead.sum())]]
            self._revive(counts, sums, second, dead, unlikely - shift)
        means = sums / counts[:, None]
        if self.covariance == "tied":
            spread = (second - counts @ self.forms.outer(means)) / counts.sum()
        else:
            spread = second / counts[:, None] - self.forms.outer(means)
        if self.dense:
            matrices = self.forms.unpack(spread)
            matrices.diagonal(dim1=1, dim2=2).add_(self.variance_floor)
            self.covariances.copy_(matrices.view_as(self.covariances))
        else:
            variances = spread.clamp(min=0) + self.variance_floor
            self.covariances.copy_(variances.mean(1) if self.covariance == "spherical" else variances)
        self.weights.copy_(counts / counts.sum())
        self.means.copy_(means + shift)

    def _revive(self, counts: Tensor, sums: Tensor, second: Tensor, dead: Tensor, at: Tensor) -> None:
        """Give each dead component the statistics of one row with the covariance of all the data about it."""
        total = counts.sum()
        here = self.forms.outer(at)
        if self.covariance == "tied":
            second += here.sum(0)
        else:
            second[dead] = second.sum(0) / total - self.forms.outer(sums.sum(0, keepdim=True) / total) + here
        sums[dead], counts[dead] = at, 1.0

    # -- Natural parameters and features ---------------------------------------------------------------------------

    def _shift(self) -> Tensor:
        return self.weights @ self.means

    def _matrices(self) -> Tensor:
        return self.covariances.view(-1, self.event.size, self.event.size)

    def _variances(self) -> Tensor:
        return self.covariances.view(self.components, -1).expand(-1, self.event.size)

    def _natural(self, shift: Tensor) -> _Natural:
        """The natural parameters for x - shift."""
        means = self.means - shift
        if self.dense:
            scale, failed = torch.linalg.cholesky_ex(self._matrices())
            if failed.any():
                raise InputError(
                    f"a covariance matrix of the mixture is singular (variance_floor={self.variance_floor}): raise"
                    " variance_floor, use fewer components, or rescale the data"
                )
            precision = torch.cholesky_inverse(scale)
            linear = (precision @ means[:, :, None]).squeeze(2)
            log_det = 2 * scale.diagonal(dim1=1, dim2=2).log().sum(1)
            quadratic = self.forms.pack(-0.5 * precision)
        else:
            variances = self._variances()
            linear, log_det, quadratic = means / variances, variances.log().sum(1), -0.5 / variances
        normaliser = self.event.size * math.log(2 * math.pi) + log_det + (linear * means).sum(1)
        return _Natural(self.weights.log() - 0.5 * normaliser, linear, quadratic)

    def _log_joint(self, x: Tensor, natural: _Natural, features: Tensor) -> Tensor:
        """ln p(x, z = k) for centred columns x, (size, n) -> (components, n)."""
        linear = torch.addmm(natural.constant[:, None], natural.linear, x)
        return linear + self.forms.form(natural.quadratic, features)
