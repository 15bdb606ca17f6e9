"""Where batches come from: whatever was given as data, checked against the model."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence, Sized
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ancestral.data import Data, Schema, Split
from ancestral.data.cells import listed
from ancestral.interface import Batch, Categories, Classifier, ClosedFormFit, Event, InputError, Model, Unpaired

TrainingData: TypeAlias = Data | Split | Tensor | Dataset[Any]


class Source(ABC):
    """Rows of data, served as whole batches by their indices."""

    #: The shape of one row.
    row_shape: tuple[int, ...]
    #: Of rows of a table what its columns mean; None of all others.
    schema: Schema | None = None

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batch(self, rows: Tensor) -> Batch:
        """The observations at `rows`, int64 (batch,)."""

    @property
    @abstractmethod
    def labels(self) -> Tensor | None:
        """All labels, (n,), -1 where unlabelled."""

    @property
    def digests(self) -> Mapping[str, str]:
        """Checksums of the observations, the labels and the contexts; none where only the number of rows is known."""
        return {}


class SplitSource(Source):
    def __init__(self, split: Split) -> None:
        self.split = split
        self.row_shape = split.event.shape

    def __len__(self) -> int:
        return len(self.split)

    def batch(self, rows: Tensor) -> Batch:
        return self.split.__getitems__(rows)

    @property
    def labels(self) -> Tensor | None:
        return self.split.y

    @property
    def digests(self) -> Mapping[str, str]:
        return self.split.digests


class DatasetSource(Source):
    """Any map-style torch Dataset whose items are `Batch`es, or single observations: tensors x or pairs (x, label).

    It may be larger than memory or draw its items, so the values of each batch are checked as they come, and a resumed
    run knows it by its number of rows alone.
    """

    def __init__(self, dataset: Dataset[Any], model: Model) -> None:
        if not isinstance(dataset, Sized):
            raise InputError(f"{type(dataset).__name__} has no length; give a map-style Dataset with __len__")
        self.dataset, self.model = dataset, model
        self._n = len(dataset)
        if self._n == 0:
            raise InputError("the data set is empty")
        self.row_shape = tuple(self._item(0).x.shape[1:])

    def __len__(self) -> int:
        return self._n

    def batch(self, rows: Tensor) -> Batch:
        items = [self._item(row) for row in rows.tolist()]
        batch = Batch(
            torch.cat([item.x for item in items]),
            _joined([item.y for item in items]),
            _joined([item.context for item in items]),
        )
        _check_values(batch, self.model)
        return batch

    @property
    def labels(self) -> Tensor | None:
        return _joined([self._item(row).y for row in range(self._n)])

    def _item(self, row: int) -> Batch:
        item = self.dataset[row]
        if isinstance(item, Batch):
            return item
        if isinstance(item, Tensor):
            return Batch(item[None])
        if isinstance(item, Sequence) and len(item) == 2 and isinstance(item[0], Tensor):
            return Batch(item[0][None], torch.as_tensor(item[1], dtype=torch.int64)[None])
        raise InputError(
            f"an item of {type(self.dataset).__name__} must be a Batch, a tensor x or a pair (x, label),"
            f" got {type(item).__name__}"
        )


def training_sources(data: TrainingData, model: Model) -> tuple[Source, Source | None]:
    """The training and the validation rows, checked against what `model` expects."""
    if isinstance(data, Data):
        if isinstance(model.batching, Unpaired) and data.domains is None:
            raise InputError(
                f"this {model.display_name} learns from two domains, which {data.name} does not have;"
                f" {_domains_of(data)}"
            )
        _check_context_event(data, model)
        train, valid = _source(data.train, model), _source(data.valid, model)
        _check_varied(data)
        train.schema = data.schema
        return train, valid
    return _source(data, model), None


def _check_varied(data: Data) -> None:
    # What is drawn anew each time differs by itself, and a text may be meant to be learned by heart.
    if data.train.drawn or len(data.train) < 2 or isinstance(data.event.support, Categories):
        return
    x = data.train.x
    # The first rows tell most data from constant ones.
    if all(bool((part == x[:1]).all()) for part in (x[:100], x)):
        raise InputError(
            f"all {len(x):,} training rows of {data.name} are the same: there is nothing to learn from them"
        )


def _domains_of(data: Data) -> str:
    """How data without domains come to two."""
    classes = data.classes or ()
    if len(classes) > 1:
        return f"take two of its classes, {listed(classes)}, as domains=[...]"
    here = f" beside {classes[0]}, its one class" if classes else ""
    return f"put them in folders, one for each{here}, or in trainA, trainB, testA and testB"


def _source(data: Split | Tensor | Dataset[Any], model: Model) -> Source:
    if isinstance(data, Tensor):
        data = _as_split(data, model)
    if not isinstance(data, Split):
        if not isinstance(data, Dataset):
            raise InputError(
                f"data must be Data, a Split, a Tensor or a torch Dataset, got {type(data).__name__};"
                " load_data reads files, torch.as_tensor takes arrays"
            )
        foreign = DatasetSource(data, model)
        _check_shape(foreign.row_shape, model)
        foreign.batch(torch.arange(min(len(foreign), 64)))
        return foreign
    _check_event(data.event, model)
    if data.missing and not model.accepts_missing and bool(torch.isnan(data.x).any()):
        raise InputError(
            f"{data.name} has missing values (NaN) but {model.display_name} needs them all;"
            " fill them in, drop those rows, or use a model that accepts them, such as ppca"
        )
    _check_labels(data.y, model)
    _check_context(data.context, model)
    return SplitSource(data)


def _as_split(x: Tensor, model: Model) -> Split:
    shape = tuple(x.shape[1:])
    _check_shape(shape, model, named=tuple(x.shape))
    return Split(x, Event(shape, model.event.support), missing=model.accepts_missing)


def _check_event(event: Event, model: Model) -> None:
    _check_shape(event.shape, model)
    if event.support != model.event.support:
        raise InputError(
            f"the data are on {event.support} but this {model.display_name} is of {model.event.support};"
            " build the model with the data's own event"
        )


def _check_shape(shape: tuple[int, ...], model: Model, named: tuple[int, ...] | None = None) -> None:
    expected = model.event.shape
    if shape != expected:
        wanted = ", ".join(["n", *map(str, expected)])
        raise InputError(
            f"the data must have shape ({wanted}) for this {model.display_name}, got {named or ('n', *shape)};"
            " build the model with the data's own event, or reshape the data"
        )


def _check_values(batch: Batch, model: Model) -> None:
    model.event.check(batch.x, "x of the data", missing=model.accepts_missing)
    _check_labels(batch.y, model)
    _check_context(batch.context, model)


def _check_labels(y: Tensor | None, model: Model) -> None:
    if y is None:
        return
    low, high = int(y.min()), int(y.max())
    if low < -1:
        raise InputError(f"labels must be 0, 1, ... or -1 where there is none, found {low}")
    # A closed-form fit sees no labels: the classes of a mixture are its own components.
    if isinstance(model, Classifier) and not isinstance(model, ClosedFormFit) and high >= model.classes:
        raise InputError(
            f"labels must be below the {model.classes} classes of this {model.display_name}, found {high};"
            " build the model with more classes, or correct the labels"
        )


def _check_context_event(data: Data, model: Model) -> None:
    given, expected = data.context_event, model.context_event
    if given is not None and expected is not None and given != expected:
        raise InputError(f"the data's context is {given} but this {model.display_name} is conditioned on {expected}")


def _check_context(context: Tensor | None, model: Model) -> None:
    name = model.display_name
    if model.context_event is None:
        if context is not None:
            raise InputError(
                f"the data have a context but this {name} is unconditional;"
                " build it with context_event=data.context_event, or take the data without context"
            )
        return
    if context is None:
        raise InputError(
            f"this {name} is conditional but the data have no context;"
            " load_data(..., context=...) or data.conditioned_on(...) gives them one"
        )
    model.context_event.check(context, "the context of the data")


def _joined(values: Sequence[Tensor | None]) -> Tensor | None:
    present = [value for value in values if value is not None]
    if not present:
        return None
    if len(present) < len(values):
        raise InputError("some items have a label or a context and some have none; use the label -1 for none")
    return torch.cat(present)
