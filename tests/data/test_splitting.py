"""Splits are disjoint, complete, stratified, and made by the seed alone."""

import pytest
import torch

from ancestral.data import load_data
from ancestral.data.assembly import split_indices


@pytest.mark.parametrize("n", [40, 97, 1797])
@pytest.mark.parametrize("labelled", [False, True])
def test_splits_part_the_rows_and_each_class_into_tenths(n: int, labelled: bool) -> None:
    y = torch.arange(n) % 7 if labelled else None
    parts = split_indices(n, seed=3, y=y)
    assert torch.cat(list(parts.values())).sort().values.tolist() == list(range(n))
    for part in ("valid", "test"):
        assert abs(len(parts[part]) - n / 10) < 1
        if y is not None:
            share = y[parts[part]].bincount(minlength=7) - y.bincount() / 10
            assert share.abs().max() <= 1
    again, other = split_indices(n, seed=3, y=y), split_indices(n, seed=4, y=y)
    assert all(torch.equal(parts[part], again[part]) for part in parts)
    assert not all(torch.equal(parts[part], other[part]) for part in parts)


def test_the_digits_are_scikit_learns_each_in_one_split() -> None:
    from sklearn.datasets import load_digits

    data = load_data("digits")
    assert [len(rows) for rows in data.splits.values()] == [1437, 180, 180]
    assert data.train.x.shape[1:] == (1, 8, 8)
    ours = torch.cat([torch.cat([rows.x.flatten(1), rows.y[:, None]], 1) for rows in data.splits.values()])
    table = load_digits()
    theirs = torch.cat([torch.from_numpy(table.data), torch.from_numpy(table.target)[:, None]], 1).long()
    assert sorted(ours.tolist()) == sorted(theirs.tolist())
    for rows in (data.valid, data.test):
        assert rows.y.bincount().sub(18).abs().max() <= 1
    assert torch.equal(load_data("digits", seed=0).test.x, data.test.x)
    assert not torch.equal(load_data("digits", seed=1).test.x, data.test.x)
