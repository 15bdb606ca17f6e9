"""What a representation is worth where labels are few: the error of a linear classifier on it, and what it is held
against.

One protocol for all representations: of the training rows some keep their labels, as many of each class, drawn several
times; numbers are standardised by those rows alone, and scikit-learn's logistic regression learns from them, its L2
penalty chosen by cross-validation among them. No test row is seen before the error is taken.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ancestral.data import Data, Split
from ancestral.evaluation.likelihood import batches
from ancestral.interface import Features, InputError, Model, seeded

if TYPE_CHECKING:
    import pandas

#: Whether the representation stays as it is, or is trained with the classifier.
Mode: TypeAlias = Literal["linear", "finetune"]
#: What is held against each other: the model, the same architecture with fresh weights, the values of a row themselves,
#: and as many of their principal components as there are features.
MODEL, FRESH, RAW, COMPONENTS = "model", "random start", "raw values", "PCA"
#: Inverse strengths of the penalty that are tried, and the parts of the cross-validation that chooses.
_STRENGTHS = tuple(10.0**power for power in range(-5, 1))
_FOLDS = 5
#: Steps of a logistic regression, at most, and the gradient at which it ends.
_STEPS, _TOLERANCE = 200, 1e-3
#: A probability that is as good as none, of which the logarithm is still a number.
_LEAST = 1e-300
#: Rows, and numbers in all, that principal components are taken from, at most.
_PCA_ROWS, _PCA_NUMBERS = 10_000, 2**26


@dataclass(frozen=True)
class TransferError:
    """The errors on the test rows, in [0, 1], of one representation at one number of labels: one for each draw of
    them."""

    representation: str
    labels: int
    #: Numbers that a row is represented by.
    dimensions: int
    errors: tuple[float, ...]

    @property
    def error(self) -> float:
        """The mean over the draws."""
        return sum(self.errors) / len(self.errors)

    @property
    def stderr(self) -> float:
        """The standard error of the mean; nan of one draw."""
        return _standard_error(self.errors)


@dataclass(frozen=True)
class Transfer:
    """What labels buy: the errors of a model's representation and of what stands beside it."""

    model: str
    data: str
    mode: Mode
    #: Test rows with a label.
    n: int
    #: Of always the most frequent class.
    guessing: float
    results: tuple[TransferError, ...]

    def of(self, representation: str, labels: int) -> TransferError:
        """The errors of one representation at one number of labels."""
        for result in self.results:
            if (result.representation, result.labels) == (representation, labels):
                return result
        there = ", ".join(f"{one.representation} at {one.labels}" for one in self.results)
        raise InputError(f"there is no {representation!r} at {labels} labels; there are {there}")

    def gain(self, labels: int, over: str = FRESH) -> tuple[float, float]:
        """By how much the model's error is below that of another representation, and the standard error of it, from
        the differences draw by draw."""
        mine, other = self.of(MODEL, labels).errors, self.of(over, labels).errors
        differences = [b - a for a, b in zip(mine, other, strict=True)]
        return sum(differences) / len(differences), _standard_error(differences)

    @property
    def labels(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(result.labels for result in self.results))

    @property
    def representations(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(result.representation for result in self.results))

    @property
    def curves(self) -> dict[str, list[tuple[int, float, float]]]:
        """Of each representation the labels, the error and its standard error, by labels: what is drawn."""
        return {
            name: [(count, self.of(name, count).error, self.of(name, count).stderr) for count in sorted(self.labels)]
            for name in self.representations
        }

    def to_frame(self) -> "pandas.DataFrame":
        """A row for each representation and number of labels; errors in [0, 1]."""
        import pandas as pd

        columns = ("representation", "labels", "dimensions", "error", "stderr", "draws")
        rows = [
            (one.representation, one.labels, one.dimensions, one.error, one.stderr, len(one.errors))
            for one in self.results
        ]
        return pd.DataFrame(rows, columns=list(columns))

    def __str__(self) -> str:
        lines = [f"{self.model} on {self.data}, {self.mode}, n = {self.n:,} test rows"]
        for result in self.results:
            shown = f"{100 * result.error:.2f} ± {100 * result.stderr:.2f} % error"
            lines.append(f"{result.representation}, {result.labels:,} labels: {shown}")
        return "\n".join(lines)


def check_transfer(model: Model, data: Data, labels: Sequence[int], draws: int, seed: int) -> None:
    """Raise `InputError` unless the model has features of such data, and the data have labels enough: before any
    work."""
    name = model.display_name
    if not isinstance(model, Features):
        raise InputError(f"{name} has no representation to transfer: it has no ability Features")
    if data.event != model.event:
        raise InputError(
            f"{name} represents {model.event}, but {data.name} is of {data.event}; take data of the model's own event"
        )
    if not labels or any(not isinstance(count, int) or isinstance(count, bool) or count < 1 for count in labels):
        raise InputError(f"labels must be one or more whole numbers from 1 on, as (100, 1000), got {labels!r}")
    if draws < 1:
        raise InputError(f"draws must be at least 1, got {draws}")
    test = data.test.y
    if data.classes is None or test is None or not bool((test >= 0).any()):
        raise InputError(f"{data.name} has no labels in its test split to transfer to: name data with labels")
    if len(data.classes) < 2:
        raise InputError(f"{data.name} has one class, {data.classes[0]}: there is nothing to tell apart")
    for count in labels:
        data.with_labels(count, seed=seed)  # refuses what cannot be drawn


def labelled_rows(data: Data, count: int, seed: int) -> Split:
    """`count` training rows and their labels, as many of each class, drawn by `seed`."""
    y = data.with_labels(count, seed=seed).train.y
    assert y is not None
    return fixed(data.train.take((y >= 0).nonzero()[:, 0]), seed)


def test_rows(data: Data) -> Split:
    """The test rows that have a label."""
    assert data.test.y is not None
    return fixed(data.test.take((data.test.y >= 0).nonzero()[:, 0]), 0)


def fixed(split: Split, seed: int) -> Split:
    """The same rows and labels alone, without contexts; what is drawn anew each time is drawn once, by `seed`."""
    with seeded(torch.Generator().manual_seed(seed)):
        return Split(split.x, split.event, split.y, missing=split.missing, name=split.name)


@torch.no_grad()
def represented(model: Features, split: Split, batch_size: int = 256) -> Float[Tensor, "rows n"]:
    """The features of every row, in float32 on the CPU."""
    found = torch.cat([model.features(batch.x.to(model.device)).float().cpu() for batch in batches(split, batch_size)])
    if not bool(found.isfinite().all()):
        raise InputError("the model's features are not finite, so its training went wrong")
    return found


def raw_values(split: Split) -> Float[Tensor, "rows n"]:
    """The values of every row themselves, one after another."""
    return split.x.flatten(1).float()


class PrincipalComponents:
    """The `n` directions of most variance of training rows, without their labels; fewer where there are fewer."""

    def __init__(self, split: Split, n: int, seed: int) -> None:
        from sklearn.decomposition import PCA

        generator = torch.Generator().manual_seed(seed)
        most = min(len(split), _PCA_ROWS, max(2, _PCA_NUMBERS // split.event.size))
        rows = raw_values(fixed(split.take(torch.randperm(len(split), generator=generator)[:most]), seed))
        self.size = min(n, most - 1, split.event.size)
        self.pca = PCA(self.size, random_state=seed).fit(rows.numpy())

    def __call__(self, split: Split) -> Float[Tensor, "rows n"]:
        return torch.from_numpy(self.pca.transform(raw_values(split).numpy())).float()


def linear_probe_error(
    train: Float[Tensor, "rows n"],
    train_labels: Int64[Tensor, " rows"],
    test: Float[Tensor, "batch n"],
    test_labels: Int64[Tensor, " batch"],
    *,
    seed: int = 0,
) -> float:
    """The share of test rows that a logistic regression of the standardised features gives another class, in [0, 1].

    The features are centred and scaled by the training rows, one by one or all by one scale. Which, and the L2 penalty,
    is by the least cross-entropy in a cross-validation among these rows, of at most 5 parts that `seed` draws, each
    with rows of every class; where a class has a single row, one by one and a standard penalty.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import StratifiedKFold

    x, y = train.double().numpy(), train_labels.numpy()
    folds = min(_FOLDS, int(np.unique(y, return_counts=True)[1].min()))
    scales = [_Scale(x, one_by_one=one_by_one) for one_by_one in ((True, False) if folds > 1 else (True,))]
    ways = [(scale, strength) for scale in scales for strength in _STRENGTHS]
    best = (scales[0], 1.0)
    with warnings.catch_warnings():
        # Under a weak penalty classes come apart and the weights grow on: such a fit is seldom the one that is chosen.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if folds > 1:
            parts = list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(x, y))
            costs = [
                sum(_cross_entropy(scale.rows, y, kept, held, strength) for kept, held in parts)
                for scale, strength in ways
            ]
            best = ways[costs.index(min(costs))]
        scale, strength = best
        classifier = _regression(scale.rows, y, strength)
    return float((classifier.predict(scale(test.double().numpy())) != test_labels.numpy()).mean())


class _Scale:
    """Features centred and scaled by some rows, in the space that these span where it is smaller than their own: a
    classifier with an L2 penalty is the same there."""

    def __init__(self, x: np.ndarray, *, one_by_one: bool) -> None:
        self.centre, deviation = x.mean(0), x.std(0)
        scale = deviation if one_by_one else np.full_like(deviation, np.sqrt(np.square(deviation).mean()))
        # What does not vary here is of no use, and must do no harm where it varies later.
        self.scale = np.where(scale > 0, scale, np.inf)
        self.basis: np.ndarray | None = None
        rows = (x - self.centre) / self.scale
        if rows.shape[1] > len(rows):
            self.basis = np.linalg.svd(rows, full_matrices=False)[2].T
        self.rows = self(x)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        x = (x - self.centre) / self.scale
        return x if self.basis is None else x @ self.basis


def _regression(x: np.ndarray, y: np.ndarray, strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=_STEPS, tol=_TOLERANCE).fit(x, y)


def _cross_entropy(x: np.ndarray, y: np.ndarray, kept: np.ndarray, held: np.ndarray, strength: float) -> float:
    """Of held-out rows, in nats, in all; every class is among both."""
    classifier = _regression(x[kept], y[kept], strength)
    places = np.searchsorted(classifier.classes_, y[held])
    probabilities = classifier.predict_proba(x[held])[np.arange(len(held)), places]
    return float(-np.log(probabilities.clip(_LEAST)).sum())


def guessing_error(train: Split, test: Split) -> float:
    """The error on test rows of the class that is most frequent in training."""
    assert train.y is not None
    assert test.y is not None
    most = int(train.y[train.y >= 0].bincount().argmax())
    return float((test.y != most).double().mean())


def _standard_error(values: Sequence[float]) -> float:
    if len(values) < 2:
        return math.nan
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
