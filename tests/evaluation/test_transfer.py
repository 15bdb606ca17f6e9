"""The linear probe: a protocol that sees no test row, and errors that mean what they say."""

import math

import pytest
import torch
from torch import Tensor

from ancestral.data import Data, Split, load_data
from ancestral.evaluation import transfer
from ancestral.evaluation.transfer import (
    FRESH,
    MODEL,
    PrincipalComponents,
    Transfer,
    TransferError,
    labelled_rows,
    linear_probe_error,
    raw_values,
)
from ancestral.interface import Event, InputError, Real


def blobs(n: int, noise: float = 0.3) -> tuple[Tensor, Tensor]:
    """Three classes around corners of a triangle, and two numbers that say nothing, on a far larger scale."""
    y = torch.arange(n) % 3
    angle = 2 * math.pi * y / 3
    return torch.cat(
        [torch.stack([angle.cos(), angle.sin()], 1) + noise * torch.randn(n, 2), 1e3 * torch.randn(n, 2)], 1
    ), y


def test_classes_apart_are_told_and_labels_of_chance_are_not() -> None:
    (x, y), (far, told) = blobs(90), blobs(3000)
    error = linear_probe_error(x, y, far, told)
    assert error < 0.05
    # The scale of a number says nothing, and neither does where it starts.
    assert linear_probe_error(x * 1e3 + 7, y, far * 1e3 + 7, told) == pytest.approx(error, abs=1e-3)
    assert linear_probe_error(x, y[torch.randperm(90)], far, told) > 0.45


def test_test_rows_are_told_on_the_scale_of_the_labelled_rows() -> None:
    """Rows of one class alone, too, and whatever a number does that is one and the same in the labelled rows."""
    (x, y), (far, told) = blobs(90), blobs(900)
    constant, moving = torch.cat([x, torch.ones(90, 1)], 1), torch.cat([far, 1 + torch.randn(900, 1)], 1)
    assert linear_probe_error(constant, y, moving[told == 1], told[told == 1]) < 0.05


def test_numbers_may_keep_their_own_scale_and_be_more_than_the_rows() -> None:
    """The class is in the largest numbers, and hundreds of small ones are noise: one scale for all is better; and three
    classes need two directions of the space of thirty rows."""
    (x, y), (far, told) = blobs(30), blobs(900)
    wide, wider = (torch.cat([part[:, :2], 0.02 * torch.randn(len(part), 300)], 1) for part in (x, far))
    assert linear_probe_error(wide, y, wider, told) < 0.05
    scale = transfer._Scale(wide.double().numpy(), one_by_one=False)
    rows, others = (scale(part.double().numpy()) for part in (wide, wider))
    assert rows.shape == (30, 30)
    # Products with the rows, of which alone a classifier with an L2 penalty depends, are those of all numbers.
    whole = [(part - wide.mean(0)).double().numpy() / scale.scale for part in (wide, wider)]
    assert abs(others @ rows.T - whole[1] @ whole[0].T).max() < 1e-4 * abs(others @ rows.T).max()


def test_guessing_is_by_the_training_rows() -> None:
    event = Event((1,), Real())
    train = Split(torch.zeros(6, 1), event, torch.tensor([2, 2, 2, 0, 1, -1]))
    test = Split(torch.zeros(5, 1), event, torch.tensor([0, 0, 0, 2, 1]))
    assert transfer.guessing_error(train, test) == pytest.approx(4 / 5)
    data = Data("rows", event, train, train, Split(test.x, event, torch.tensor([0, -1, 2, -1, 1])), ("a", "b", "c"))
    assert len(transfer.test_rows(data)) == 3


def test_the_penalty_is_chosen_among_the_rows_and_near_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """With as many numbers of noise as rows and a fifth of the labels wrong, a weak penalty learns them by heart."""
    y, told = torch.arange(100) % 2, torch.arange(4000) % 2
    x, far = torch.randn(100, 60), torch.randn(4000, 60)
    x[:, 0] += 3 * y
    far[:, 0] += 3 * told
    y = torch.where(torch.rand(100) < 0.2, 1 - y, y)
    chosen, strengths = linear_probe_error(x, y, far, told), transfer._STRENGTHS
    errors = []
    for strength in strengths:
        monkeypatch.setattr(transfer, "_STRENGTHS", (strength,))
        errors.append(linear_probe_error(x, y, far, told))
    assert chosen <= min(errors) + 0.03
    assert chosen <= max(errors) - 0.05
    one_each = linear_probe_error(x[:2], torch.tensor([0, 1]), far, told)  # no cross-validation
    assert 0 < one_each < 1


def test_rows_are_drawn_by_class_from_the_training_split_alone() -> None:
    x = torch.arange(40.0)[:, None]
    event = Event((1,), Real())
    train = Split(x, event, torch.arange(40) % 2)
    held = Split(-1 - x, event, torch.arange(40) % 2)
    data = Data("lines", event, train, held, held, ("even", "odd"))
    first, again, other = (labelled_rows(data, 10, seed) for seed in (0, 0, 1))
    assert torch.equal(first.x, again.x)
    assert not torch.equal(first.x, other.x)
    assert first.y is not None
    assert first.y.bincount().tolist() == [5, 5]
    assert torch.equal(first.x[:, 0].long() % 2, first.y)
    assert bool((first.x >= 0).all())


def test_principal_components_are_of_training_rows_and_no_more_than_there_are() -> None:
    directions = torch.linalg.qr(torch.randn(6, 6)).Q
    x = (torch.randn(500, 6) * torch.tensor([9.0, 5.0, 1.0, 0.1, 0.1, 0.1])) @ directions.T
    event = Event((6,), Real())
    components = PrincipalComponents(Split(x, event), 2, seed=0)
    found = components(Split(x[:50], event))
    assert found.shape == (50, 2)
    expected = (x[:50] - x.mean(0)) @ directions[:, :2]
    assert torch.linalg.norm(found.abs() - expected.abs()) < 0.05 * torch.linalg.norm(expected)
    assert PrincipalComponents(Split(x, event), 100, seed=0).size == 6
    assert PrincipalComponents(Split(x[:4], event), 100, seed=0).size == 3


def test_what_is_drawn_anew_is_drawn_once_for_a_probe() -> None:
    rows = labelled_rows(load_data("moving-mnist", n=50, frames=2, side=8, digits=1, source="digits"), 10, 3)
    assert torch.equal(raw_values(rows), raw_values(rows))


def test_gains_are_of_the_same_draws() -> None:
    mine, fresh = (0.1, 0.3, 0.2), (0.2, 0.4, 0.3)
    results = tuple(TransferError(name, 10, 2, errors) for name, errors in ((MODEL, mine), (FRESH, fresh)))
    found = Transfer("vae", "digits", "linear", 100, 0.9, results)
    gain, stderr = found.gain(10)
    assert (gain, stderr) == (pytest.approx(0.1), pytest.approx(0, abs=1e-12))
    assert found.of(MODEL, 10).stderr == pytest.approx(0.1 / math.sqrt(3))
    assert math.isnan(TransferError(MODEL, 10, 2, (0.1,)).stderr)
    with pytest.raises(InputError, match="there is no 'model' at 20 labels"):
        found.of(MODEL, 20)
