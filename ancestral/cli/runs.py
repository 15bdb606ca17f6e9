"""A trained run on disk: its model, and the data it was trained on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ancestral.cli.output import describe
from ancestral.data import Data, Split, load_data, load_rows
from ancestral.interface import Binary, ClosedFormFit, Event, InputError, Levels, Model, Support
from ancestral.persistence import load, read_config
from ancestral.registry import did_you_mean

SPLITS = ("train", "valid", "test")


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
        if name is None or name == remembered.get("name"):
            options = {**remembered, "data_root": data_root or remembered.get("data_root")}
        else:
            # What a file's values suggest may be less than the model's support: 16 levels of which 12 occur.
            support = support_flag(self.model.event.support) if Path(name).exists() else None
            options = {"name": name, "data_root": data_root, "support": support}
        data = load_data(options.pop("name"), **options)
        if data.event != self.model.event:
            raise InputError(
                f"{self.path} models {describe(self.model.event)}, but {data.name} holds {describe(data.event)}"
            )
        return in_context(data, self.model.context_event)

    def rows(self, name: str | None, split: str, data_root: str | None = None) -> Split:
        """All rows of a file in its own order, or the named split of other data."""
        remembered = self.recipe.get("data") or {}
        if name is not None and Path(name).is_file() and self.model.context_event is None:
            whole = load_rows(Path(name), self.model.event, label=remembered.get("label"))
            if whole is not None:
                return whole
        return chosen_split(self.data(name, data_root), split)


def open_run(path: str | Path, *, device: str = "cpu") -> Run:
    """The run in the folder `path`."""
    folder = Path(path)
    if not folder.exists():
        near = [str(other) for other in folder.parent.glob("*") if other.is_dir()] if folder.parent.is_dir() else []
        raise InputError(f"there is no run {str(path)!r}{did_you_mean(str(folder), near)}; `ancestral fit` makes one")
    config = read_config(folder)
    return Run(folder, load(folder, device=device), config["recipe"] or {})


def in_context(data: Data, context_event: Event | None) -> Data:
    """`data` with its labels as context, where the model is conditional on them."""
    if context_event is None:
        return data
    conditional = data.conditioned_on("labels")
    if conditional.context_event != context_event:
        raise InputError(f"the model is conditioned on {context_event}, but the labels are {conditional.context_event}")
    return conditional


def chosen_split(data: Data, name: str) -> Split:
    """A split of the data by its name."""
    if name not in SPLITS:
        raise InputError(f"there is no split {name!r}{did_you_mean(name, SPLITS)}; take one of {', '.join(SPLITS)}")
    split: Split = {"train": data.train, "valid": data.valid, "test": data.test}[name]
    return split


def support_flag(support: Support) -> str:
    """A support as `--support` takes it."""
    if isinstance(support, Levels):
        return f"levels:{support.levels}"
    return "binary" if isinstance(support, Binary) else "real"


def first_rows(split: Split, n: int) -> tuple[Tensor, Tensor | None]:
    """The first `n` observations and their context."""
    batch = split.__getitems__(list(range(min(n, len(split)))))
    return batch.x, batch.context


def spread_rows(n: int, rows: int) -> Tensor:
    """The indices of at most `n` of so many rows, evenly from all of them: some sets lie sorted by class."""
    return torch.linspace(0, rows - 1, min(n, rows)).long()


def class_context(run: Run, label: int | None) -> Tensor | None:
    """The context of class `label`, checked; None for an unconditional model."""
    event = run.model.context_event
    if event is None:
        if label is not None:
            raise InputError(f"{run.path} is unconditional; train one with `ancestral fit ... --context labels`")
        return None
    if label is None or event.shape or event.values is None:
        raise InputError(f"{run.path} is conditional on {event}; say which with --class")
    if not 0 <= label < event.values:
        raise InputError(f"--class must lie in 0 .. {event.values - 1}, got {label}")
    return torch.tensor(label)


def count_parameters(model: Model) -> int:
    """The number of parameters; of a model that is fitted in closed form they are buffers."""
    tensors = model.buffers() if isinstance(model, ClosedFormFit) else model.parameters()
    return sum(tensor.numel() for tensor in tensors if tensor.is_floating_point())


def rows_to_judge_samples(data: Data) -> Split:
    """The test rows, or the training rows where the test rows are too few for the moments of their features."""
    return data.test if len(data.test) >= 1000 else data.train
