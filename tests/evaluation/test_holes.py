"""Errors in a hole count what is hidden alone, and the baselines are what they are called."""

import pytest
import torch
from torch import Tensor

from ancestral.data import Split, kept_by_words
from ancestral.evaluation import evaluate_hole, mean_in_hole, nearest_in_hole
from ancestral.interface import Completer, Event, InputError, Levels, Phase
from ancestral.models.adversarial.gan import GAN

EVENT = Event((1, 4, 6), Levels(16))
KNOWN = kept_by_words("outside", EVENT)


class Constant(Completer):
    """Fills in threes."""

    predicts = True

    def phases(self) -> list[Phase]:
        return []

    def _complete(self, x: Tensor, known: Tensor, context: Tensor | None) -> Tensor:
        return torch.full_like(x, 3)


def images(n: int, seed: int) -> Tensor:
    return torch.randint(16, (n, 1, 4, 6), generator=torch.Generator().manual_seed(seed))


def test_the_error_is_of_the_hole_alone() -> None:
    x = images(50, 0)
    found = evaluate_hole(Constant(EVENT), Split(x, EVENT), KNOWN, batch_size=16)
    each = (x[:, 0, 1:3, 1:4].double() - 3).square().flatten(1).mean(1)
    assert KNOWN.sum() == 24 - 6  # rows 1 and 2, columns 1 to 3
    assert found.error == pytest.approx(float(each.mean()))
    assert found.stderr == pytest.approx(float(each.std()) / 50**0.5)
    assert evaluate_hole(Constant(EVENT), Split(x, EVENT), KNOWN, limit=10).n == 10
    with pytest.raises(InputError, match="it is no Completer"):
        evaluate_hole(GAN(EVENT), Split(x, EVENT), KNOWN)


def test_the_baselines_look_at_nothing_and_at_the_nearest() -> None:
    train, test = images(40, 1), images(30, 2)
    hidden = ~KNOWN
    mean = (test[:, hidden].double() - train[:, hidden].double().mean(0)).square().mean(1)
    torch.testing.assert_close(mean_in_hole(train, test, KNOWN), mean)
    nearest = [int((train - row)[:, KNOWN].square().sum(1).argmin()) for row in test]
    expected = (test - train[nearest])[:, hidden].double().square().mean(1)
    torch.testing.assert_close(nearest_in_hole(train, test, KNOWN), expected)
