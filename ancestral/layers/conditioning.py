"""How observations and what they are conditioned on enter a network."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.interface import Binary, Categories, Columns, Event, Levels, Support


def centred(x: Tensor, support: Support, *, binary: bool = False) -> Tensor:
    """Levels 0 .. L-1 laid on [-1, 1], and with `binary` {0, 1} too; other values as they are."""
    levels = _levels(support, binary)
    return x if levels is None else x * (2 / (levels - 1)) - 1


def uncentred(y: Tensor, support: Support, *, binary: bool = False) -> Tensor:
    """The inverse of `centred`, not rounded to the support."""
    levels = _levels(support, binary)
    return y if levels is None else (y + 1) * (0.5 * (levels - 1))


def _levels(support: Support, binary: bool) -> int | None:
    if isinstance(support, Binary):
        return 2 if binary else None
    return support.levels if isinstance(support, Levels) else None


class FlatContext(nn.Module):
    """Appends a context to a flat network input, (batch, n) -> (batch, n + size).

    A label, `Categories` or `Levels` of shape (), is appended one-hot; token ids, `Categories` of any other shape, as
    a learned embedding of `embedding` numbers each; of `Columns` each as its support says, categories one-hot; anything
    else flattened, levels laid on [-1, 1]. A conditional network that is given no context sees zeros in its place.
    """

    def __init__(self, event: Event | None, embedding: int = 16) -> None:
        super().__init__()
        self.event = event
        self.classes = event.values if event is not None and not event.shape else None
        tokens = event is not None and isinstance(event.support, Categories) and self.classes is None
        self.embedding = nn.Embedding(event.values or 0, embedding) if event is not None and tokens else None
        #: Numbers that the context adds; 0 where there is none.
        self.size = 0
        if event is not None:
            self.size = self.classes or event.size * (1 if self.embedding is None else embedding)
        if event is not None and isinstance(event.support, Columns):
            self.size = sum(kind.categories if isinstance(kind, Categories) else 1 for kind in event.supports)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        if self.event is None:
            return x
        return torch.cat([x, self.vector(len(x), context, like=x)], dim=1)

    def vector(self, batch: int, context: Tensor | None, like: Tensor) -> Tensor:
        """The context alone, (batch, size), in the dtype and on the device of `like`."""
        if self.event is None or context is None:
            return like.new_zeros(batch, self.size)
        if self.classes is not None:
            return F.one_hot(context.long(), self.classes).to(like)
        if self.embedding is not None:
            return self.embedding(context).flatten(1).to(like)
        if isinstance(self.event.support, Columns):
            columns = zip(context.split(1, dim=1), self.event.supports, strict=True)
            return torch.cat([_column(column, kind).to(like) for column, kind in columns], dim=1)
        return centred(context, self.event.support).reshape(batch, self.size).to(like)


def _column(x: Tensor, kind: Support) -> Tensor:
    """A column (batch, 1) of a table as numbers."""
    return F.one_hot(x.long()[:, 0], kind.categories) if isinstance(kind, Categories) else centred(x, kind)
