"""K-means: Lloyd's algorithm (Lloyd 1982) from a k-means++ start (Arthur & Vassilvitskii 2007, section 2.2).

It is the hard-assignment limit of a Gaussian mixture. Take equal weights and covariances s I, and let s -> 0: the
responsibility of component k, exp(-||x - c_k||^2 / 2s) / sum_j exp(-||x - c_j||^2 / 2s), tends to 1 for the nearest
centre and to 0 for all others, and s times the expected complete log-likelihood tends to -1/2 of the inertia up to a
constant. The E step becomes the assignment, the M step the mean of each cluster (Bishop 2006, section 9.3.2).

Faithful: the D^2 seeding draws one candidate a centre, as in the paper (scikit-learn draws several and keeps the best).
Added: a cluster that has lost all its rows takes the row farthest from its own centre.
"""

from collections.abc import Iterable, Iterator, Mapping

import torch
from jaxtyping import Float, Num
from torch import Tensor
from torch.distributions import Distribution, OneHotCategorical
from torch.nn import functional as F

from ancestral.interface import (
    Binary,
    Categories,
    ClosedFormFit,
    Columns,
    Encoder,
    Event,
    FitStep,
    InputError,
    Levels,
    MeanDecoder,
    Real,
)
from ancestral.registry import register


@register("kmeans")
class KMeans(Encoder, MeanDecoder, ClosedFormFit):
    """K-means clustering by Lloyd's algorithm from a k-means++ start.

    The centres are the float64 buffer `centres`, (components, *event.shape); set it to choose another start. The code
    of a row is its cluster, one-hot, and decodes to the cluster's centre. The objective of the fit is minus the inertia
    per example, so that larger is better: it is no likelihood.

    Distances add up dimensions, so their units matter. On `Real` data `build(name, data)` counts each dimension in
    units of its standard deviation (an image's in those of its channel): centres and inertia are then in these units,
    while `decode` returns centres in the data's own. A model of an event alone takes the dimensions as they are.

    Args:
        components: the number of clusters.
    """

    monitor = None
    has_prior = False
    #: Rows whose distances to all centres are held at once.
    rows_at_once = 1024

    centres: Tensor

    def __init__(self, event: Event, *, context_event: Event | None = None, components: int = 10) -> None:
        super().__init__(event, context_event=context_event)
        if components < 1:
            raise InputError(f"components must be at least 1, got {components}")
        self.components = components
        start = event.support.project(torch.randn(components, *event.shape, dtype=torch.float64))
        self.register_buffer("centres", start)

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if context_event is not None:
            return "it is unconditional"
        if isinstance(event.support, Columns):
            return "distances across columns of different kinds have no unit; take the table as real numbers"
        return "its centres are means, which categories do not have" if isinstance(event.support, Categories) else None

    @classmethod
    def examples(cls) -> Iterable["KMeans"]:
        yield cls(Event((2,), Real()), components=3)
        yield cls(Event((1, 4, 4), Binary()), components=4)
        yield cls(Event((3,), Levels(5)), components=3)

    @torch.no_grad()
    def inertia(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, ""]:
        """The sum over all rows of the squared distance to the nearest centre: in squared standard deviations of each
        dimension where the model is standardised, otherwise in squared data units."""
        with self._public():
            return self._assign(self._checked(x).reshape(-1, self.event.size))[1].sum()

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        labels, _ = self._assign(x.reshape(-1, self.event.size))
        return OneHotCategorical(probs=F.one_hot(labels, self.components).to(x.dtype))

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"cluster": (self.components,)}

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return torch.tensordot(z.to(self.centres), self.centres, dims=1).to(z.dtype)

    def _fit_start(self, x: Tensor) -> None:
        if len(x) < self.components:
            raise InputError(f"{self.components} components need at least as many rows, got {len(x)}")
        rows = x.reshape(-1, self.event.size)
        chosen = [int(torch.randint(len(x), ()))]
        distance = torch.full((len(x),), torch.inf, dtype=x.dtype, device=x.device)
        while len(chosen) < self.components:
            distance = torch.minimum(distance, (rows - rows[chosen[-1]]).square().sum(1))
            # A draw in proportion to the squared distance; multinomial() would stop at 2^24 rows.
            cumulative = distance.cumsum(0)
            at = torch.searchsorted(cumulative, torch.rand((), dtype=x.dtype, device=x.device) * cumulative[-1])
            chosen.append(min(int(at), len(x) - 1))
        self.centres.copy_(x[chosen])

    def _fit_step(self, x: Tensor) -> FitStep:
        rows = x.reshape(-1, self.event.size)
        # About the mean of the data: the inertia after the step is a difference of squares.
        shift = rows.mean(0)
        sums, total, labels, distances = rows.new_zeros(self.components, rows.shape[1]), 0.0, [], []
        for centred, squares, label, distance in self._nearest(rows, shift):
            sums.index_add_(0, label, centred)
            total += float(squares.sum())
            labels.append(label)
            distances.append(distance)
        before, distance = torch.cat(labels), torch.cat(distances)
        assigned = -float(distance.mean())

        after = self._fill_empty(before, distance)
        moved = (after != before).nonzero().squeeze(1)
        sums.index_add_(0, before[moved], rows[moved] - shift, alpha=-1)
        sums.index_add_(0, after[moved], rows[moved] - shift)
        counts = torch.bincount(after, minlength=self.components)
        means = sums / counts.clamp(min=1)[:, None]
        full = counts > 0
        self.centres[full] = (means + shift).view_as(self.centres)[full]
        reached = -(total - float((counts * means.square().sum(1)).sum())) / len(x)
        return FitStep(reached, (("E", assigned), ("M", reached)))

    def _assign(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest centre of each row and the squared distance to it."""
        centres = self.centres.reshape(self.components, -1)
        parts = [(label, distance) for *_, label, distance in self._nearest(rows, centres.mean(0))]
        labels, distances = zip(*parts, strict=True)
        return torch.cat(labels), torch.cat(distances)

    def _nearest(self, rows: Tensor, shift: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Of a few rows at a time: the rows less `shift`, their squares, nearest centre and squared distance to it."""
        centres = self.centres.reshape(self.components, -1) - shift
        centre_squares = centres.square().sum(1)
        for part in rows.split(self.rows_at_once):
            centred = part - shift
            squares = torch.linalg.vecdot(centred, centred)
            nearest, label = torch.addmm(centre_squares, centred, centres.T, alpha=-2).min(1)
            yield centred, squares, label, (nearest + squares).clamp(min=0)

    def _fill_empty(self, labels: Tensor, distance: Tensor) -> Tensor:
        """Give each cluster without rows the row that is farthest from its centre; it never raises the inertia."""
        empty = (torch.bincount(labels, minlength=self.components) == 0).nonzero().squeeze(1)
        farthest = distance.topk(min(len(empty), len(distance)))
        # Rows that lie on their centre stay: there are fewer distinct rows than clusters.
        move = farthest.indices[farthest.values > 0]
        return labels.index_copy(0, move, empty[: len(move)])
