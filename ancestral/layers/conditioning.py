"""How observations and what they are conditioned on enter a network."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.interface import Event, Levels, Support


def centred(x: Tensor, support: Support) -> Tensor:
    """Levels 0 .. L-1 laid on [-1, 1]; other values as they are."""
    return x * (2 / (support.levels - 1)) - 1 if isinstance(support, Levels) else x


class FlatContext(nn.Module):
    """Appends a context to a flat network input, (batch, n) -> (batch, n + size).

    A label, `Event((), Levels(classes))`, is appended one-hot; anything else flattened, levels laid on [-1, 1]. A
    conditional network that is given no context sees zeros in its place.
    """

    def __init__(self, event: Event | None) -> None:
        super().__init__()
        self.event = event
        self.classes = event.support.levels if event and isinstance(event.support, Levels) and not event.shape else None
        #: Numbers that the context adds; 0 where there is none.
        self.size = 0 if event is None else self.classes or event.size

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        if self.event is None:
            return x
        return torch.cat([x, self.vector(len(x), context).to(x)], dim=1)

    def vector(self, batch: int, context: Tensor | None) -> Tensor:
        """The context alone, (batch, size)."""
        if self.event is None or context is None:
            return torch.zeros(batch, self.size)
        if self.classes is not None:
            return F.one_hot(context, self.classes)
        return centred(context, self.event.support).reshape(batch, self.size)
