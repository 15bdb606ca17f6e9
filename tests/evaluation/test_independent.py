"""The ruler's zero, by enumeration and against torch."""

import itertools
import math

import pytest
import torch

from ancestral.evaluation import channel_histogram, independent, independent_histogram
from ancestral.interface import Binary, Categories, Columns, Event, InputError, Levels, Real, Support


@pytest.mark.parametrize("support", [Levels(3), Categories(3), Binary()])
def test_the_histogram_is_a_probability(support: Support) -> None:
    levels = 2 if isinstance(support, Binary) else 3
    event = Event((2, 2), support)
    train = torch.randint(levels, (20, 2, 2))
    everything = torch.tensor(list(itertools.product(range(levels), repeat=4))).view(-1, 2, 2)
    log_prob = independent_histogram(train, everything, event)
    assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-6)
    # By hand: each level counted once more.
    share = torch.stack([((train == everything[5]).sum(0) + 1) / (20 + levels)]).log().sum()
    assert log_prob[5].item() == pytest.approx(share.item(), rel=1e-5)
    with pytest.raises(InputError, match="discrete"):
        independent_histogram(train, everything, Event((2, 2), Real()))


def test_the_histogram_of_a_channel_is_that_of_all_its_places() -> None:
    event = Event((2, 3, 4), Levels(5))
    train = torch.randint(3, (300, 2, 3, 4)) + torch.tensor([0, 2]).view(2, 1, 1)
    test = torch.randint(5, (7, 2, 3, 4))
    expected = torch.zeros(7, dtype=torch.float64)
    for channel in range(2):
        counts = torch.bincount(train[:, channel].flatten(), minlength=5).double() + 1
        expected += (counts / counts.sum()).log()[test[:, channel]].flatten(1).sum(1)
    torch.testing.assert_close(channel_histogram(train, test, event).double(), expected, rtol=1e-6, atol=0)
    with pytest.raises(InputError, match="discrete images"):
        channel_histogram(train, test, Event((2, 3, 4), Real()))


def test_the_gaussian_is_torchs() -> None:
    train, test = torch.randn(50, 3) * 2 + 1, torch.randn(5, 3)
    name, log_prob = independent(train, test, Event((3,), Real()))
    expected = torch.distributions.Normal(train.mean(0), train.std(0, correction=0)).log_prob(test).sum(1)
    assert name == "independent Gaussian"
    torch.testing.assert_close(log_prob, expected)


def test_the_gaussian_holds_in_any_unit_and_where_a_dimension_does_not_vary() -> None:
    train, test = 1e-9 * torch.randn(50, 2).double(), 1e-9 * torch.randn(5, 2).double()
    event = Event((2,), Real())
    log_prob = independent(train, test, event)[1]
    scaled = independent(1e9 * train, 1e9 * test, event)[1]
    torch.testing.assert_close(log_prob, scaled + 2 * math.log(1e9))
    # Nor does it hang on where zero is.
    torch.testing.assert_close(independent(1e-3 + train, 1e-3 + test, event)[1], log_prob, rtol=1e-5, atol=0)
    constant = torch.cat([torch.randn(50, 1), torch.full((50, 1), 3.0)], dim=1)
    assert independent(constant, constant, event)[1].isfinite().all()


def test_the_columns_of_a_table_each_have_their_own() -> None:
    train = torch.stack([torch.randn(50), torch.randint(3, (50,)), torch.randn(50)], 1)
    event = Event((3,), Columns((Real(), Categories(3), Real())))
    name, log_prob = independent(train, train[:7], event)
    real, categories = [0, 2], [1]
    expected = independent(train[:, real], train[:7, real], Event((2,), Real()))[1]
    expected = expected + independent(train[:, categories], train[:7, categories], Event((1,), Categories(3)))[1]
    assert name == "independent columns"
    torch.testing.assert_close(log_prob, expected)


def test_every_one_of_many_rows_is_counted() -> None:
    train = (torch.arange(9000) < 6000).long()[:, None]
    log_prob = independent_histogram(train, torch.tensor([[0], [1]]), Event((1,), Binary()))
    assert log_prob.exp().tolist() == pytest.approx([3001 / 9002, 6001 / 9002])


def test_missing_values_are_left_out_of_the_counts_and_of_the_score() -> None:
    event = Event((3,), Columns((Real(), Categories(3), Real())))
    train = torch.stack([torch.randn(60), torch.randint(3, (60,)), torch.randn(60)], 1)
    train[::3, 1] = math.nan
    train[1::3, 0] = math.nan
    name, found = independent(train, train, event)
    assert name == "independent columns"
    expected = torch.zeros(60)
    for column, support in enumerate(event.supports):
        seen = ~train[:, column].isnan()
        there = train[seen][:, [column]]
        expected[seen] += independent(there, there, Event((1,), support))[1]
    torch.testing.assert_close(found, expected)
