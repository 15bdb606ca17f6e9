"""Batches in an order that comes from the seed and the epoch alone, with a position that can be saved."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ancestral.interface import Batch, Batching, InputError, LabelledMix, Shuffled, Unpaired
from ancestral.training.sources import Source


class Loader:
    """Serves epochs of batches.

    An epoch is cut into batches of equal size, up to one row, and none above `batch_size`: no row is left out and no
    small batch comes last. Among `world` processes each takes every world-th row of a batch, which shares labelled and
    unlabelled rows, or two domains, out evenly and in their order. Iterating yields the rest of the current epoch: each
    batch with its share of the whole batch's rows.
    """

    def __init__(
        self, source: Source, batching: Batching, batch_size: int, seed: int, *, rank: int = 0, world: int = 1
    ) -> None:
        self.source = source
        self.seed, self.rank, self.world = seed, rank, world
        self.epoch = self.position = 0
        self._order = _order(batching, self.source, batch_size)
        if min(batch_size, self._order.rows) < world:
            raise InputError(f"batches of {min(batch_size, self._order.rows)} rows cannot be shared by {world} devices")

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self._order.batches

    def __iter__(self) -> Iterator[tuple[Batch, float]]:
        for rows in self._draw()[self.position :]:
            # Counted before the batch is out: the position saved after its step is the next batch's.
            self.position += 1
            mine = rows[self.rank :: self.world] if self.world > 1 else rows
            yield self.source.batch(mine), len(mine) / len(rows)

    def next_epoch(self) -> None:
        self.epoch, self.position = self.epoch + 1, 0

    def _draw(self) -> Sequence[Tensor]:
        return self._order.draw(torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63))


class _Order(ABC):
    """The rows of an epoch's batches."""

    rows: int
    batches: int

    @abstractmethod
    def draw(self, generator: torch.Generator) -> Sequence[Tensor]: ...


class _Shuffled(_Order):
    def __init__(self, rows: int, batch_size: int) -> None:
        self.rows, self.batches = rows, math.ceil(rows / batch_size)

    def draw(self, generator: torch.Generator) -> Sequence[Tensor]:
        return torch.randperm(self.rows, generator=generator).tensor_split(self.batches)


class _Mixed(_Order):
    """Two groups of rows side by side in every batch, `first` of `batch_size` from the first; the epoch ends when the
    group that `decides` has been seen once, and the other is drawn anew as often as needed."""

    def __init__(self, groups: tuple[Tensor, Tensor], sizes: tuple[int, int], batches: int) -> None:
        self.groups, self.sizes, self.batches = groups, sizes, batches
        self.rows = batches * sum(sizes)

    def draw(self, generator: torch.Generator) -> Sequence[Tensor]:
        columns = [
            _repeated(group, size * self.batches, generator).view(self.batches, size)
            for group, size in zip(self.groups, self.sizes, strict=True)
        ]
        return list(torch.cat(columns, dim=1))


def _order(batching: Batching, source: Source, batch_size: int) -> _Order:
    match batching:
        case Shuffled():
            return _Shuffled(len(source), batch_size)
        case LabelledMix(ratio):
            labels = _labels(source, "the share of labelled rows in a batch")
            labelled, unlabelled = (labels >= 0).nonzero()[:, 0], (labels < 0).nonzero()[:, 0]
            if len(labelled) == 0:
                raise InputError("no row has a label; a semi-supervised model needs some (labels 0, 1, ...)")
            if len(unlabelled) == 0:
                return _Mixed(
                    (labelled, labelled[:0]), (min(batch_size, len(labelled)), 0), _ceil(labelled, batch_size)
                )
            batch_size = min(batch_size, len(labels))
            first = min(max(1, round(ratio * batch_size)), batch_size - 1)
            rest = batch_size - first
            return _Mixed((labelled, unlabelled), (first, rest), _ceil(unlabelled, rest))
        case Unpaired():
            labels = _labels(source, "the two domains, y = 0 and y = 1")
            if (found := labels.unique().tolist()) != [0, 1]:
                raise InputError(f"two domains are labelled y = 0 and y = 1, each with rows, found the labels {found}")
            domains = (labels == 0).nonzero()[:, 0], (labels == 1).nonzero()[:, 0]
            half = max(1, min(batch_size // 2, *map(len, domains)))
            return _Mixed(domains, (half, half), max(_ceil(domain, half) for domain in domains))


def _labels(source: Source, what: str) -> Tensor:
    labels = source.labels
    if labels is None:
        raise InputError(f"the data have no labels, which tell {what}")
    return labels


def _ceil(rows: Tensor, size: int) -> int:
    return math.ceil(len(rows) / size)


def _repeated(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` of the rows: permutation after permutation, so that no row comes twice before each has come once."""
    if count == 0:
        return rows[:0]
    passes = math.ceil(count / len(rows))
    return torch.cat([rows[torch.randperm(len(rows), generator=generator)] for _ in range(passes)])[:count]
