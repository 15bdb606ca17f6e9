"""How often a classifier is wrong, with its error."""

import math

import pytest
import torch
from torch import Tensor

from ancestral.data import Split
from ancestral.evaluation import ErrorRate, evaluate_classifier, why_no_error_rate
from ancestral.interface import Classifier, Event, InputError, Model, Phase, Real
from ancestral.registry import build

LINE = Event((1,), Real())


class Rounding(Classifier):
    """Likeliest is the class nearest to x; three classes."""

    classes = 3

    def phases(self) -> list[Phase]:
        return []

    def _class_log_probs(self, x: Tensor) -> Tensor:
        return (-(x - torch.arange(3.0)).square()).log_softmax(1)


def test_the_share_of_wrong_rows_among_the_labelled_ones() -> None:
    x = torch.tensor([[0.1], [1.2], [1.9], [0.0], [2.2], [1.0]])
    y = torch.tensor([0, 1, 1, -1, 2, -1])  # the third is nearer to 2
    for batch_size in (1, 4, 256):  # a batch may be all unlabelled
        assert evaluate_classifier(Rounding(LINE), Split(x, LINE, y), batch_size=batch_size) == ErrorRate(
            error=0.25,
            stderr=math.sqrt(1 / 3 * 2 / 3 / 4),
            n=4,  # p = (1 + 1) / (4 + 2)
        )
    assert evaluate_classifier(Rounding(LINE), Split(x, LINE, y), limit=2) == ErrorRate(
        0.0, math.sqrt(1 / 4 * 3 / 4 / 2), 2
    )


def test_the_standard_error_is_that_of_repetitions() -> None:
    """Labels that are wrong with probability 0.2, anew in each of 400 sets."""
    generator = torch.Generator().manual_seed(0)
    rates = []
    for _ in range(400):
        truth = torch.randint(3, (50,), generator=generator)
        wrong = torch.rand(50, generator=generator) < 0.2
        rates.append(evaluate_classifier(Rounding(LINE), Split(truth[:, None].float(), LINE, (truth + wrong) % 3)))
    errors = torch.tensor([rate.error for rate in rates])
    assert errors.mean().item() == pytest.approx(0.2, abs=0.01)
    assert sum(rate.stderr for rate in rates) / 400 == pytest.approx(errors.std().item(), rel=0.1)


def test_reads_in_per_cent() -> None:
    assert str(ErrorRate(0.0333, 0.0018, 10_000)) == "3.33 ± 0.18 % error, n = 10,000"


def test_what_has_no_error_rate_says_why() -> None:
    class Silent(Model):
        def phases(self) -> list[Phase]:
            return []

    labelled = Split(torch.zeros(4, 1), LINE, torch.tensor([0, 1, 2, 0]))
    unlabelled = Split(torch.zeros(4, 1), LINE, torch.full((4,), -1))
    refused = {
        "is no Classifier": (Silent(LINE), labelled),
        "its classes are its own components": (build("gaussian_mixture", LINE, components=2), labelled),
        "no labels": (Rounding(LINE), unlabelled),
        "the data have no labels": (Rounding(LINE), Split(torch.zeros(4, 1), LINE)),
    }
    for reason, (model, data) in refused.items():
        assert reason in str(why_no_error_rate(model, data))
        with pytest.raises(InputError, match=reason):
            evaluate_classifier(model, data)
    assert why_no_error_rate(Rounding(LINE), labelled) is None
    with pytest.raises(InputError, match="knows 3 classes, but a row has the label 3"):
        evaluate_classifier(Rounding(LINE), Split(torch.zeros(1, 1), LINE, torch.tensor([3])))
    mixed = Split(torch.zeros(2, 1), LINE, torch.tensor([-1, 0]))
    with pytest.raises(InputError, match="none of the first 1 rows has a label"):
        evaluate_classifier(Rounding(LINE), mixed, limit=1)
