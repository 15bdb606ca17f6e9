"""Data in any unit: what float32 cannot tell apart stays apart, and moments are right to the last digits."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ancestral.data import Data, Split, load_data
from ancestral.data.moments import moments_of
from ancestral.interface import Event, Real


def normal(mean: float, deviation: float, n: int = 200) -> np.ndarray:
    return mean + deviation * np.random.default_rng(0).standard_normal((n, 2))


@pytest.mark.filterwarnings("ignore:.* never vary")
@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (normal(1e6, 1e-3), torch.float64),
        (np.hstack([normal(0, 1), normal(1e6, 1e-3)]), torch.float64),
        (normal(0, 1e-60), torch.float64),
        (normal(1e6, 1e3), torch.float32),
        (normal(1e-20, 1e-22), torch.float32),
        (normal(0.1, 0.0), torch.float32),  # 0.1 is no float32, but nothing is told apart by it
        (np.hstack([normal(0, 1), np.full((200, 1), 0.1) + np.arange(200)[:, None] * 1e-17]), torch.float32),
        (normal(1e6, 1e-3).astype(np.float32), torch.float32),
    ],
)
def test_float64_is_kept_where_float32_would_lose_the_rows(
    tmp_path: Path, array: np.ndarray, dtype: torch.dtype
) -> None:
    np.save(tmp_path / "rows.npy", array)
    data = load_data(tmp_path / "rows.npy")
    assert {split.x.dtype for split in data.splits.values()} == {dtype}
    if dtype == torch.float64:
        found = torch.cat([split.x for split in data.splits.values()])
        assert sorted(found.tolist()) == sorted(array.tolist())
        rows = load_data(tmp_path / "rows.npy", support="real", whole=True).test
        assert torch.equal(rows.x, torch.from_numpy(array))


def test_large_integers_as_real_numbers_and_tables_with_holes(tmp_path: Path) -> None:
    seconds = 1_700_000_000 + np.arange(60).reshape(20, 3)
    np.save(tmp_path / "rows.npy", seconds)
    data = load_data(tmp_path / "rows.npy", support="real")
    assert sorted(torch.cat([split.x for split in data.splits.values()]).tolist()) == seconds.tolist()
    (tmp_path / "a.csv").write_text(
        "a,b\n" + "".join(f"{1e6 + row * 1e-3:.4f},{row if row % 2 else ''}\n" for row in range(30))
    )
    table = load_data(tmp_path / "a.csv", missing=True)
    assert len(torch.cat([split.x for split in table.splits.values()])[:, 0].unique()) == 30


def test_moments_are_those_of_the_training_split() -> None:
    x = torch.from_numpy(normal(1e6, 1e-3, n=20_000))
    x[::3, 1] = torch.nan
    event = Event((2,), Real())
    split = Split(x, event, missing=True)
    mean, deviation = Data("d", event, split, split.take([0]), split.take([1]), None).moments()
    assert mean.dtype == deviation.dtype == torch.float64
    kept = [column[np.isfinite(column)] for column in x.numpy().T]
    np.testing.assert_allclose(mean, [column.mean() for column in kept], rtol=1e-15)
    np.testing.assert_allclose(deviation, [(column - column.mean()).std() for column in kept], rtol=1e-7)


def test_moments_do_not_depend_on_the_parts() -> None:
    x = torch.randn(1000, 3, 2) * 1e-3 + 1e4
    whole = moments_of([x])
    parts = moments_of(iter(x.split([1, 499, 7, 493])))
    torch.testing.assert_close(parts, whole, rtol=1e-9, atol=0)
    torch.testing.assert_close(whole[1], x.double().std(0, correction=0), rtol=1e-9, atol=0)
    assert [moment.tolist() for moment in moments_of([torch.full((3, 1), torch.nan)])] == [[0.0], [0.0]]


def test_moments_of_digits() -> None:
    data = load_data("digits", support="real")
    mean, deviation = data.moments()
    assert mean.shape == deviation.shape == (1, 8, 8)
    torch.testing.assert_close(mean, data.train.x.double().mean(0))
    torch.testing.assert_close(deviation, data.train.x.double().std(0, correction=0))
