"""Margins of few labels: the kernel, the terms of the objective by hand, and where the boundary comes to lie."""

import math

import pytest
import torch
from sklearn.datasets import make_moons
from torch import Tensor

from ancestral.interface import InputError
from ancestral.layers.margin_classifier import FeatureClassifier, LogisticRegression, TransductiveSVM


def machine(inputs: int = 2, classes: int = 2, **settings: float) -> TransductiveSVM:
    given = {"kernel_features": 0, "bandwidth": 1.0, "unlabelled_weight": 1.0, "annealing_steps": 1} | settings
    return TransductiveSVM(inputs, classes, **given)  # type: ignore[arg-type]


def train(classifier: FeatureClassifier, z: Tensor, y: Tensor, steps: int = 300) -> Tensor:
    """The likeliest class of each row after steps on all of them."""
    optimizer = torch.optim.Adam(classifier.parameters(), 0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        classifier.losses(z, y).total.backward()
        optimizer.step()
    return classifier.eval().class_log_probs(z).argmax(1)


def test_the_boundary_moves_into_the_gap_between_stretched_clusters() -> None:
    """Two labels at opposite ends, whose bisector cuts both clusters."""
    torch.manual_seed(0)
    truth = torch.arange(300) % 2
    z = torch.stack([1.5 * (2.0 * truth - 1), torch.zeros(300)], 1) + torch.randn(300, 2) * torch.tensor([0.4, 1.5])
    z[:2] = torch.tensor([[-1.5, -1.2], [1.5, 1.2]])
    y = torch.where(torch.arange(300) < 2, truth, -1)
    settings = {"annealing_steps": 150}
    wrong = {
        "logistic": (train(LogisticRegression(2, 2), z, y) != truth).float().mean(),
        "labels alone": (train(machine(**settings, unlabelled_weight=0.0), z, y) != truth).float().mean(),
        "transductive": (train(machine(**settings), z, y) != truth).float().mean(),
    }
    assert wrong["transductive"] < 0.01 < 0.03 < min(wrong["logistic"], wrong["labels alone"]), wrong


def test_with_a_kernel_the_boundary_follows_the_moons() -> None:
    x, labels = make_moons(300, noise=0.06, random_state=3)
    z, truth = torch.tensor(x).float(), torch.tensor(labels)
    y = torch.full((300,), -1)
    for label in (0, 1):  # eight labels in all
        rows = (truth == label).nonzero()[[3, 40, 80, 120], 0]
        y[rows] = label
    curved = train(machine(kernel_features=200, bandwidth=0.5, annealing_steps=150), z, y)
    straight = train(LogisticRegression(2, 2), z, y)
    assert (curved != truth).float().mean() < 0.02 < 0.1 < (straight != truth).float().mean()


def test_random_features_are_a_gaussian_kernel() -> None:
    torch.manual_seed(0)
    one = machine(inputs=3, kernel_features=4_000, bandwidth=2.0)
    z, other = torch.randn(2, 6, 3)
    with torch.no_grad():
        features = torch.eye(4_000)
        one.linear = torch.nn.Linear(4_000, 1)
        one.linear.bias.zero_()
        one.linear.weight.copy_(features[:1])
        products = []
        for row in other:  # weights phi(z') make the margin of z the product of the two
            phases = row @ one.frequencies
            one.linear.weight.copy_((torch.cat([phases.cos(), phases.sin()]) / math.sqrt(2_000))[None])
            products.append(one.margins(z)[:, 0])
    expected = torch.exp(-torch.cdist(z, other).square() / (2 * 2.0**2))
    torch.testing.assert_close(torch.stack(products, 1), expected, atol=0.08, rtol=0)


def test_the_objective_is_hinge_gap_and_balance() -> None:
    one = machine(inputs=1, classes=2, unlabelled_weight=2.0, annealing_steps=4)
    with torch.no_grad():
        one.linear.weight.copy_(torch.tensor([[1.0], [-2.0]]))
        one.linear.bias.copy_(torch.tensor([0.5, 0.0]))
    z, y = torch.tensor([[0.2], [-1.0], [0.3], [0.1]]), torch.tensor([0, 1, -1, -1])
    hinge = ((1 - 0.7) ** 2 + (1 - 0.5) ** 2) / 2 + ((1 - 0.4) ** 2 + 0) / 2
    gap = sum(math.exp(-3 * f**2) for f in (0.8, 0.6)) / 2 + sum(math.exp(-3 * f**2) for f in (-0.6, -0.2)) / 2
    balance = (0.7 - 0) ** 2 + (-0.4 - 0) ** 2
    decay = 1e-4 * (1 + 4)
    for step in range(1, 7):  # from a quarter of its weight to all of it
        found = one.losses(z, y)
        expected = hinge + 2.0 * min(step / 4, 1) * gap + balance + decay
        assert found.total.item() == pytest.approx(expected, rel=1e-5)
    one.eval()
    before = float(one.steps)
    one.losses(z, y)
    assert float(one.steps) == before  # only training counts


@pytest.mark.parametrize("classifier", [LogisticRegression(3, 4), machine(3, 4), machine(3, 4, kernel_features=8)])
def test_a_batch_may_have_no_labels_or_nothing_else(classifier: FeatureClassifier) -> None:
    z = torch.randn(6, 3)
    for y in (torch.full((6,), -1), torch.arange(6) % 4):
        assert bool(classifier.losses(z, y).total.isfinite())
    torch.testing.assert_close(classifier.class_log_probs(z).logsumexp(1), torch.zeros(6), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "settings", [{"kernel_features": 7}, {"bandwidth": 0.0}, {"unlabelled_weight": -1.0}, {"annealing_steps": 0}]
)
def test_bad_settings_say_what_was_expected(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        machine(**settings)
