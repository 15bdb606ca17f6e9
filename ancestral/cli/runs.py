"""A trained run on disk: its model, and the data it was trained on."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ancestral.cli.sources import load
from ancestral.data import Data, Schema, Split, data_options, find_data
from ancestral.data.tables import TABLES
from ancestral.interface import Columns, Event, InputError, Model, Real
from ancestral.output import describe
from ancestral.persistence import load as load_model
from ancestral.persistence import read_config, saved_in
from ancestral.suggestions import did_you_mean

SPLITS = ("train", "valid", "test")
#: How one file is written, or what was drawn from it: no other file is taken so.
_OF_ONE_FILE = ("separator", "decimal")


@dataclass(frozen=True)
class Run:
    """A saved model with what its configuration remembers."""

    path: Path
    model: Model
    recipe: dict[str, Any]

    def data(
        self,
        name: str | None = None,
        data_root: str | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        whole: bool = False,
        conditioned: bool = True,
        also: Event | None = None,
    ) -> Data:
        """The named data, or else those of the training, on the model's event and with its kind of context.

        `options` are of `load_data`; those that the run remembers apply where they are not given. With `whole`, a
        file without splits is all of its rows. Data that are not `conditioned` come without their contexts. They may be
        on the event `also` instead.
        """
        remembered = dict(self.recipe.get("data") or {})
        if name is None and not remembered:
            raise InputError(f"{self.path} does not say what it was trained on; name the data after the run")
        if self.model.context_event is not None:
            # Of a run from before contexts were remembered: there were labels only.
            remembered.setdefault("context", "labels")
        root = data_root or remembered.get("data_root")
        own = name is None or self._trained_on(name, root)
        if name is None or own:
            how = {**remembered, "data_root": root}
        else:
            how = {"name": name, "data_root": data_root, **self._how_to_take(name, data_root, remembered)}
        if self.schema is not None and "schema" in data_options(how["name"], how["data_root"]):
            how["schema"] = self.schema
        if "carry" in (options or {}) and "carry" not in data_options(how["name"], how["data_root"]):
            raise InputError(f"--keep names columns of a table, which {Path(how['name']).name} is not")
        if whole:
            how.pop("labels", None)  # all rows with all their labels
        if not conditioned:
            how["context"] = None
        data = load({**how, "classes": self.classes, "whole": whole or how.get("whole", False), **(options or {})})
        words = self.recipe.get("caption_vocabulary")
        if conditioned and words is not None and data.context == "captions" and self.model.context_event is not None:
            data = data.with_words(words, self.model.context_event.size)
        event = self.model.event
        if also is not None and data.event.size == also.size:
            event = also
        data = self._checked(self._as_modelled(data, event), event, conditioned, how, also)
        if own and not whole and not options and conditioned:
            self._warn_if_changed(data)
        return data

    def named(
        self,
        name: str | None,
        split: str | None,
        data_root: str | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        conditioned: bool = True,
        also: Event | None = None,
    ) -> Data:
        """The data that a command line names: in whole, if it is a file without splits; refused if it has no `split`.

        A split that is asked for of the training data is the one of the training.
        """
        others = name is not None and not (split is not None and self._trained_on(name, data_root))
        data = self.data(name, data_root, options, whole=others, conditioned=conditioned, also=also)
        if split is not None and is_whole(data):
            raise InputError(f"{data.name} has no splits of its own; leave --split out to take all of its rows")
        chosen_split(data, split or "test")
        return data

    def rows(
        self,
        name: str | None,
        split: str | None,
        data_root: str | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        mark: bool = False,
        conditioned: bool = True,
        also: Event | None = None,
    ) -> Split:
        """All rows of a file, folder or archive in its own order, or the split of data that have splits.

        With `mark`, rows of a table that the model's columns cannot have are marked, not refused: see `load_table`.
        """
        if mark and self.schema is not None and name is not None and Path(name).suffix.lower() in TABLES:
            options = {**(options or {}), "mark": True}
        data = self.named(name, split, data_root, options, conditioned=conditioned, also=also)
        return chosen_split(data, split or "test")

    def spare(self, output: Path, data: str | None = None) -> None:
        """Refuse to write over the data that are read, or that the run was trained on."""
        for name in (data, (self.recipe.get("data") or {}).get("name")):
            if name is not None and output.exists() and Path(name).exists() and output.samefile(name):
                raise InputError(f"{output} is what the rows are read from, or trained on; write to another file")

    @property
    def schema(self) -> Schema | None:
        """Of a model of a table its columns; None for all others."""
        stored = self.recipe.get("schema")
        return None if stored is None else Schema.from_json(stored)

    @property
    def has_data(self) -> bool:
        """Whether the file of the training data is where it was."""
        return Path((self.recipe.get("data") or {}).get("name", "")).is_file()

    @property
    def classes(self) -> list[str] | None:
        """The names of the labels that the training data had; None where there were none."""
        return self.recipe.get("classes")

    @property
    def vocabulary(self) -> Sequence[str]:
        """Of a model of text its tokens by their ids; empty for all others."""
        return self.recipe.get("vocabulary") or ()

    @property
    def sample_rate(self) -> int | None:
        """Of a model of sounds, in Hz; None for all others."""
        return self.recipe.get("sample_rate")

    @property
    def factors(self) -> dict[str, list[str]]:
        """Of a model conditioned on factors, what their values are called; empty for all others."""
        return self.recipe.get("factors") or {}

    def _trained_on(self, name: str, data_root: str | None) -> bool:
        stored = (self.recipe.get("data") or {}).get("name")
        return stored in (name, find_data(name, data_root))

    def _how_to_take(self, name: str, data_root: str | None, remembered: Mapping[str, Any]) -> dict[str, Any]:
        """The options by which other data are taken as the model's own were."""
        known = ["context", "window", *data_options(name, data_root)]
        is_text = "tokens" in known
        if is_text != bool(self.vocabulary) and (is_text or _are_pictures(name, data_root)):
            modelled = "text" if self.vocabulary else describe(self.model.event)
            raise InputError(
                f"{self.path} models {modelled}, but {Path(name).name} holds {'text' if is_text else 'pictures'}"
            )
        how = {key: value for key, value in remembered.items() if key in known and key not in _OF_ONE_FILE}
        if "captions" in how:  # of other files that are called alike they would be wrong in silence
            own = Path(remembered["name"])
            if not Path(find_data(name, data_root)).is_relative_to(own):
                del how["captions"]
            elif (table := own / how["captions"]).is_file():
                how["captions"] = str(table)
        if self.vocabulary and "vocabulary" in known:
            # Another text in the same tokens: the same ids mean the same.
            length = {} if "window" in how else {"length": self.model.event.shape[0]}
            return {**how, "vocabulary": list(self.vocabulary), **length}
        if find_data(name, data_root) == name and not Path(name).exists():  # a built-in name
            return how
        # What a file's values suggest may be less than the model's support: 16 levels of which 12 occur.
        support = self.model.event.support
        if isinstance(support, Real) and _are_pictures(name, data_root) and not self._learned_from_pictures:
            warnings.warn(
                f"pixels of {Path(name).name} are taken as the real numbers 0 to 255, and what {self.path} was trained"
                " on may have another white: an array says which numbers are meant",
                stacklevel=2,
            )
        return how | {"support": "real" if isinstance(support, Columns) else support.flag}

    @property
    def _learned_from_pictures(self) -> bool:
        source = self.recipe.get("data") or {}
        try:
            return _are_pictures(source["name"], source.get("data_root"))
        except (InputError, KeyError):  # no longer there: nothing is known of it
            return True

    def _as_modelled(self, data: Data, event: Event) -> Data:
        """Rows of other files in the shape and support of `event`, where they are of no table with names."""
        splits = data.splits
        flat, grey = data.event.shape == (event.size,), (1, *data.event.shape) == event.shape
        if (
            flat or grey
        ) and data.event.shape != event.shape:  # images as rows of a table, or without an axis of colour
            splits = {name: split.reshaped(event.shape) for name, split in splits.items()}
        if isinstance(event.support, Columns) and data.event == Event(event.shape, Real()):
            splits = {name: split.with_event(event) for name, split in splits.items()}
        return data.with_splits(splits)

    def _checked(
        self, data: Data, event: Event, conditioned: bool, source: Mapping[str, Any], also: Event | None
    ) -> Data:
        if data.event != event:
            part = "" if also is None else f" (here {also.shape} will do, too)"
            raise InputError(
                f"{self.path} models {describe(self.model.event)}{part}, but {data.name} holds"
                f" {describe(data.event)}{self._how_to_fit(data.event, source, also)}"
            )
        if conditioned and not _same_context(data.context_event, self.model.context_event):
            raise InputError(
                f"{self.path} is conditioned on {_in_words(self.model.context_event)},"
                f" but {data.name} on {_in_words(data.context_event)}"
            )
        return data

    def _how_to_fit(self, found: Event, source: Mapping[str, Any], also: Event | None) -> str:
        """What to say of pictures and sounds of another shape that their loader can make of the model's."""
        wanted, root = self.model.event.shape, source.get("data_root")
        if also is not None and found.shape[:1] == also.shape[:1] != wanted[:1]:
            wanted = also.shape
        hints = []
        if len(wanted) == len(found.shape) == 3 and _are_pictures(source["name"], root):
            if wanted[0] == 1 and found.shape[0] > 1:
                hints.append("grey=True takes them as grey")
            elif wanted[0] != found.shape[0]:
                hints.append(f"save them with {wanted[0]} channels")
            # What may be the whole in less resolution is not to be enlarged and taken for the whole.
            lesser = also is not None and also.shape[1:] < wanted[1:] and found.shape[1:] < wanted[1:]
            if wanted[1:] != found.shape[1:] and not lesser:
                hints.append(f"size=[{wanted[1]},{wanted[2]}] resizes them")
        known = data_options(source["name"], root)
        if len(wanted) == len(found.shape) == 1 and wanted != found.shape and "length" in known:
            hints.append(f"length={wanted[0]} cuts and pads them, window={wanted[0]} takes windows of that length")
        return f"; {' and '.join(hints)}" if hints else ""

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


def carrying(options: Mapping[str, Any], keep: str | None) -> dict[str, Any]:
    """The options by which rows of a table keep the columns that `--keep` names."""
    names = [] if keep is None else [name.strip() for name in keep.split(",") if name.strip()]
    return {**options, "carry": names} if names else dict(options)


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


def is_whole(data: Data) -> bool:
    """Whether every split is all rows: what was named has none of its own."""
    return data.test.name == data.name


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


def _are_pictures(name: str, data_root: str | None) -> bool:
    """Whether a source is image files, and no array of pixels."""
    return "grey" in data_options(name, data_root)


def _same_context(given: Event | None, expected: Event | None) -> bool:
    """Whether the contexts are the same; labels of a run from before they were `Categories` are `Levels`."""
    if given is None or expected is None:
        return given == expected
    labels = given.shape == expected.shape == () and given.values == expected.values is not None
    return given == expected or labels


def _in_words(event: Event | None) -> str:
    return "nothing" if event is None else describe(event)
