"""Which rows come in which batch."""

import pytest
import torch
from torch import Tensor

from ancestral.data import Split
from ancestral.interface import Batching, Event, InputError, LabelledMix, Real, Shuffled, Unpaired
from ancestral.training.loader import Loader
from ancestral.training.sources import SplitSource

LINE = Event((1,), Real())


def rows(n: int, y: Tensor | None = None) -> SplitSource:
    return SplitSource(Split(torch.arange(float(n))[:, None], LINE, y))


def epochs(loader: Loader, count: int = 1) -> list[list[Tensor]]:
    drawn = []
    for _ in range(count):
        drawn.append([batch.x[:, 0] for batch, _ in loader])
        loader.next_epoch()
    return drawn


def test_an_epoch_is_a_permutation_in_batches_of_even_size() -> None:
    first, second = epochs(Loader(rows(103), Shuffled(), 25, seed=0), 2)
    assert [len(batch) for batch in first] == [21, 21, 21, 20, 20]
    for epoch in (first, second):
        assert torch.equal(torch.cat(epoch).sort().values, torch.arange(103.0))
    assert not torch.equal(torch.cat(first), torch.cat(second))
    again = epochs(Loader(rows(103), Shuffled(), 25, seed=0), 2)
    assert all(map(torch.equal, first + second, again[0] + again[1]))
    assert [len(batch) for batch in epochs(Loader(rows(3), Shuffled(), 25, seed=0))[0]] == [3]


def test_goes_on_from_a_position() -> None:
    whole = epochs(Loader(rows(50), Shuffled(), 8, seed=1), 3)[2]
    loader = Loader(rows(50), Shuffled(), 8, seed=1)
    loader.epoch, loader.position = 2, 4
    assert all(map(torch.equal, whole[4:], epochs(loader)[0]))


@pytest.mark.parametrize("batching", [Shuffled(), Unpaired(), LabelledMix(0.5)])
def test_processes_share_each_batch(batching: Batching) -> None:
    source = rows(48, torch.tensor([0, 1, -1, -1] * 12) if isinstance(batching, LabelledMix) else torch.arange(48) % 2)
    whole = epochs(Loader(source, batching, 8, seed=0))[0]
    shares = [Loader(source, batching, 8, seed=0, rank=rank, world=2) for rank in range(2)]
    for batch, (mine, a), (yours, b) in zip(whole, *shares, strict=True):
        assert torch.equal(batch.sort().values, torch.cat([mine.x[:, 0], yours.x[:, 0]]).sort().values)
        assert a == b == 0.5
        if isinstance(batching, Unpaired):
            assert mine.y is not None
            assert mine.y.tolist() == [0, 0, 1, 1]
    with pytest.raises(InputError, match="cannot be shared by 9"):
        Loader(source, batching, 8, seed=0, world=9)


def test_a_share_of_labelled_rows() -> None:
    labels = torch.full((100,), -1)
    labels[:7] = torch.arange(7)
    loader = Loader(rows(100, labels), LabelledMix(0.3), 20, seed=0)
    batches = [batch for batch, _ in loader]
    assert len(batches) == len(loader) == 7  # 93 rows without a label, 14 at a time
    for batch in batches:
        assert batch.y is not None
        assert (batch.y >= 0).tolist() == [True] * 6 + [False] * 14
    x = torch.cat([batch.x[6:, 0] for batch in batches])
    assert x.unique().tolist() == list(range(7, 100))
    labelled = torch.cat([batch.x[:6, 0] for batch in batches])
    assert torch.bincount(labelled.long()).tolist() == [6] * 7
    all_labelled = Loader(rows(20, torch.zeros(20, dtype=torch.int64)), LabelledMix(0.3), 8, seed=0)
    assert [len(batch) for batch in epochs(all_labelled)[0]] == [8, 8, 8]
    with pytest.raises(InputError, match="no row has a label"):
        Loader(rows(9, torch.full((9,), -1)), LabelledMix(0.3), 8, seed=0)
    with pytest.raises(InputError, match="no labels"):
        Loader(rows(9), LabelledMix(0.3), 8, seed=0)


def test_two_domains_side_by_side() -> None:
    loader = Loader(rows(30, (torch.arange(30) >= 20).long()), Unpaired(), 8, seed=0)
    batches = [batch for batch, _ in loader]
    assert len(batches) == 5
    assert all(batch.y is not None and batch.y.tolist() == [0] * 4 + [1] * 4 for batch in batches)
    assert torch.cat([batch.x[:4, 0] for batch in batches]).sort().values.tolist() == list(range(20))
    for labels in ([0] * 9, [1] * 9, [0, 1, 2] * 3, [0, 1, -1] * 3):
        with pytest.raises(InputError, match="two domains are labelled y = 0 and y = 1, each with rows, found"):
            Loader(rows(9, torch.tensor(labels)), Unpaired(), 8, seed=0)
