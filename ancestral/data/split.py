"""One split of a data set: rows of an event, served as whole batches."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, Num
from torch import Tensor
from torch.utils.data import Dataset

from ancestral.data.support import check_values, storage_dtype
from ancestral.data.windows import Windows, windows_of
from ancestral.interface import Batch, Event, InputError, seeded


class Split(Dataset[Batch]):
    """Observations in memory, (n, *event.shape), with labels and contexts where there are any.

    They are stored as they came (uint8, or floats for `Real`) and come out as whole batches by `__getitems__`. With
    `draw`, what is stored is what observations are drawn from, anew each time they are asked for, from the global torch
    generator (dynamic binarization: intensities are stored, pixels are drawn); `Windows` are drawn likewise. `factors`
    and `captions` are tables of what is known about each observation beyond its label, `origin` of where it is from
    (its `file`, or the columns of its table that were asked for); `missing` allows NaN for values that were not
    observed.
    """

    def __init__(
        self,
        x: Num[Tensor, "n *event"] | Windows,
        event: Event,
        y: Int64[Tensor, " n"] | None = None,
        context: Num[Tensor, "n *context_event"] | None = None,
        *,
        draw: Callable[[Tensor], Tensor] | None = None,
        factors: Mapping[str, Tensor] | None = None,
        captions: Int64[Tensor, "n tokens"] | None = None,
        origin: Mapping[str, np.ndarray] | None = None,
        missing: bool = False,
        name: str = "the data",
    ) -> None:
        if len(x) == 0:
            raise InputError(f"{name} has no observations; every split needs at least one")
        self.event, self.y, self.context = event, y, context
        self.draw, self.missing, self.name = draw, missing, name
        self.factors: Mapping[str, Tensor] = dict(factors or {})
        self.captions = captions
        self.origin: Mapping[str, np.ndarray] = dict(origin or {})
        self._stored = x if isinstance(x, Windows) else x.contiguous()
        self._check_values()
        if y is not None and len(y) != len(x):
            raise InputError(f"{name} has {len(x)} observations but {len(y)} labels; give one label for each")
        if y is not None and int(y.min()) < -1:
            raise InputError(
                f"{name} has the label {int(y.min())} at row {int(y.argmin())};"
                " labels are 0, 1, ... and -1 for a row without a label"
            )
        if context is not None and len(context) != len(x):
            raise InputError(f"{name} has {len(x)} observations but {len(context)} contexts; give one for each")

    @property
    def x(self) -> Num[Tensor, "n *event"]:
        """All observations; drawn anew at each access where the split is drawn."""
        return self._served(self._stored[:])

    @property
    def sequences(self) -> Num[Tensor, "rows *rest time"]:
        """All that is stored: the observations, or what windows are drawn from, one after another as one row."""
        return self._stored.values.movedim(0, -1)[None] if isinstance(self._stored, Windows) else self._stored

    @property
    def drawn(self) -> bool:
        """Whether observations are drawn anew each time they are asked for."""
        return self.draw is not None or isinstance(self._stored, Windows)

    @cached_property
    def digests(self) -> dict[str, str]:
        """The sha256 of the observations as they are stored, and of the labels and the contexts where there are any."""
        stored = self._stored
        found = {
            "observations": [stored.values, stored.first, stored.last] if isinstance(stored, Windows) else [stored]
        }
        if self.y is not None:
            found["labels"] = [self.y]
        if self.context is not None:
            found["contexts"] = [self.context]
        return {name: _digest(parts) for name, parts in found.items()}

    @property
    def digest(self) -> str:
        """The sha256 of all of it: equal for the same observations, labels and contexts in the same order."""
        return hashlib.sha256("".join(f"{name} {part} " for name, part in self.digests.items()).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, index: int) -> Batch:
        """The batch of the one observation at `index`."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.name} has {len(self)} observations, there is no index {index}")
        return self.__getitems__([index % len(self)])

    def __getitems__(self, indices: Sequence[int] | Tensor) -> Batch:
        """The observations at `indices` as one batch."""
        rows = torch.as_tensor(indices, dtype=torch.int64)
        return Batch(
            self._served(self._stored[rows]),
            None if self.y is None else self.y[rows],
            None if self.context is None else self.context[rows],
        )

    def take(self, indices: Sequence[int] | Tensor) -> "Split":
        """The split of the rows at `indices` alone."""
        rows = torch.as_tensor(indices, dtype=torch.int64)
        stored = self._stored
        return self._changed(x=stored.take(rows) if isinstance(stored, Windows) else stored[rows], **self._known(rows))

    def with_labels(self, y: Int64[Tensor, " n"]) -> "Split":
        """The same observations with other labels."""
        return self._changed(y=y)

    def with_context(self, context: Num[Tensor, "n *context_event"] | None) -> "Split":
        """The same observations, conditioned on `context`, or on nothing."""
        return self._changed(context=context)

    def with_captions(self, captions: Int64[Tensor, "n tokens"]) -> "Split":
        """The same observations with other captions."""
        return self._changed(captions=captions)

    def with_event(self, event: Event) -> "Split":
        """The same observations as values of another support."""
        stored = self._stored
        if self.draw is None:
            values = stored.values if isinstance(stored, Windows) else stored
            stored = stored.to(storage_dtype(event.support, [values]))
        return self._changed(x=stored, event=event)

    def reshaped(self, shape: Sequence[int]) -> "Split":
        """The same values as observations of another shape."""
        event = Event(tuple(shape), self.event.support)
        if isinstance(self._stored, Windows) or event.size != self.event.size:
            raise InputError(f"{self.name} has rows of shape {self.event.shape}, which are no {event.shape}")
        return self._changed(x=self._stored.reshape(-1, *event.shape), event=event)

    def windowed(self, window: int, *, drawn: bool) -> "Split":
        """Windows of the last axis, side by side, or `drawn` anew each time; each has its row's labels and contexts."""
        if isinstance(self._stored, Windows) or not self.event.shape:
            raise InputError(f"{self.name} has no sequences to cut windows from: {self!r}")
        x, rows = windows_of(self._stored.unbind(), window, drawn=drawn, name=self.name)
        event = Event((*self.event.shape[:-1], window), self.event.support)
        return self._changed(x=x, event=event, **self._known(rows))

    def _served(self, stored: Tensor) -> Tensor:
        return stored if self.draw is None else self.draw(stored)

    def _known(self, rows: Tensor) -> dict[str, Any]:
        """What is known of these rows beside their observations."""
        return {
            "y": None if self.y is None else self.y[rows],
            "context": None if self.context is None else self.context[rows],
            "factors": {key: value[rows] for key, value in self.factors.items()},
            "captions": None if self.captions is None else self.captions[rows],
            "origin": {key: value[rows.numpy()] for key, value in self.origin.items()},
        }

    def _changed(self, **changes: Any) -> "Split":
        names = ("event", "y", "context", "draw", "factors", "captions", "origin", "missing", "name")
        return Split(**{"x": self._stored, **{name: getattr(self, name) for name in names}, **changes})

    def _check_values(self) -> None:
        stored, name = self._stored, f"x of {self.name}"
        if isinstance(stored, Windows) and self.draw is None:
            moment = Event(self.event.shape[:-1], self.event.support)
            check_values(moment, stored.values, name, missing=self.missing)
        with seeded(torch.Generator().manual_seed(0)):
            x = self._served(stored[:1]) if self.drawn else self._stored[:]
        check_values(self.event, x, name, missing=self.missing)

    def __repr__(self) -> str:
        return f"Split({self.name}, n={len(self)}, event={self.event}, labelled={self.y is not None})"


def _digest(tensors: Sequence[Tensor]) -> str:
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
        # Seen as bytes where they lie, without a copy.
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
