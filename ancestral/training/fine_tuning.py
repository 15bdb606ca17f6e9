"""Fine-tuning: a representation and a linear classifier on it, trained together by few labels."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.data import Data, Split
from ancestral.evaluation import evaluate_classifier
from ancestral.interface import Adam, Batch, Classifier, Features, Losses, Phase, seeded
from ancestral.training.fit import fit

#: The settings of `fit` where none are given: passes over the labelled rows, and how soon they end without a gain.
DEFAULTS: Mapping[str, Any] = {"epochs": 100, "batch_size": 32, "lr": 1e-3, "patience": 15}


class FineTuned(Classifier):
    """p(y | x) by a linear layer on the features of another model, whose weights move too.

    The cross-entropy of the labels, in nats per example, is the loss and the monitor. In training the other model is in
    training mode: its batch norms follow the labelled rows.
    """

    monitor = "loss"

    def __init__(self, inner: Features, size: int, classes: int) -> None:
        super().__init__(inner.event)
        self.inner, self._classes = inner, classes
        self.standardization = inner.standardization
        self.head = nn.Linear(size, classes, dtype=inner.dtype, device=inner.device)

    @property
    def classes(self) -> int:
        return self._classes

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self._loss, optimizer=Adam(1e-3))]

    def _loss(self, batch: Batch) -> Losses:
        assert batch.y is not None
        return Losses(F.cross_entropy(self._logits(batch.x), batch.y))

    def _class_log_probs(self, x: Tensor) -> Tensor:
        return self._logits(x).log_softmax(1)

    def _logits(self, x: Tensor) -> Tensor:
        return self.head(self.inner._features(x))


def fine_tuned_error(
    model: Features, data: Data, rows: Split, test: Split, seed: int, training: Mapping[str, Any]
) -> float:
    """The share of `test` rows given another class by the model, trained in place with the labelled `rows`.

    A fifth of these, shared out over the classes, is held back: the weights are those of its least cross-entropy.
    """
    assert data.classes is not None
    assert rows.y is not None
    with torch.no_grad():
        size = model.features(rows.x[:1].to(model.device)).shape[1]
    with seeded(torch.Generator().manual_seed(seed)):
        classifier = FineTuned(model, size, len(data.classes))
        order = torch.randperm(len(rows))
    order = order[rows.y[order].argsort(stable=True)]
    held = torch.arange(len(rows)) % 5 == min(4, len(rows) - 1)
    splits = {"train": rows.take(order[~held]), "valid": rows.take(order[held]), "test": test}
    few = replace(data.with_splits(splits), context_event=None, context=None)
    fit(classifier, few, **{**DEFAULTS, **training, "seed": seed, "progress": False})
    return evaluate_classifier(classifier, test).error
