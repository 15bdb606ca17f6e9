"""A data set: three splits of one event, served as whole batches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int64, Num
from torch import Tensor
from torch.utils.data import Dataset

from ancestral.data.support import check_values
from ancestral.interface import Batch, Categories, Described, Event, InputError


class Split(Dataset[Batch]):
    """Observations in memory, (n, *event.shape), with labels and contexts where there are any.

    They are stored as they came (uint8, or float32 for `Real`) and come out as whole batches by `__getitems__`. With
    `draw`, what is stored is what observations are drawn from, anew each time they are asked for, from the global torch
    generator (dynamic binarization: intensities are stored, pixels are drawn). `factors` and `captions` are tables of
    what is known about each observation beyond its label; `missing` allows NaN for values that were not observed.
    """

    def __init__(
        self,
        x: Num[Tensor, "n *event"],
        event: Event,
        y: Int64[Tensor, " n"] | None = None,
        context: Num[Tensor, "n *context_event"] | None = None,
        *,
        draw: Callable[[Tensor], Tensor] | None = None,
        factors: Mapping[str, Tensor] | None = None,
        captions: Int64[Tensor, "n tokens"] | None = None,
        missing: bool = False,
        name: str = "the data",
    ) -> None:
        if len(x) == 0:
            raise InputError(f"{name} has no observations; every split needs at least one")
        check_values(event, x if draw is None else draw(x[:1]), f"x of {name}", missing=missing)
        if y is not None and len(y) != len(x):
            raise InputError(f"{name} has {len(x)} observations but {len(y)} labels; give one label for each")
        if y is not None and int(y.min()) < -1:
            raise InputError(
                f"{name} has the label {int(y.min())} at row {int(y.argmin())};"
                " labels are 0, 1, ... and -1 for a row without a label"
            )
        if context is not None and len(context) != len(x):
            raise InputError(f"{name} has {len(x)} observations but {len(context)} contexts; give one for each")
        self.event, self.y, self.context = event, y, context
        self.draw, self.missing, self.name = draw, missing, name
        self.factors: Mapping[str, Tensor] = dict(factors or {})
        self.captions = captions
        self._stored = x.contiguous()

    @property
    def x(self) -> Num[Tensor, "n *event"]:
        """All observations; drawn anew at each access where the split has a `draw`."""
        return self._stored if self.draw is None else self.draw(self._stored)

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
        x = self._stored[rows]
        return Batch(
            x if self.draw is None else self.draw(x),
            None if self.y is None else self.y[rows],
            None if self.context is None else self.context[rows],
        )

    def take(self, indices: Sequence[int] | Tensor) -> "Split":
        """The split of the rows at `indices` alone."""
        rows = torch.as_tensor(indices, dtype=torch.int64)
        return Split(
            self._stored[rows],
            self.event,
            None if self.y is None else self.y[rows],
            None if self.context is None else self.context[rows],
            draw=self.draw,
            factors={key: value[rows] for key, value in self.factors.items()},
            captions=None if self.captions is None else self.captions[rows],
            missing=self.missing,
            name=self.name,
        )

    def with_context(self, context: Num[Tensor, "n *context_event"]) -> "Split":
        """The same observations, conditioned on `context`."""
        return self._changed(self._stored, self.event, context)

    def with_event(self, event: Event, dtype: torch.dtype) -> "Split":
        """The same observations as values of another support, stored as `dtype`."""
        return self._changed(self._stored if self.draw else self._stored.to(dtype), event, self.context)

    def _changed(self, x: Tensor, event: Event, context: Tensor | None) -> "Split":
        return Split(
            x,
            event,
            self.y,
            context,
            draw=self.draw,
            factors=self.factors,
            captions=self.captions,
            missing=self.missing,
            name=self.name,
        )

    def __repr__(self) -> str:
        return f"Split({self.name}, n={len(self)}, event={self.event}, labelled={self.y is not None})"


@dataclass(frozen=True)
class Data(Described):
    """A training, a validation and a test split of the same event."""

    name: str
    event: Event
    train: Split
    valid: Split
    test: Split
    #: The names of the labels 0, 1, ..., or None where there are no labels.
    classes: tuple[str, ...] | None = None
    #: The exact log-density in nats, (n, *event.shape) -> (n,), where the source of the data is known.
    density: Callable[[Num[Tensor, "n *event"]], Float[Tensor, " n"]] | None = None
    context_event: Event | None = None
    #: The names of the domains y = 0 and y = 1, where the rows come from two without correspondence.
    domains: tuple[str, str] | None = None
    #: The words of the captions' token ids; the word 0 pads.
    vocabulary: tuple[str, ...] = ()
    #: Of sound, in Hz.
    sample_rate: int | None = None
    #: What must be said beside a number measured on this data: its split, its seed.
    note: str = ""
    splits: Mapping[str, Split] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "splits", {"train": self.train, "valid": self.valid, "test": self.test})
        for name, split in self.splits.items():
            if split.event != self.event:
                raise InputError(f"the {name} split of {self.name} is of {split.event}, the data set of {self.event}")
            if self.classes is not None and split.y is not None and int(split.y.max()) >= len(self.classes):
                row = int(split.y.argmax())
                raise InputError(
                    f"the {name} split of {self.name} has the label {int(split.y[row])} at row {row},"
                    f" but there are {len(self.classes)} classes: labels are 0 to {len(self.classes) - 1}"
                )

    def moments(self) -> tuple[Float[Tensor, "*event"], Float[Tensor, "*event"]]:
        x = self.train.x.double()
        mean = x.nanmean(0)
        return mean, (x - mean).square().nanmean(0).sqrt()

    def with_splits(self, splits: Mapping[str, Split]) -> "Data":
        """The same data set with other 'train', 'valid' and 'test'."""
        train, valid, test = (splits[name] for name in self.splits)
        return replace(self, event=train.event, train=train, valid=valid, test=test)

    def with_labels_as_context(self) -> "Data":
        """The same data with each label as the context that the observation is conditioned on."""
        if self.classes is None:
            raise InputError(f"{self.name} has no labels to condition on")
        contexts = {}
        for name, split in self.splits.items():
            if split.y is None or bool((split.y < 0).any()):
                raise InputError(f"the {name} split of {self.name} has rows without a label to condition on")
            contexts[name] = split.y
        return self._conditioned(contexts, Event((), Categories(max(2, len(self.classes)))))

    def with_captions_as_context(self) -> "Data":
        """The same data with each caption's token ids as the context that the observation is conditioned on."""
        contexts = {name: split.captions for name, split in self.splits.items() if split.captions is not None}
        if len(contexts) < 3:
            raise InputError(f"{self.name} has no captions to condition on")
        return self._conditioned(contexts, Event(tuple(contexts["train"].shape[1:]), Categories(len(self.vocabulary))))

    def caption(self, tokens: Int64[Tensor, " tokens"]) -> str:
        """The text of one caption's token ids."""
        words = " ".join(self.vocabulary[token] for token in tokens.tolist() if token > 0)
        return words.replace(" ,", ",")

    def _conditioned(self, contexts: Mapping[str, Tensor], context_event: Event) -> "Data":
        splits = {name: self.splits[name].with_context(context) for name, context in contexts.items()}
        return replace(self.with_splits(splits), context_event=context_event)
