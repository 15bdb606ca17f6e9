"""`load_data`: a built-in data set by name, or a file or folder by path."""

import inspect
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

# Imported for the data sets that they register.
from ancestral.data import (  # noqa: F401
    cifar,
    digits,
    mixed_table,
    mnist,
    moving_mnist,
    shapes,
    spoken_digits,
    synthetic,
    uci,
    wine,
)
from ancestral.data.catalogue import BUILTINS, DataInfo, call, check_types, options_of
from ancestral.data.dataset import Data
from ancestral.data.files import Store
from ancestral.data.formats import loader_for
from ancestral.data.tables import Frame, load_table
from ancestral.interface import Event, InputError, parse_support
from ancestral.suggestions import did_you_mean


def load_data(
    name_or_path: str | os.PathLike[str] | Frame,
    *,
    data_root: str | os.PathLike[str] | None = None,
    seed: int = 0,
    support: str | None = None,
    labels: int | None = None,
    labels_seed: int | None = None,
    window: int | None = None,
    context: str | None = None,
    classes: Sequence[str] | None = None,
    domains: Sequence[str] | str | None = None,
    whole: bool = False,
    **options: Any,
) -> Data:
    """A data set with its splits.

    In a folder or zip, top folders named train, valid and test are splits, and the folders in them (or at the top) are
    classes, but for one named unlabelled: what lies there has no label, -1. Top folders trainA, trainB, testA and
    testB, with any two names for A and B, hold two domains without correspondence: `Data.domains`, y = 0 and y = 1.

    Args:
        name_or_path: The name of a built-in data set (`list_data()`; '_' counts as '-'), or the path of an .npy, .npz,
            .csv, .tsv, .parquet, .txt, .txt.gz or IDX file, or of a folder or zip of images, of WAV files or of .txt
            files; or a DataFrame. A path is also looked for below the data root.
        data_root: The folder with the files of built-in data sets; by default the environment variable ANCESTRAL_DATA.
        seed: Of everything random here: the split 80/10/10 of a source without splits, binarization, synthetic data.
        support: 'binary', 'levels:N' (ordered), 'categories:N' (unordered, as token ids) or 'real', where the one that
            the values suggest is not meant.
        labels: Keep so many labels in the training split, as many of each class; its other rows stay, with the label
            -1. Validation and test keep all theirs.
        labels_seed: Of which rows keep their labels; by default `seed`.
        window: Take windows of so many values of the last axis of each observation (or of a sound or a text of any
            length) as observations, with their row's label and context. In training they are drawn anew whenever they
            are asked for, from the global torch generator, as many in an epoch as fit side by side; in validation and
            test they lie side by side.
        context: What each observation is conditioned on: 'labels'; 'captions' (token ids); 'factors' (a category each:
            the digit and the speaker of a sound); or 'grey:L', the grey view of a colour image in L levels ('grey': in
            as many as it has). `Data.contexts` says which there are.
        classes: Number the labels by these names, those of other data: labels of the two then mean the same.
        domains: Take two of the classes, by their names with a comma between, as two domains without correspondence,
            for a translator: `domains="cats,dogs"`. Some built-in data have a `twin` instead, see `ancestral data`.
        whole: Take all rows of a file or folder without splits, in their own order, for each of the three splits: to
            score them rather than to learn from them.
        options: Of the one source, as its loader describes them: `load_table`, `load_arrays`, `load_images`,
            `load_sounds`, `load_text`, or what generates it. An unknown one is refused by an error that names those
            there are.

    Raises:
        InputError: There is no such data set or file, or what it holds is wrong or damaged.
    """
    given: dict[str, Any] = {
        "seed": seed,
        "support": support,
        "labels": labels,
        "labels_seed": labels_seed,
        "window": window,
        "context": context,
    }
    given |= {"classes": classes, "domains": domains, "whole": whole}
    if isinstance(domains, str):
        domains = [name.strip() for name in domains.split(",")]
    is_frame = "pandas" in sys.modules and isinstance(name_or_path, sys.modules["pandas"].DataFrame)
    if not is_frame and not isinstance(name_or_path, str | os.PathLike):
        kind = type(name_or_path).__name__
        raise InputError(f"data are a name, a path or a DataFrame, got {kind}; save an array as .npy first")
    check_types(load_data, "the DataFrame" if is_frame else str(name_or_path), given)
    store = Store.at(data_root)
    wanted = None if support is None else parse_support(support)
    name = "" if is_frame else os.fspath(cast("str | os.PathLike[str]", name_or_path))
    known = BUILTINS.get(name.replace("_", "-"))
    source: dict[str, Any]
    if is_frame:
        source = {"path": name_or_path, "seed": None if whole else seed, "support": wanted}
        data = call(load_table, "the DataFrame", options, **source)
    elif known is not None:
        source = {"store": store, "seed": seed}
        if "window" in inspect.signature(known.load).parameters:  # as below
            source, window = source | {"window": window}, None
        data = call(known.load, known.name, options, **source)
        if wanted is not None and wanted != data.event.support:
            event = Event(data.event.shape, wanted)
            data = data.with_splits({name: split.with_event(event) for name, split in data.splits.items()})
    else:
        path = _path(cast("str | os.PathLike[str]", name_or_path), store)
        load = loader_for(path)
        source = {"path": path, "seed": None if whole else seed, "support": wanted}
        if "classes" in inspect.signature(load).parameters:
            source["classes"] = tuple(classes or ())
        if "window" in inspect.signature(load).parameters:  # sequences of any length, that only their loader sees whole
            source, window = source | {"window": window}, None
        data = call(load, str(path), options, **source)
    if context == "labels" and data.classes is None and options.get("label") is not None:
        raise InputError(f"{data.name} has no column {options['label']!r} with the labels to condition on")
    if classes is not None:
        data = data.with_classes(classes)
    if domains is not None and data.domains != tuple(domains):
        data = data.with_domains(domains)
    if labels is not None:
        if context == "labels":
            raise InputError(
                f"labels={labels} leaves rows without a label, and context=labels needs one for each row; few labels"
                " are for models that learn from rows without one, too (semi-supervised classifiers): leave the context"
                " out, or leave labels out to condition on all of them"
            )
        data = data.with_labels(labels, seed=seed if labels_seed is None else labels_seed)
    if window is not None:
        data = data.windowed(window)
    return data if context is None else data.conditioned_on(context)


def find_data(name_or_path: str | os.PathLike[str], data_root: str | os.PathLike[str] | None = None) -> str:
    """A name or path as it is to be remembered: the absolute path of what is a file or folder, or lies below the data
    root as one, otherwise the name as it is."""
    name = os.fspath(name_or_path)
    if name.replace("_", "-") in BUILTINS:
        return name
    try:
        return os.path.abspath(_path(name_or_path, Store.at(data_root)))
    except InputError:
        return name


def data_options(name_or_path: str | os.PathLike[str], data_root: str | os.PathLike[str] | None = None) -> list[str]:
    """The options that the loader of a data set has for `load_data`, beside those of every source."""
    store = Store.at(data_root)
    known = BUILTINS.get(os.fspath(name_or_path).replace("_", "-"))
    return options_of(known.load if known is not None else loader_for(_path(name_or_path, store)))


def list_data(data_root: str | os.PathLike[str] | None = None) -> list[DataInfo]:
    """Every built-in data set, and whether it can be had without a download."""
    store = Store.at(data_root)
    return [entry.info(store) for entry in BUILTINS.values()]


def _path(name_or_path: str | os.PathLike[str], store: Store) -> Path:
    text = os.fspath(name_or_path)
    path = Path(text).expanduser()
    below_root = None if store.root is None else store.root / path
    for candidate in (path, below_root):
        if text and candidate is not None and candidate.exists():
            return candidate
    if isinstance(name_or_path, os.PathLike) or "/" in text or os.sep in text or path.suffix:
        raise InputError(f"there is no file or folder {text!r}")
    near = did_you_mean(text.replace("_", "-"), BUILTINS)
    raise InputError(f"there is no data set {text!r}{near}; `ancestral data` lists them all, and a path works too")
