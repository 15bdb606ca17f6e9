"""A trained run on disk: its model, and the data it was trained on."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ancestral.cli.sources import load
from ancestral.data import Data, Split, load_rows
from ancestral.evaluation import contexts_of, spread_rows
from ancestral.interface import Event, InputError, Model
from ancestral.output import describe
from ancestral.persistence import load as load_model
from ancestral.persistence import read_config, saved_in
from ancestral.registry import did_you_mean

SPLITS = ("train", "valid", "test")
#: Files whose column of labels has a name, which other files of rows share.
_TABLES = (".csv", ".parquet")


@dataclass(frozen=True)
class Run:
    """A saved model with what its configuration remembers."""

    path: Path
    model: Model
    recipe: dict[str, Any]

    def data(self, name: str | None = None, data_root: str | None = None) -> Data:
        """The named data, or else those of the training, on the model's event and with its kind of context."""
        remembered = dict(self.recipe.get("data") or {})
        if name is None and not remembered:
            raise InputError(f"{self.path} does not say what it was trained on; name the data after the run")
        if self.model.context_event is not None:
            # Of a run from before contexts were remembered: there were labels only.
            remembered.setdefault("context", "labels")
        if name is None or name == remembered.get("name"):
            options = {**remembered, "data_root": data_root or remembered.get("data_root")}
        elif self.vocabulary and Path(name).exists():
            # Another text in the same tokens: the same ids mean the same.
            kept = {key: remembered[key] for key in ("context", "window", "tokens", "lower") if key in remembered}
            length = {} if "window" in kept else {"length": self.model.event.shape[0]}
            options = {"name": name, "data_root": data_root, "vocabulary": list(self.vocabulary), **kept, **length}
        else:
            # What a file's values suggest may be less than the model's support: 16 levels of which 12 occur.
            support = self.model.event.support.flag if Path(name).exists() else None
            same = ("context", "window", "label") if Path(name).suffix in _TABLES else ("context", "window")
            kept = {key: remembered[key] for key in same if key in remembered}
            options = {"name": name, "data_root": data_root, "support": support, **kept}
        data = load(options)
        if data.event != self.model.event:
            raise InputError(
                f"{self.path} models {describe(self.model.event)}, but {data.name} holds {describe(data.event)}"
            )
        if name is None or name == remembered.get("name"):
            self._warn_if_changed(data)
        if not _same_context(data.context_event, self.model.context_event):
            raise InputError(
                f"{self.path} is conditioned on {_in_words(self.model.context_event)},"
                f" but {data.name} on {_in_words(data.context_event)}"
            )
        return data

    def _warn_if_changed(self, data: Data) -> None:
        """Say so where the data that the run was trained on are no longer the same."""
        trained_on = self.recipe.get("data_digest") or {}
        changed = [name for name, digest in data.digests.items() if trained_on.get(name, digest) != digest]
        if changed:
            warnings.warn(
                f"{data.name} has changed since {self.path} was trained on it, in {', '.join(changed)}:"
                " rows that were trained on may now be among those held out, and make a score better than it is",
                stacklevel=2,
            )

    @property
    def vocabulary(self) -> Sequence[str]:
        """Of a model of text its tokens by their ids; empty for all others."""
        return self.recipe.get("vocabulary") or ()

    def rows(self, name: str | None, split: str, data_root: str | None = None) -> Split:
        """All rows of a file in its own order, or the named split of other data."""
        remembered = self.recipe.get("data") or {}
        if name is not None and Path(name).is_file() and self.model.context_event is None:
            how = {key: remembered[key] for key in ("label", "window") if key in remembered}
            whole = load_rows(Path(name), self.model.event, **how)
            if whole is not None:
                return whole
        return chosen_split(self.data(name, data_root), split)


def open_run(path: str | Path, *, device: str = "cpu") -> Run:
    """The run in the folder `path`."""
    folder = Path(path)
    if not saved_in(folder).exists():
        near = [str(other) for other in folder.parent.glob("*") if other.is_dir()] if folder.parent.is_dir() else []
        raise InputError(f"there is no run {str(path)!r}{did_you_mean(str(folder), near)}; `ancestral fit` makes one")
    recipe = read_config(folder)["recipe"] or {}
    data, digest = recipe.get("data") or {"name": ""}, recipe.get("data_digest") or {}
    if not isinstance(data, dict) or not isinstance(data.get("name"), str) or not isinstance(digest, dict):
        raise InputError(f"{folder} does not say by a name what data it was trained on, found {data!r}")
    return Run(folder, load_model(folder, device=device), recipe)


def chosen_split(data: Data, name: str) -> Split:
    """A split of the data by its name."""
    if name not in SPLITS:
        raise InputError(f"there is no split {name!r}{did_you_mean(name, SPLITS)}; take one of {', '.join(SPLITS)}")
    split: Split = {"train": data.train, "valid": data.valid, "test": data.test}[name]
    return split


def first_rows(split: Split, n: int) -> tuple[Tensor, Tensor | None]:
    """The first `n` observations and their context."""
    batch = split.__getitems__(list(range(min(n, len(split)))))
    return batch.x, batch.context


def takes_class(context_event: Event | None) -> bool:
    """Whether what a model is conditioned on is a label."""
    return context_event is not None and context_event.shape == () and context_event.values is not None


def contexts_to_draw_at(run: Run, n: int, label: int | None, data_root: str | None = None) -> tuple[Tensor | None, str]:
    """The contexts of `n` draws, (n, *context_event.shape), and what to say of them.

    Of a model of labels the class `label`; of another conditional one the contexts of test rows of its training data;
    None of an unconditional one.
    """
    event = run.model.context_event
    if event is None:
        if label is not None:
            raise InputError(f"{run.path} is unconditional; train one with `ancestral fit ... --context labels`")
        return None, ""
    if takes_class(event):
        assert event.values is not None
        if label is None:
            raise InputError(f"{run.path} is conditional on a class, 0 to {event.values - 1}; say which with --class")
        if not 0 <= label < event.values:
            raise InputError(f"--class must lie in 0 .. {event.values - 1}, got {label}")
        return torch.full((n,), label, device=run.model.device), f" of class {label}"
    if label is not None:
        raise InputError(f"{run.path} is conditional on {describe(event)}, not on a class; leave --class out")
    test = run.data(data_root=data_root).test
    context = contexts_of(test.take(spread_rows(n, len(test))), n)
    assert context is not None
    return context.to(run.model.device), f" given the contexts of test rows of {test.name}"


def _same_context(given: Event | None, expected: Event | None) -> bool:
    """Whether the contexts are the same; labels of a run from before they were `Categories` are `Levels`."""
    if given is None or expected is None:
        return given == expected
    labels = given.shape == expected.shape == () and given.values == expected.values is not None
    return given == expected or labels


def _in_words(event: Event | None) -> str:
    return "nothing" if event is None else describe(event)
