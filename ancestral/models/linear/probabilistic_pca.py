"""Probabilistic PCA (Roweis 1998; Tipping & Bishop 1999, "Probabilistic principal component analysis", JRSS B 61).

    p(z) = N(0, I),  p(x | z) = N(mu + W z, s I),  hence  p(x) = N(mu, W W^T + s I)         (equations 2 to 4)

with M = W^T W + s I and the posterior z | x ~ N(M^-1 W^T (x - mu), s M^-1) (equation 6 of the paper's section 3).

`method="svd"` is the closed form, equations 7 and 8: s is the mean of the discarded eigenvalues of the sample
covariance, W = U_q (Lambda_q - s I)^(1/2), with the paper's arbitrary rotation R = I. `method="em"` iterates equations
25 to 28. With missing values (NaN) only z is hidden: each row conditions on its observed entries, and the M step solves
for each dimension's row of (W, mu) from the rows in which it is observed (Ilin & Raiko 2010). Without missing values
that step is the paper's own. With them there is no closed form, and both methods are EM.

The paper's EM creeps where the noise is small: the length of W moves by the order of s / |W|^2 a step. So each M step
also maximises over a prior N(m, S) of z, and a change of variable takes it back to N(0, I) (parameter-expanded EM: Liu,
Rubin & Wu 1998). F(theta, q) is unchanged by the change of variable, so it still never falls, and the fixed points are
the same.

Densities use M, of latent_dim squared entries, by the Woodbury identity; the arithmetic is in float64. Left out:
mixtures of such models.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal
from torch.nn import functional as F

from ancestral.interface import (
    ClosedFormFit,
    Completer,
    Encoder,
    Event,
    ExactDensity,
    FitStep,
    InputError,
    JointDensity,
    MeanDecoder,
    Real,
    Sampler,
)
from ancestral.registry import register

Method = Literal["svd", "em"]


class _Posterior(NamedTuple):
    """p(z | x) of some rows, and their likelihood."""

    mean: Tensor  # (rows, latent)
    covariance: Tensor  # (rows or 1, latent, latent)
    log_det: Tensor  # (rows,) ln |covariance|
    log_prob: Tensor  # (rows,) ln p(observed x)


class _Expectation(NamedTuple):
    """What an M step needs of all rows: sums over them, and the regression of x on z under q."""

    log_prob: Tensor  # () ln p(observed x)
    log_det: Tensor  # () ln |cov q|
    total: Tensor  # (latent + 1, latent + 1) E_q[(z, 1)(z, 1)^T]
    loadings: Tensor  # (size, latent)
    offset: Tensor  # (size,) what the regression adds to the mean
    residual: Tensor  # () its expected squared residual
    observed: Tensor  # () the number of observed entries


@register("ppca")
class ProbabilisticPCA(Sampler, ExactDensity, Encoder, MeanDecoder, JointDensity, Completer, ClosedFormFit):
    """Probabilistic PCA: a linear Gaussian latent-variable model, by closed form or by EM, with missing values too.

    Parameters are float64 buffers: `mean` (size,), `loadings` W (size, latent_dim) and `noise_variance` s (). The noise
    is alike in all dimensions, so their units matter: on `Real` data `build(name, data)` puts each in units of its
    standard deviation, which makes it the PCA of the correlations; from an event alone the dimensions stay as they are.

    Args:
        latent_dim: dimensions of z, fewer than the event has; by default 10, or one less than the event's if that is
            smaller.
        method: "svd" (in closed form) or "em", which missing values take in any case.
    """

    accepts_missing = True
    completion = "exactly"
    #: Rows whose own posterior covariances are held at once where values are missing.
    rows_at_once = 2048
    #: Below this share of the mean variance of a dimension the noise counts as zero.
    least_noise = 1e-12

    mean: Tensor
    loadings: Tensor
    noise_variance: Tensor

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        latent_dim: int | None = None,
        method: Method = "svd",
    ) -> None:
        super().__init__(event, context_event=context_event)
        self.latent_dim = min(10, event.size - 1) if latent_dim is None else latent_dim
        if not 1 <= self.latent_dim < event.size:
            most = event.size - 1
            raise InputError(f"latent_dim must be from 1 to {most} for {event.size} dimensions, got {latent_dim}")
        if method not in get_args(Method):
            raise InputError(f"method must be 'svd' or 'em', got {method!r}")
        self.method = method
        start = torch.randn(event.size, self.latent_dim, dtype=torch.float64) / math.sqrt(self.latent_dim)
        self.register_buffer("mean", torch.zeros(event.size, dtype=torch.float64))
        self.register_buffer("loadings", start)
        self.register_buffer("noise_variance", torch.tensor(0.5, dtype=torch.float64))

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if context_event is not None:
            return "it is unconditional"
        if not isinstance(event.support, Real):
            return "probabilistic PCA is a density on real numbers"
        return None if event.size > 1 else "probabilistic PCA needs at least 2 dimensions"

    @classmethod
    def examples(cls) -> Iterable["ProbabilisticPCA"]:
        yield cls(Event((2,), Real()), latent_dim=1)
        yield cls(Event((5,), Real()), latent_dim=3, method="em")
        yield cls(Event((1, 2, 3), Real()), latent_dim=2)

    # -- Density, samples, codes -----------------------------------------------------------------------------------

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"z": (self.latent_dim,)}

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return (self.mean + z @ self.loadings.T).reshape(-1, *self.event.shape)

    def _log_likelihood(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        squares = (x - self._decode_mean(z, context)).flatten(1).square().sum(1)
        return -0.5 * (squares / self.noise_variance + self.event.size * (2 * math.pi * self.noise_variance).log())

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return self._observe(torch.randn(n, self.latent_dim, dtype=self.dtype, device=self.device))

    def _observe(self, z: Tensor) -> Tensor:
        """A draw of x given z."""
        mean = self._decode_mean(z, None)
        return mean + self.noise_variance.sqrt() * torch.randn_like(mean)

    def _complete(self, x: Tensor, known: Tensor, context: Tensor | None) -> Tensor:
        """Exact draws of p(unknown | known): z given what is known, then x given z."""
        posterior = self._posterior(x.reshape(-1, self.event.size), known.reshape(-1, self.event.size).to(x.dtype))
        noise = torch.randn_like(posterior.mean)[:, :, None]
        return self._observe(posterior.mean + (torch.linalg.cholesky(posterior.covariance) @ noise).squeeze(2))

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        posterior = self._posterior(*self._observed(x))
        return MultivariateNormal(posterior.mean, scale_tril=torch.linalg.cholesky(posterior.covariance))

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self._posterior(*self._observed(x)).log_prob

    def _observed(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The rows of x, and where they are observed if not everywhere."""
        rows = x.reshape(-1, self.event.size)
        holes = rows.isnan()
        return rows, (~holes).to(rows.dtype) if bool(holes.any()) else None

    def _posterior(self, rows: Tensor, seen: Tensor | None = None) -> _Posterior:
        """p(z | x) and ln p(x) given the entries of each row where `seen`, (batch, size), is 1; all without it."""
        noise, latent = self.noise_variance, self.latent_dim
        centred = rows - self.mean
        if seen is None:
            gram = (self.loadings.T @ self.loadings)[None]
            count = rows.new_full((1,), self.event.size)
        else:
            centred = torch.where(seen > 0, centred, 0.0)
            pairs = (self.loadings[:, :, None] * self.loadings[:, None]).flatten(1)
            gram = (seen @ pairs).unflatten(1, (latent, latent))
            count = seen.sum(1)
        scale = torch.linalg.cholesky(gram + noise * torch.eye(latent, dtype=rows.dtype, device=rows.device))
        log_det_m = 2 * scale.diagonal(dim1=1, dim2=2).log().sum(1)
        inverse = torch.cholesky_inverse(scale)
        projected = centred @ self.loadings
        mean = (inverse @ projected[:, :, None]).squeeze(2) if seen is not None else projected @ inverse[0]
        # Woodbury: x^T (W W^T + s I)^-1 x = (x^T x - x^T W M^-1 W^T x) / s, and the determinant lemma.
        distance = (centred.square().sum(1) - (projected * mean).sum(1)) / noise
        log_det = (count - latent) * noise.log() + log_det_m
        log_prob = -0.5 * (count * math.log(2 * math.pi) + log_det + distance)
        return _Posterior(mean, noise * inverse, (latent * noise.log() - log_det_m).expand(len(rows)), log_prob)

    # -- Fit -------------------------------------------------------------------------------------------------------

    def _fit_start(self, x: Tensor) -> None:
        """The mean of the data; for EM, random loadings that explain half the variance."""
        rows = x.reshape(-1, self.event.size)
        count = (~rows.isnan()).sum(0)
        if bool((count == 0).any()):
            raise InputError(f"dimension {int(count.argmin())} of the flattened data has no observed value; drop it")
        self.mean.copy_(rows.nanmean(0))
        variance = self._variance(rows)
        if float(variance) == 0:
            raise InputError("the data do not vary: every dimension is constant")
        self.loadings.copy_(torch.randn_like(self.loadings) * (variance / (2 * self.latent_dim)).sqrt())
        self.noise_variance.copy_(variance / 2)

    def _fit_step(self, x: Tensor) -> FitStep:
        """The closed form, whose objective is the mean log-likelihood; or one EM iteration, whose objective is
        F(theta, q) after the M step, a lower bound of it. With missing values both concern the observed entries."""
        rows = x.reshape(-1, self.event.size)
        if bool(rows.isnan().any()):
            return self._em(rows, self._expect_missing(rows))
        return self._closed_form(rows) if self.method == "svd" else self._em(rows, self._expect(rows))

    def _closed_form(self, rows: Tensor) -> FitStep:
        n, size = rows.shape
        self.mean.copy_(rows.mean(0))
        centred = rows - self.mean
        # Of the covariance and the Gram matrix the smaller one: they share the eigenvalues above zero.
        if size <= n:
            values, vectors = torch.linalg.eigh(centred.T @ centred / n)
            axes = vectors[:, -self.latent_dim :].flip(1)
        else:
            values, vectors = torch.linalg.eigh(centred @ centred.T / n)
            axes = F.normalize(centred.T @ vectors[:, -self.latent_dim :].flip(1), dim=0)
        kept = values[-self.latent_dim :].flip(0)
        noise = values[: -self.latent_dim].clamp(min=0).sum() / (size - self.latent_dim)
        self._set_noise(noise, rows)
        self.loadings.copy_(axes * (kept - noise).clamp(min=0).sqrt())
        log_det = kept.log().sum() + (size - self.latent_dim) * noise.log()
        # At the solution tr(C^-1 S) is the number of dimensions.
        return FitStep(float(-0.5 * (size * math.log(2 * math.pi) + log_det + size)))

    def _em(self, rows: Tensor, e: _Expectation) -> FitStep:
        """The M step, with the trace of F per example before and after it."""
        n, latent = len(rows), self.latent_dim
        centre = e.total[:latent, latent] / n
        spread = e.total[:latent, :latent] / n - torch.outer(centre, centre)
        # The expanded prior N(centre, spread) becomes N(0, I) by a change of z, in W, mu and q alike.
        scale = torch.linalg.cholesky(spread)
        self.mean += e.offset + e.loadings @ centre
        # Of all rotations of W the one with orthogonal columns, longest first (the paper's R = I): M is then diagonal,
        # and accurate however small the noise.
        axes, lengths, _ = torch.linalg.svd(e.loadings @ scale, full_matrices=False)
        self.loadings.copy_(axes * lengths)
        self._set_noise(e.residual / e.observed, rows)
        # F = E_q[ln p(x | z)] - KL(q || prior): the expected squared residual is now the noise times the entries.
        likelihood = -0.5 * e.observed * (torch.log(2 * math.pi * self.noise_variance) + 1)
        divergence = 0.5 * (2 * n * scale.diagonal().log().sum() - e.log_det)
        expected, maximised = float(e.log_prob) / n, float(likelihood - divergence) / n
        return FitStep(maximised, (("E", expected), ("M", maximised)))

    def _expect(self, rows: Tensor) -> _Expectation:
        # The mean is the sample mean from the first step on (its maximum-likelihood value, section 3.2).
        self.mean.copy_(rows.mean(0))
        posterior = self._posterior(rows)
        centred = rows - self.mean
        second = len(rows) * posterior.covariance[0] + posterior.mean.T @ posterior.mean
        cross = centred.T @ posterior.mean
        loadings = torch.linalg.solve(second, cross.T).T  # equation 27
        # W solves its normal equations, so two of the three products of the squared residual cancel (equation 28).
        residual = centred.square().sum() - (cross * loadings).sum()
        return _Expectation(
            posterior.log_prob.sum(),
            posterior.log_det.sum(),
            F.pad(second, (0, 1, 0, 1)),
            loadings,
            torch.zeros_like(self.mean),
            residual,
            torch.tensor(rows.numel(), device=rows.device),
        )

    def _expect_missing(self, rows: Tensor) -> _Expectation:
        size, latent = self.event.size, self.latent_dim
        # Sums of (z, 1)(z, 1)^T and x (z, 1) over the rows in which a dimension is observed; the former over all rows.
        second = rows.new_zeros(size, (latent + 1) ** 2)
        cross = rows.new_zeros(size, latent + 1)
        total = rows.new_zeros(latent + 1, latent + 1)
        log_prob, log_det, squares, observed = (rows.new_zeros(()) for _ in range(4))
        for part in rows.split(self.rows_at_once):
            seen = (~part.isnan()).to(rows.dtype)
            posterior = self._posterior(part, seen)
            extended = F.pad(posterior.mean, (0, 1), value=1.0)
            moments = extended[:, :, None] * extended[:, None]
            moments[:, :latent, :latent] += posterior.covariance
            # About the present mean: the residual below is a difference of squares.
            centred = torch.where(seen > 0, part - self.mean, 0.0)
            second += seen.T @ moments.flatten(1)
            cross += centred.T @ extended
            total += moments.sum(0)
            log_prob += posterior.log_prob.sum()
            log_det += posterior.log_det.sum()
            squares += centred.square().sum()
            observed += seen.sum()
        solved = torch.linalg.solve(second.unflatten(1, (latent + 1, latent + 1)), cross)
        residual = squares - (solved * cross).sum()
        return _Expectation(log_prob, log_det, total, solved[:, :latent], solved[:, latent], residual, observed)

    def _set_noise(self, noise: Tensor, rows: Tensor) -> None:
        if not bool(noise > self.least_noise * self._variance(rows)):
            raise InputError(
                f"{self.latent_dim} latent dimensions explain the data without noise, so the likelihood has no bound;"
                " use a smaller latent_dim (below the rank of the data) or add noise to the data"
            )
        self.noise_variance.copy_(noise)

    def _variance(self, rows: Tensor) -> Tensor:
        """The mean over the observed entries of the squared distance to the mean of their dimension."""
        return (rows - rows.nanmean(0)).square().nanmean()
