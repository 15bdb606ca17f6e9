"""The one-nearest-neighbour error against distances by hand, and what it refuses."""

import pytest
import torch
from torch import Tensor

from ancestral.data import Split
from ancestral.evaluation import evaluate_nearest_neighbour, nearest_neighbour_error
from ancestral.interface import Event, Features, InputError, Phase, Real
from ancestral.registry import build

EVENT = Event((2,), Real())


def split(x: Tensor, labels: list[int]) -> Split:
    return Split(x, EVENT, torch.tensor(labels))


class Doubled(Features):
    """Features that are not the data: the first dimension counts a hundredfold."""

    def phases(self) -> list[Phase]:
        return []

    def _features(self, x: Tensor) -> Tensor:
        return x * torch.tensor([100.0, 1.0])


def test_each_row_is_given_the_label_of_the_nearest() -> None:
    reference, rows = torch.randn(200, 5), torch.randn(300, 5)
    known, labels = torch.randint(3, (200,)), torch.randint(3, (300,))
    wrong = known[torch.cdist(rows, reference).argmin(1)] != labels
    found = nearest_neighbour_error(reference, known, rows, labels)
    assert found.error == pytest.approx(float(wrong.double().mean()))
    p = (300 * found.error + 1) / 302
    assert found.stderr == pytest.approx((p * (1 - p) / 300) ** 0.5)
    assert found.n == 300
    assert nearest_neighbour_error(reference, known, reference, known).error == 0


def test_distances_are_those_of_features_and_rows_without_a_label_do_not_count() -> None:
    """By the data the first reference is nearest to both rows, by the features the second is to the first row."""
    model = Doubled(EVENT)
    reference = split(torch.tensor([[1.0, 0.0], [0.0, 50.0], [0.1, 0.0]]), [0, 1, -1])
    rows = split(torch.tensor([[0.0, 0.0], [0.9, 1.0], [9.0, 9.0]]), [1, 0, -1])
    found = evaluate_nearest_neighbour(model, reference, rows)
    assert (found.error, found.n) == (0.0, 2)
    other = split(rows.x, [0, 0, -1])
    assert evaluate_nearest_neighbour(model, reference, other, batch_size=1).error == 0.5


def test_what_it_cannot_tell_is_refused() -> None:
    features = Doubled(EVENT)
    x = torch.zeros(3, 2)
    labelled, plain = split(x, [0, 1, 2]), Split(x, EVENT)
    with pytest.raises(InputError, match="has no features"):
        evaluate_nearest_neighbour(build("kmeans", EVENT, components=2), labelled, labelled)
    with pytest.raises(InputError, match="has no codes"):
        evaluate_nearest_neighbour(features, labelled, labelled, of="codes")
    with pytest.raises(InputError, match="have no labels"):
        evaluate_nearest_neighbour(features, labelled, plain)
    with pytest.raises(InputError, match="have no labels"):
        evaluate_nearest_neighbour(features, labelled, split(x, [-1, -1, -1]))
    with pytest.raises(InputError, match="0 to compare with and 3 to classify"):
        nearest_neighbour_error(x[:0], torch.arange(0), x, torch.arange(3))
    with pytest.raises(InputError, match="finite features"):
        nearest_neighbour_error(x, torch.arange(3), x / 0, torch.arange(3))
