"""How often a classifier is wrong."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ancestral.data import Split
from ancestral.evaluation.likelihood import batches
from ancestral.interface import Classifier, ClosedFormFit, InputError, Model


@dataclass(frozen=True)
class ErrorRate:
    """The share of labelled rows that are given another class than their label (smaller is better), in [0, 1].

    `stderr` is the binomial standard error sqrt(p (1 - p) / n) at p = (wrong + 1) / (n + 2), Laplace's rule: none wrong
    among a few rows is no proof of no error. `n` is the number of labelled rows.
    """

    error: float
    stderr: float
    n: int

    @classmethod
    def counted(cls, wrong: int, n: int) -> "ErrorRate":
        """Of so many wrong among `n`."""
        p = (wrong + 1) / (n + 2)
        return cls(wrong / n, math.sqrt(p * (1 - p) / n), n)

    def __str__(self) -> str:
        return f"{100 * self.error:.2f} ± {100 * self.stderr:.2f} % error, n = {self.n:,}"


def why_no_error_rate(model: Model, data: Split | Tensor) -> str | None:
    """None if `evaluate_classifier` can judge `model` by the labels of `data`, otherwise the reason why not."""
    name = model.display_name
    if not isinstance(model, Classifier):
        return f"{name} is no Classifier"
    if isinstance(model, ClosedFormFit):
        return f"{name} is fitted without labels: its classes are its own components, which no label names"
    labels = None if isinstance(data, Tensor) else data.y
    if labels is None or bool((labels < 0).all()):
        return "the data have no labels to compare the classes with"
    return None


@torch.no_grad()
def evaluate_classifier(
    model: Model,
    data: Split,
    *,
    batch_size: int = 256,
    limit: int | None = None,
    progress: bool = False,
) -> ErrorRate:
    """The error rate of `model` on the labelled rows of `data` (among at most its first `limit` rows).

    The label -1 stands for none. Raises `InputError` for a model that is no classifier, for one whose classes are its
    own components (a mixture), and for data without labels.
    """
    if reason := why_no_error_rate(model, data):
        raise InputError(reason)
    if batch_size < 1 or (limit is not None and limit < 1):
        raise InputError(f"batch_size and limit must be at least 1, got {batch_size} and {limit}")
    assert isinstance(model, Classifier)
    wrong = n = 0
    for batch in batches(data, batch_size, limit, "classifying" if progress else None):
        assert batch.y is not None
        x, y = batch.x[batch.y >= 0].to(model.device), batch.y[batch.y >= 0]
        if len(y) == 0:
            continue
        if int(y.max()) >= model.classes:
            raise InputError(f"{model.display_name} knows {model.classes} classes, but a row has the label {y.max()}")
        wrong += int((model.class_log_probs(x).argmax(1).cpu() != y.cpu()).sum())
        n += len(y)
    if n == 0:
        raise InputError(f"none of the first {limit} rows has a label; raise limit")
    return ErrorRate.counted(wrong, n)
