"""The quantities that pick the best weights, and what reaches a model in low precision."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training_toys import PLANE, Gaussian, points

from ancestral.data import Data, Split
from ancestral.interface import (
    Adam,
    Batch,
    BoundedDensity,
    Categories,
    Classifier,
    Event,
    InputError,
    Losses,
    Model,
    Phase,
    Real,
)
from ancestral.training import fit
from ancestral.training.display import monitor_text


class Sides(Classifier):
    """Logistic regression of two classes."""

    monitor = "accuracy"
    classes = 2

    def __init__(self, event: Event = PLANE) -> None:
        super().__init__(event)
        self.network = nn.Linear(2, 2)

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self._loss, optimizer=Adam(0.1))]

    def _loss(self, batch: Batch) -> Losses:
        assert batch.y is not None
        known = batch.y >= 0
        return Losses(nn.functional.nll_loss(self._class_log_probs(batch.x[known]), batch.y[known]))

    def _class_log_probs(self, x: Tensor) -> Tensor:
        return self.network(x).log_softmax(1)


def sides(labels: Tensor | None = None) -> Data:
    def split(seed: int) -> Split:
        x = points(90, seed)
        return Split(x, PLANE, (x[:, 0] > x[:, 1] + 3).long())

    data = Data("sides", PLANE, *map(split, range(3)))
    return data if labels is None else replace(data, valid=Split(data.valid.x, PLANE, labels))


def test_accuracy_is_of_the_labelled_rows_and_the_highest_is_kept() -> None:
    labels = sides().valid.y
    assert labels is not None
    labels = torch.where(torch.arange(90) % 4 == 0, labels, -1)
    data, model = sides(labels), Sides()
    # Steps too long to stay where it is best.
    report = fit(model, data, epochs=8, batch_size=30, lr=3.0, progress=False)
    values = [value for _, value in report.curve("valid/accuracy")]
    assert report.best is not None
    assert report.best["valid/accuracy"] == max(values)
    right = model.class_log_probs(data.valid.x).argmax(1) == labels
    assert report.best["valid/accuracy"] == pytest.approx(right[labels >= 0].double().mean().item(), abs=1e-12)
    assert f"(accuracy {100 * max(values):.2f} %)" in str(report)


def test_a_monitor_that_cannot_be_measured_is_refused() -> None:
    unlabelled = torch.full((90,), -1)
    for data in (sides(unlabelled), replace(sides(), valid=Split(points(9), PLANE))):
        with pytest.raises(InputError, match="monitors accuracy, but no validation row has a label"):
            fit(Sides(), data)
    for monitor, reason in {
        "acuracy": "monitors 'acuracy' .did you mean 'accuracy'",
        "elbo": "monitors elbo but is no BoundedDensity",
        "log_prob_lower_bound": "is no BoundedDensity",
    }.items():
        model = Sides()
        model.monitor = monitor
        with pytest.raises(InputError, match=reason):
            fit(model, sides())


class Importance(BoundedDensity):
    """p(z) = N(0, I), p(x | z) = N(z, I), and a proposal that is learned: the bound rises with the samples."""

    monitor = "log_prob_lower_bound"
    monitor_samples = 5

    def __init__(self, event: Event = PLANE) -> None:
        super().__init__(event)
        self.shift = nn.Parameter(torch.zeros(2))

    def phases(self) -> Sequence[Phase]:
        loss = lambda batch: Losses(-self._log_weights(batch.x, None, 1).mean())  # noqa: E731
        return [Phase("model", [self.shift], loss)]

    def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        q = torch.distributions.Normal(x / 2 + self.shift, 0.5)
        z = q.rsample((samples,))
        prior = torch.distributions.Normal(0.0, 1.0).log_prob(z)
        return (prior + torch.distributions.Normal(z, 1.0).log_prob(x) - q.log_prob(z)).sum(2)


def test_the_importance_bound_is_of_the_models_own_number_of_samples() -> None:
    def monitored(samples: int) -> float:
        model = Importance()
        model.monitor_samples = samples
        report = fit(model, sides(), steps=1, batch_size=90, progress=False)
        return float(report.history[0]["valid/log_prob_lower_bound"])

    exact = torch.distributions.Normal(0.0, 2**0.5).log_prob(sides().valid.x).sum(1).mean().item()
    one, few, many = (monitored(samples) for samples in (1, 5, 500))
    assert one < few < many
    assert many == pytest.approx(exact, abs=0.02)
    with pytest.raises(InputError, match="monitor_samples of Importance must be at least 1, got 0"):
        monitored(0)


class Penalised(Model):
    """A critic whose loss takes the gradient of its own inputs, as a WGAN's penalty does (Gulrajani et al. 2017)."""

    monitor = "loss"

    def __init__(self, event: Event = PLANE) -> None:
        super().__init__(event)
        self.critic = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
        self.totals: list[Tensor] = []

    def phases(self) -> Sequence[Phase]:
        return [Phase("critic", list(self.critic.parameters()), self._loss)]

    def _loss(self, batch: Batch) -> Losses:
        x = batch.x.clone().requires_grad_()
        value = self.critic(x)
        (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        total = value.mean() + 10 * (slope.norm(dim=1) - 1).square().mean()
        if not self.training:
            self.totals.append(total)
        return Losses(total)


def test_a_loss_with_a_gradient_penalty_is_monitored() -> None:
    model, data = Penalised(), sides()
    report = fit(model, data, epochs=3, batch_size=30, progress=False)
    expected = model._loss(Batch(data.valid.x)).total.item()
    assert report.best is not None
    assert report.best["valid/loss"] == pytest.approx(expected, abs=1e-5)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    # What was monitored reaches no parameter; the same loss by hand does.
    reaching = [_reaches(total, set(model.parameters())) for total in model.totals]
    assert reaching == [False] * (len(reaching) - 1) + [True]


def _reaches(total: Tensor, parameters: set[nn.Parameter]) -> bool:
    seen, queue = set(), [total.grad_fn]
    while queue:
        node = queue.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if getattr(node, "variable", None) in parameters:
            return True
        queue += [parent for parent, _ in node.next_functions]
    return False


def test_standardised_data_are_monitored_in_their_own_units() -> None:
    model = Gaussian()
    model.standardize(torch.tensor([1.0, -2.0]), torch.tensor([5.0, 0.1]))
    data = sides()
    report = fit(model, data, epochs=2, progress=False)
    assert report.best is not None
    assert report.best["valid/log_prob"] == pytest.approx(model.log_prob(data.valid.x).mean().item(), rel=1e-6)


def test_each_monitor_is_shown_in_its_unit() -> None:
    event = Event((2,), Real())
    assert monitor_text("accuracy", 0.97314, event) == "accuracy 97.31 %"
    assert monitor_text("loss", 0.123456, event) == "validation loss 0.1235"
    assert monitor_text("log_prob_lower_bound", -2.0, event) == "log_prob_lower_bound -2.00 nats (1.443 bits/dim)"


class Tokens(Model):
    """Predicts token ids above 256, where bfloat16 leaves gaps, from others."""

    def __init__(self, event: Event, *, context_event: Event) -> None:
        super().__init__(event, context_event=context_event)
        self.embedding = nn.Embedding(1000, 4)
        self.head = nn.Linear(4, 1000)
        self.seen: list[tuple[Any, Any]] = []

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self._loss)]

    def _loss(self, batch: Batch) -> Losses:
        assert batch.context is not None
        self.seen += list(zip(batch.x.flatten().tolist(), batch.context.flatten().tolist(), strict=True))
        assert batch.x.dtype == batch.context.dtype == torch.int64
        logits = self.head(self.embedding(batch.context))
        assert logits.dtype == torch.bfloat16 or not self.training
        return Losses(nn.functional.cross_entropy(logits.flatten(0, 1), batch.x.flatten()))


def test_ids_reach_a_model_whole_in_low_precision() -> None:
    event = Event((3,), Categories(1000))
    x = torch.arange(900).view(-1, 3) + 99
    split = Split(x, event, context=x.flip(1))
    model = Tokens(event, context_event=event)
    report = fit(model, Data("ids", event, split, split, split, context_event=event), epochs=1,
                 precision="bf16-mixed", progress=False)  # fmt: skip
    assert "valid/loss" in report.history[0]
    assert set(model.seen) == set(zip(x.flatten().tolist(), x.flip(1).flatten().tolist(), strict=True))
