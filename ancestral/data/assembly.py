"""From rows of raw values, with or without splits, to a checked data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from ancestral.data.dataset import Data
from ancestral.data.split import Split
from ancestral.data.support import check_values, infer_support, storage_dtype
from ancestral.data.windows import windows_of
from ancestral.interface import Event, InputError, Support

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Sequences:
    """Observations (*rest, length) of different lengths, with or without labels and factors."""

    x: Sequence[Tensor]
    y: Tensor | None = None
    origin: Mapping[str, np.ndarray] = field(default_factory=dict)
    factors: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Rows:
    """Raw observations, (n, *shape) of any numeric dtype, with or without labels and captions, and their origin."""

    x: Tensor
    y: Tensor | None = None
    origin: Mapping[str, np.ndarray] = field(default_factory=dict)
    captions: Int64[Tensor, "n tokens"] | None = None

    def take(self, indices: Tensor) -> "Rows":
        origin = {key: values[indices.numpy()] for key, values in self.origin.items()}
        y, captions = (None if part is None else part[indices] for part in (self.y, self.captions))
        return Rows(self.x[indices], y, origin, captions)


def assemble(
    name: str,
    parts: Mapping[str, Rows],
    *,
    seed: int | None,
    support: Support | None = None,
    classes: Sequence[str] | None = None,
    domains: tuple[str, str] | None = None,
    missing: bool = False,
    **fields: Any,
) -> Data:
    """The data set of `parts`: 'train' and, where the source has them, 'valid' and 'test'.

    A split that the source does not have is drawn from its training rows by `seed`, 10 % of them each; without a `seed`
    every split of a source without splits is all of its rows.
    """
    for part, rows in parts.items():
        where = f"the {part} split of {name}" if len(parts) > 1 else name
        if len(rows.x) == 0:
            raise InputError(f"{where} has no observations; there is nothing to learn from")
        _check_values(rows.x, where, missing)
    shapes = {tuple(rows.x.shape[1:]) for rows in parts.values()}
    if len(shapes) > 1:
        found = ", ".join(f"{part} {tuple(rows.x.shape[1:])}" for part, rows in parts.items())
        raise InputError(f"the splits of {name} must have one shape, found {found}")
    labelled = [rows.y is not None for rows in parts.values()]
    if any(labelled) and not all(labelled):
        without = [part for part, rows in parts.items() if rows.y is None]
        raise InputError(f"{name} has labels, but not in {' and '.join(without)}; give them in every split or in none")
    if support is None:
        support = infer_support([rows.x for rows in parts.values()], name)
    event = Event(shapes.pop(), support)
    dtype = storage_dtype(support, [rows.x for rows in parts.values()])
    if seed is None and dtype == torch.float32 and any(rows.x.dtype == torch.float64 for rows in parts.values()):
        dtype = torch.float64  # a few new rows do not say what float32 would lose
    if classes is None and domains is None and all(labelled):
        highest = max(int(rows.y.max()) for rows in parts.values() if rows.y is not None)
        classes = [str(label) for label in range(highest + 1)] or None
    full = complete(parts, seed=seed, name=name)

    def split(part: str) -> Split:
        rows = full[part]
        called = name if seed is None and len(parts) == 1 else f"{name} ({part})"
        x = _stored(rows.x, event, dtype, name)
        return Split(x, event, rows.y, origin=rows.origin, captions=rows.captions, missing=missing, name=called)

    named = None if classes is None else tuple(classes)
    return Data(name, event, split("train"), split("valid"), split("test"), named, domains=domains, **fields)


def assemble_windows(
    name: str,
    parts: Mapping[str, Sequences],
    *,
    window: int,
    support: Support,
    classes: Sequence[str] | None = None,
    **fields: Any,
) -> Data:
    """The data set of the windows of the sequences of 'train', 'valid' and 'test', as `Data.windowed` cuts them."""
    rest = parts["train"].x[0].shape[:-1]
    dtype, moment = storage_dtype(support, [x for rows in parts.values() for x in rows.x]), Event(rest, support)
    stored = {
        part: [_stored(x.movedim(-1, 0), moment, dtype, name).movedim(0, -1) for x in rows.x]
        for part, rows in parts.items()
    }
    splits = {}
    for part, sequences in parts.items():
        where = f"{name} ({part})"
        x, source = windows_of(stored[part], window, drawn=part == "train", name=where)
        y = None if sequences.y is None else sequences.y[source]
        origin = {key: values[source.numpy()] for key, values in sequences.origin.items()}
        factors = {key: values[source] for key, values in sequences.factors.items()}
        splits[part] = Split(x, Event((*rest, window), support), y, factors=factors, origin=origin, name=where)
    named = None if classes is None else tuple(classes)
    train, valid, test = (splits[part] for part in SPLITS)
    return Data(name, train.event, train, valid, test, named, **fields)


def complete(parts: Mapping[str, Rows], *, seed: int | None, name: str) -> dict[str, Rows]:
    """`parts` with the splits that are not there drawn from the training rows; without a `seed`, if none is there, each
    split is all rows."""
    absent = [part for part in SPLITS if part not in parts]
    if not absent:
        return {part: parts[part] for part in SPLITS}
    if "train" not in parts:
        raise InputError(f"{name} has the splits {', '.join(parts)} but no 'train'")
    train = parts["train"]
    if seed is None and len(parts) == 1:
        return dict.fromkeys(SPLITS, train)
    if len(train.x) < 3:
        raise InputError(f"{name} has {len(train.x)} observations; at least 3 are needed for three splits")
    indices = split_indices(len(train.x), seed=seed or 0, y=train.y, parts=absent)
    drawn = {part: train.take(rows) for part, rows in indices.items()}
    return {part: drawn[part] if part in drawn else parts[part] for part in SPLITS}


def split_indices(
    n: int, *, seed: int, y: Int64[Tensor, " n"] | None = None, parts: Sequence[str] = ("valid", "test")
) -> dict[str, Int64[Tensor, " rows"]]:
    """Disjoint ascending row numbers: a tenth for each of `parts`, stratified by `y`, and the rest for 'train'."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(n, generator=generator)
    if y is not None:
        # The classes side by side, in an order of chance: small ones must not always miss the same split.
        rank = torch.randperm(int(y.max()) + 2, generator=generator)
        order = order[torch.argsort(rank[y[order] + 1], stable=True)]
    # Of every ten rows in this order one goes to each part, so that each class gives a tenth, to the nearest row.
    place = torch.arange(n) % 10
    slots = {part: place == slot for slot, part in enumerate(parts, start=1)}
    rest = ~torch.stack(list(slots.values())).any(0)
    return {part: order[chosen].sort().values for part, chosen in {"train": rest, **slots}.items()}


def encode_labels(values: np.ndarray, source: str) -> tuple[Int64[Tensor, " n"], list[str] | None]:
    """Label numbers, and the names of the classes where the labels are text.

    Integers are label numbers already, -1 for a row without one. Text is numbered in alphabetical order.
    """
    if values.ndim != 1:
        raise InputError(f"{source} must be one label for each row, (n,), got shape {values.shape}")
    if values.dtype.kind in "US":
        names, numbers = np.unique(values.astype(str), return_inverse=True)
        return torch.from_numpy(numbers.astype(np.int64)), names.tolist()
    if values.dtype.kind == "f" and np.array_equal(values, np.round(values)):
        values = values.astype(np.int64)
    if values.dtype.kind not in "iub":
        raise InputError(f"{source} must be integers 0, 1, ... or text, got {values.dtype}")
    labels = torch.from_numpy(values.astype(np.int64))
    if len(labels) and int(labels.min()) < -1:
        row = int(labels.argmin())
        raise InputError(
            f"{source} has {int(labels[row])} at row {row}; labels are 0, 1, ... and -1 for a row without a label"
        )
    return labels, None


def _check_values(x: Tensor, where: str, missing: bool) -> None:
    if not x.is_floating_point():
        return
    if infinite := int(x.isinf().sum()):
        raise InputError(f"{where} holds {infinite} infinite values; remove or replace them")
    holes = int(x.isnan().sum())
    if holes and not missing:
        raise InputError(
            f"{where} holds {holes} missing values (NaN); fill them or drop their rows,"
            " or pass missing=True for a model that accepts them (probabilistic PCA)"
        )


def _stored(x: Tensor, event: Event, dtype: torch.dtype, name: str) -> Tensor:
    # Values outside the support must be seen before a narrower dtype wraps them round.
    if not dtype.is_floating_point and x.dtype != dtype:
        check_values(event, x, f"x of {name}")
    return x.to(dtype)
