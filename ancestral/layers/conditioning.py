"""How observations and what they are conditioned on enter a network."""

from collections.abc import Sequence

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


def laid_out(x: Tensor, support: Support, *, one_hot: int = 0) -> Tensor:
    """Dimensions of one support as numbers, (batch, dimensions) -> (batch, dimensions * `width_of` the support).

    Categories are one-hot, and so are levels of at most `one_hot` values; other levels on [-1, 1], all else as it is.
    """
    values = _one_hot_values(support, one_hot)
    return F.one_hot(x.long(), values).flatten(1) if values else centred(x, support)


def width_of(support: Support, *, one_hot: int = 0) -> int:
    """How many numbers `laid_out` makes of a dimension."""
    return _one_hot_values(support, one_hot) or 1


def _one_hot_values(support: Support, most_levels: int) -> int:
    """How many values a support is one-hot over; 0 if it enters as a number."""
    match support:
        case Categories(values):
            return values
        case Levels(values) if values <= most_levels:
            return values
        case _:
            return 0


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
            self.size = sum(map(width_of, event.supports))

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
            return torch.cat([laid_out(column, kind).to(like) for column, kind in columns], dim=1)
        return centred(context, self.event.support).reshape(batch, self.size).to(like)


class LayerContext(nn.Module):
    """What a context adds to feature maps of an image network, through linear maps: (batch, size, height, width) each.

    A context that is an image of the event's height and width goes through a convolution to `features` maps, and adds
    to each pixel; any other as a vector, with `FlatContext`, and the same everywhere: height and width are then 1.
    """

    def __init__(self, context_event: Event, event: Event, features: int, sizes: Sequence[int]) -> None:
        super().__init__()
        shape = context_event.shape
        self.event, self.sizes = context_event, list(sizes)
        self.flat = None if shape[1:] == event.shape[1:] and len(shape) == 3 else FlatContext(context_event)
        self.features = nn.Conv2d(shape[0], features, 3, padding=1) if self.flat is None else nn.Identity()
        self.maps = nn.Conv2d(features if self.flat is None else self.flat.size, sum(sizes), 1, bias=False)

    def forward(self, context: Tensor) -> Sequence[Tensor]:
        if self.flat is None:
            features = self.features(centred(context.to(self.maps.weight), self.event.support)).relu()
        else:
            features = self.flat.vector(len(context), context, like=self.maps.weight)[:, :, None, None]
        # One product for each: the gradients of slices of a single one would have to be put together again.
        return [F.conv2d(features, weight) for weight in self.maps.weight.split(self.sizes)]
