"""What a bound loses because one network infers the latents of all observations: the amortization gap.

Cremer, Li & Duvenaud 2018, "Inference suboptimality in variational autoencoders" (arXiv:1801.03558). With q* the best
member of the encoder's family for one x alone, the inference gap of a decoder falls into two,

    ln p(x) - L[q] = (ln p(x) - L[q*]) + (L[q*] - L[q]),    L[q] = E_q[ln p(x, z) - ln q(z)],

the approximation gap of the family and the amortization gap of the network. The family is that of diagonal Gaussians.
q* is found as there: Adam on mean and log-variance of each row from the encoder's own, by reparametrized draws with the
decoder fixed (per-example inference, the E step of variational EM). The gradient leaves out the score of q, whose mean
is zero (Roeder et al. 2017), so that its noise dies out as q nears the posterior. Both bounds are then measured by
fresh draws: what the optimiser gained by chance does not count.

Left out: annealed importance sampling. ln p(x) is bounded by importance samples from q*, so the approximation gap is at
least what is reported.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Independent, Normal

from ancestral.data import Split
from ancestral.distributions import DiagonalGaussian
from ancestral.evaluation.likelihood import batches, standard_error
from ancestral.interface import BoundedDensity, Encoder, InputError, JointDensity, Model, repeated, seeded

#: Rows whose posteriors are optimised at once.
_ROWS = 256


@dataclass(frozen=True)
class AmortizationGap:
    """Means over `n` rows in nats: the gap with its standard error, and the three bounds that it lies between."""

    gap: float
    stderr: float
    #: The ELBO of the encoder's q, that of the best q of each row, and the importance-weighted bound by the latter.
    amortized: float
    per_example: float
    log_prob: float
    n: int

    @property
    def approximation_gap(self) -> float:
        """ln p(x) less the ELBO of the best q of each row; at least so much, for ln p(x) is bounded from below."""
        return self.log_prob - self.per_example

    def __str__(self) -> str:
        return (
            f"amortization gap {self.gap:.3f} ± {self.stderr:.3f} nats (ELBO {self.amortized:.3f} by the encoder,"
            f" {self.per_example:.3f} by a q for each example), approximation gap at least"
            f" {self.approximation_gap:.3f}, n = {self.n:,}"
        )


@dataclass(frozen=True)
class InferenceBounds:
    """Lower bounds of ln p(x) of each row in nats, (n,), float64: see `AmortizationGap`."""

    amortized: Float[Tensor, " n"]
    per_example: Float[Tensor, " n"]
    log_prob: Float[Tensor, " n"]


def amortization_gap(
    model: Model,
    data: Split | Tensor,
    *,
    limit: int | None = None,
    steps: int = 500,
    draws: int = 8,
    lr: float = 0.1,
    samples: int = 1000,
    seed: int = 0,
    progress: bool = False,
) -> AmortizationGap:
    """How much the mean ELBO of `data` would rise if each row had the best diagonal Gaussian q(z) of its own.

    Args:
        model: one that encodes into diagonal Gaussians, knows ln p(x, z) and has a bounded density: a VAE.
        data: rows of the model's event, without missing values.
        limit: take the first rows alone, at most so many.
        steps: of Adam on the mean and the log-variance of each row, from the encoder's, the rate falling to zero as a
            cosine.
        draws: of z for each row in a step.
        lr: the rate at the start, in standard deviations of the encoder's q.
        samples: fresh draws by which the bounds are measured, and importance samples of ln p(x).
        seed: of all draws.
        progress: show progress on stderr.

    Raises:
        InputError: for a model without such a q, and settings below 1.
    """
    bounds = inference_bounds(
        model, data, limit=limit, steps=steps, draws=draws, lr=lr, samples=samples, seed=seed, progress=progress
    )
    gaps = bounds.per_example - bounds.amortized
    return AmortizationGap(
        gap=gaps.mean().item(),
        stderr=standard_error(gaps),
        amortized=bounds.amortized.mean().item(),
        per_example=bounds.per_example.mean().item(),
        log_prob=bounds.log_prob.mean().item(),
        n=len(gaps),
    )


def inference_bounds(
    model: Model,
    data: Split | Tensor,
    *,
    limit: int | None = None,
    steps: int = 500,
    draws: int = 8,
    lr: float = 0.1,
    samples: int = 1000,
    seed: int = 0,
    progress: bool = False,
) -> InferenceBounds:
    """The bounds of every row that `amortization_gap` averages; its arguments."""
    if not isinstance(model, Encoder) or not isinstance(model, JointDensity) or not isinstance(model, BoundedDensity):
        raise InputError(
            f"{model.display_name} has no amortization gap: that needs an encoder, ln p(x, z) and a bounded density,"
            " as a VAE has them"
        )
    if min(steps, draws, samples) < 1 or (limit is not None and limit < 1):
        raise InputError(
            f"steps, draws, samples and limit must be at least 1, got {steps}, {draws}, {samples} and {limit}"
        )
    if not 0 < lr < math.inf:
        raise InputError(f"lr must be a finite number above 0, got {lr}")
    generator = torch.Generator().manual_seed(seed)
    found = []
    for batch in batches(data, _ROWS, limit, "inferring" if progress else None):
        x, context = batch.x.to(model.device), None if batch.context is None else batch.context.to(model.device)
        with torch.no_grad():
            encoded = _encoded(model, x, context)
        with seeded(generator, model.device):
            best = fit_posteriors(model, x, context, encoded, steps=steps, draws=draws, lr=lr)
        # The same noise for both bounds: most of it cancels in their difference.
        noise = int(torch.randint(2**62, (), generator=generator))
        amortized, _ = _bounds(model, x, context, encoded, samples, noise)
        found.append(torch.stack([amortized, *_bounds(model, x, context, best, samples, noise)]))
    return InferenceBounds(*torch.cat(found, 1).cpu())


def fit_posteriors(
    model: JointDensity,
    x: Tensor,
    context: Tensor | None,
    start: Float[Tensor, "batch outputs"],
    *,
    steps: int,
    draws: int,
    lr: float,
) -> Float[Tensor, "batch outputs"]:
    """The q(z) = N(mean, diag(exp(log_variance))) of each row that maximises its ELBO under a fixed decoder.

    `start` and what is returned are (mean, log_variance) side by side, (batch, 2 * latent); `lr` is in standard
    deviations of the start. The draws are from the global generator.
    """
    mean, log_variance = start.detach().chunk(2, dim=1)
    deviation = torch.exp(0.5 * log_variance)
    # In units of the start a step means the same whatever the scale of the posterior.
    moved = torch.zeros_like(start).requires_grad_()
    optimizer = torch.optim.Adam([moved], lr=lr)

    def outputs() -> Tensor:
        shift, log_scale = moved.chunk(2, dim=1)
        return torch.cat([mean + deviation * shift, log_variance + 2 * log_scale], dim=1)

    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * 0.5 * (1 + math.cos(math.pi * step / steps))
        with torch.enable_grad():
            q = DiagonalGaussian(outputs(), like=start)
            z, _ = q.rsample(draws)
            elbo = (_log_joints(model, x, z, context) - q.frozen().log_prob(z)).mean(0).sum()
        (gradient,) = torch.autograd.grad(elbo, [moved])
        moved.grad = -gradient
        optimizer.step()
    return outputs().detach()


def _encoded(model: Encoder, x: Tensor, context: Tensor | None) -> Tensor:
    """The mean and the log-variance of q(z | x) side by side."""
    q = model.encode(x, context=context)
    if not isinstance(q, Independent) or not isinstance(q.base_dist, Normal):
        raise InputError(
            f"the amortization gap is within diagonal Gaussians, but {model.display_name} encodes into"
            f" {type(q).__name__}"
        )
    return torch.cat([q.base_dist.mean, 2 * q.base_dist.stddev.log()], dim=1)


@torch.no_grad()
def _bounds(
    model: JointDensity, x: Tensor, context: Tensor | None, outputs: Tensor, samples: int, noise: int
) -> tuple[Tensor, Tensor]:
    """The ELBO of each row under its q, and the bound by as many importance weights, (batch,) each."""
    assert isinstance(model, BoundedDensity)
    q = DiagonalGaussian(outputs, like=outputs)
    at_once = max(1, model.rows_at_once // len(x))
    total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    log_total = torch.full_like(total, -math.inf)
    with seeded(torch.Generator().manual_seed(noise), model.device):
        for done in range(0, samples, at_once):
            z, log_q = q.rsample(min(at_once, samples - done))
            weights = (_log_joints(model, x, z, context) - log_q).double()
            total += weights.sum(0)
            log_total = torch.logaddexp(log_total, weights.logsumexp(0))
    return total / samples, log_total - math.log(samples)


def _log_joints(model: JointDensity, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
    """ln p(x, z) of several z of each row: (samples, batch, latent) -> (samples, batch)."""
    samples = len(z)
    joint = model.log_joint(repeated(x, samples), z.flatten(0, 1), context=repeated(context, samples))
    return joint.unflatten(0, (samples, len(x)))
