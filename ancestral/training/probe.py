"""`probe`: what the representation of a model is worth to a classifier with few labels."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

import torch

from ancestral.data import Data
from ancestral.evaluation import Transfer, TransferError
from ancestral.evaluation.transfer import (
    COMPONENTS,
    FRESH,
    MODEL,
    RAW,
    Mode,
    PrincipalComponents,
    check_transfer,
    guessing_error,
    labelled_rows,
    linear_probe_error,
    raw_values,
    represented,
    test_rows,
)
from ancestral.interface import Features, InputError, Model, seeded
from ancestral.registry import build
from ancestral.training.fine_tuning import fine_tuned_error
from ancestral.training.specs import training_arguments


def probe(
    model: Model,
    data: Data,
    *,
    labels: int | Sequence[int] = (100, 1000),
    mode: Mode = "linear",
    draws: int = 5,
    seed: int = 0,
    batch_size: int = 256,
    training: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> Transfer:
    """The error of a classifier on the features of `model` that learns from few labels, on the test rows of `data`.

    Beside it stand a random start (the same architecture with fresh weights, others for each draw), the values of a row
    themselves, and as many of the principal components of the training rows as there are features (of at most 10,000
    rows, and no more components than rows or values). The last two are always linear. The standard errors are over the
    draws, of which all representations see the same.

    Args:
        model: a `Features` model, trained on the training rows of `data`, or on other rows of the same event.
        data: rows with classes. Labels are taken from the training split, errors on the test split.
        labels: how many training rows keep their labels, as many of each class.
        mode: "linear", a logistic regression of the features, whose scaling and penalty a cross-validation among the
            labelled rows chooses; or "finetune", a linear layer on the features that is trained with the whole network.
        draws: of which rows keep their labels.
        seed: of the draws, of the random starts and of fine-tuning.
        batch_size: rows at once.
        training: of fine-tuning, arguments of `fit` as recipes spell them; a fifth of the labelled rows is held back to
            choose the epoch.
        progress: show progress on stderr.

    Raises:
        InputError: before any work, where model, data and labels do not go together.
    """
    if mode not in get_args(Mode):
        raise InputError(f"mode must be one of {', '.join(get_args(Mode))}, got {mode!r}")
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    if training and mode == "linear":
        raise InputError("training is of mode=finetune; a linear classifier is not trained by gradients")
    how = training_arguments(training or {})
    counts = [labels] if isinstance(labels, int) else list(dict.fromkeys(labels))
    check_transfer(model, data, counts, draws, seed)
    assert isinstance(model, Features)
    fresh_start(model, seed)  # refuses what cannot be built anew

    test = test_rows(data)
    assert test.y is not None
    of_test = {MODEL: represented(model, test, batch_size), RAW: raw_values(test)}
    components = PrincipalComponents(data.train, of_test[MODEL].shape[1], seed)
    of_test[COMPONENTS] = components(test)
    errors: dict[tuple[str, int], list[float]] = {}
    for draw, count in _shown([(draw, count) for draw in range(draws) for count in counts], progress):
        own = seed + draw
        rows = labelled_rows(data, count, own)
        assert rows.y is not None
        fresh = fresh_start(model, own)
        if count == counts[0]:
            of_test[FRESH] = represented(fresh, test, batch_size)
        of_rows = {RAW: raw_values(rows), COMPONENTS: components(rows)}
        if mode == "linear":
            of_rows |= {MODEL: represented(model, rows, batch_size), FRESH: represented(fresh, rows, batch_size)}
        else:
            for name, start in ((MODEL, copy.deepcopy(model)), (FRESH, fresh)):
                errors.setdefault((name, count), []).append(fine_tuned_error(start, data, rows, test, own, how))
        for name, x in of_rows.items():
            found = linear_probe_error(x, rows.y, of_test[name], test.y, seed=own)
            errors.setdefault((name, count), []).append(found)
    return Transfer(
        model=model.display_name,
        data=data.name,
        mode=mode,
        n=len(test),
        guessing=guessing_error(data.train, test),
        results=tuple(
            TransferError(name, count, of_test[name].shape[1], tuple(errors[name, count]))
            for count in counts
            for name in (MODEL, FRESH, RAW, COMPONENTS)
        ),
    )


def fresh_start(model: Features, seed: int) -> Features:
    """The same architecture with fresh weights, drawn by `seed`, standardised and on the device as `model` is."""
    if model.registered_name is None or model.settings is None:
        raise InputError(f"{model.display_name} is made by hand, so it has no random start; register it to probe it")
    given = {} if model.context_event is None else {"context_event": model.context_event}
    with seeded(torch.Generator().manual_seed(seed)):
        fresh = build(model.registered_name, model.event, **given, **model.settings)
    assert isinstance(fresh, Features)
    if model.standardization is not None:
        fresh.standardize(model.standardization.shift.cpu(), model.standardization.scale.cpu())
    return fresh.to(model.device, model.dtype).eval()


def _shown(tasks: Sequence[tuple[int, int]], progress: bool) -> Iterable[tuple[int, int]]:
    if not progress:
        return tasks
    from rich.console import Console
    from rich.progress import track

    return track(tasks, "probing", transient=True, console=Console(stderr=True))
