"""How near samples lie to data: the Fréchet distance in a named feature space (Heusel et al. 2017, equation 6).

The number depends on the features as much as on the model, so the extractor's name is part of the result. The same
distance between two halves of the real data stands beside it: what perfect samples of that number would score.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ancestral.data import Data, Split
from ancestral.data.moments import moments_of
from ancestral.evaluation.likelihood import batches
from ancestral.interface import Categories, Columns, Event, InputError, Model, Sampler

_COMPONENTS = 64


@dataclass(frozen=True)
class SampleQuality:
    """A Fréchet distance (0 is best), the same between two halves of the data, the features and the sample size."""

    frechet: float
    reference: float
    features: str
    n: int

    def __str__(self) -> str:
        return f"Fréchet {self.frechet:.4g} (real against real {self.reference:.4g}), {self.features}, n = {self.n}"


def rows_to_judge_samples(data: Data) -> Split:
    """The test rows, or the training rows where the test rows are too few for the moments of their features."""
    return data.test if len(data.test) >= 1000 else data.train


@torch.no_grad()
def evaluate_samples(
    model: Model,
    data: Split,
    *,
    samples: int = 1000,
    seed: int = 0,
    features: Callable[[Tensor], Tensor] | None = None,
    batch_size: int = 256,
) -> SampleQuality:
    """The Fréchet distance between `samples` draws of the model and as many rows of `data`.

    `features` maps observations (batch, *event) to (batch, n); by default it is the projection of the flattened values
    on the first principal components (at most 64) of the data, of a table with columns in units of their deviation and
    categories one-hot. A conditional model draws at the data's own contexts.
    """
    if not isinstance(model, Sampler):
        raise InputError(f"{type(model).__name__} cannot be sampled, so there are no samples to judge")
    n = min(samples, len(data) // 2)
    if n < 2:
        raise InputError(f"the distance needs at least 2 samples and 4 rows of data, got {samples} and {len(data)}")
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data), generator=generator)[: 2 * n]
    real = [data.__getitems__(part.tolist()) for part in (order[:n], order[n:])]
    fake = torch.cat(
        [
            model.sample(
                len(batch.x),
                context=None if batch.context is None else batch.context.to(model.device),
                generator=generator,
            ).cpu()
            for batch in batches(data if model.context_event else real[0].x, batch_size, limit=n)
        ]
    )
    name = "the given features"
    if features is None:
        features, name = _principal_components(torch.cat([real[0].x, real[1].x]), model.event)
    mapped = [features(x).double() for x in (real[0].x, real[1].x, fake)]
    if n < 2 * mapped[0].shape[1]:
        warnings.warn(
            f"{n} samples are few for {mapped[0].shape[1]} features: the distance is biased upwards", stacklevel=2
        )
    return SampleQuality(frechet_distance(mapped[0], mapped[2]), frechet_distance(mapped[0], mapped[1]), name, n)


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """|mu_a - mu_b|^2 + tr(A + B - 2 (A B)^(1/2)) of the moments of two samples (n, features), in float64.

    Dowson & Landau 1982, equation 4. The trace of the root is taken from the eigenvalues of A^(1/2) B A^(1/2), which is
    symmetric.
    """
    a, b = a.double(), b.double()
    cov_a, cov_b = (torch.atleast_2d(torch.cov(x.T)) for x in (a, b))
    values, vectors = torch.linalg.eigh(cov_a)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    distance = (a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross
    return max(distance.item(), 0.0)


def _principal_components(x: Tensor, event: Event) -> tuple[Callable[[Tensor], Tensor], str]:
    flat = _numbers(x, event)
    mean = flat.mean(0)
    scale = (flat - mean).square().mean().sqrt().clamp(min=1e-12)
    if len(event.shape) == 1:  # the columns of a table have units of their own
        mean, deviation = moments_of([flat])
        scale = torch.where(deviation == 0, 1.0, deviation)
    _, vectors = torch.linalg.eigh(torch.atleast_2d(torch.cov(((flat - mean) / scale).T)))
    directions = vectors[:, -min(_COMPONENTS, flat.shape[1]) :]
    return (lambda x: (_numbers(x, event) - mean) / scale @ directions), f"{directions.shape[1]} principal components"


def _numbers(x: Tensor, event: Event) -> Tensor:
    """The flattened values, (batch, n) float64, the categories of a table's columns one-hot."""
    flat = x.flatten(1)
    if not isinstance(event.support, Columns):
        return flat.double()
    parts = [
        F.one_hot(flat[:, places].long(), kind.categories).flatten(1)
        if isinstance(kind, Categories)
        else flat[:, places]
        for kind, places in event.support.kinds.items()
    ]
    return torch.cat([part.double() for part in parts], 1)
