"""The spoken digits: who is in which split, what is joined, and what is refused."""

import zipfile
from pathlib import Path

import pytest
import torch
from data_files import write_spoken_digits

from ancestral.data import load_data
from ancestral.interface import Event, InputError, Levels


def test_spoken_digits(data_root: str) -> None:
    data = load_data("fsdd", data_root=data_root, window=1024)
    assert (data.event, data.sample_rate) == (Event((1024,), Levels(256)), 8000)
    assert data.factor_names["speaker"] == ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
    # 1,034,030 samples of 300 test recordings, of which 2.8 % are left at the ends of 60 sounds.
    assert [len(rows) for rows in data.splits.values()] == [8185, 1004, 982]
    assert data.train.sequences.shape == (1, 8_407_965)


def test_spoken_digits_are_split_by_their_numbers_and_joined_by_digit_and_speaker(tmp_path: Path) -> None:
    write_spoken_digits(tmp_path / "fsdd.zip", recordings=18)
    data = load_data("fsdd", data_root=tmp_path, mu_law=False, length=100)
    assert [len(rows) for rows in data.splits.values()] == [160, 100, 100]  # 18 recordings of 20
    for part, indices in (("train", set(range(10, 18))), ("valid", set(range(5, 10))), ("test", set(range(5)))):
        rows = data.splits[part]
        digit, speaker, index = (rows.x[:, :3] * torch.tensor([10, 10, 100])).round().long().T
        assert set(index.tolist()) == indices, part
        assert torch.equal(digit, rows.y)
        assert torch.equal(torch.stack([digit, speaker]), torch.stack([rows.factors["digit"], rows.factors["speaker"]]))
    assert data.factor_names == {"digit": tuple("0123456789"), "speaker": ("adam", "bea")}
    joined = load_data("fsdd", data_root=tmp_path, mu_law=False, window=510).test  # 100 + 101 + ... + 104
    assert joined.x.shape == (20, 510)
    starts = torch.tensor([0, 100, 201, 303, 406])
    assert torch.equal((joined.x[:, starts] * 10).round().long(), joined.y[:, None].expand(-1, 5))
    assert torch.equal((joined.x[:, 1 + starts] * 10).round().long(), joined.factors["speaker"][:, None].expand(-1, 5))
    assert torch.equal((joined.x[:, 2 + starts] * 100).round().long(), torch.arange(5).expand(20, -1))
    assert load_data("fsdd", data_root=tmp_path, window=50).event == Event((50,), Levels(256))


def test_what_is_no_spoken_digit_is_refused(tmp_path: Path) -> None:
    write_spoken_digits(tmp_path / "fsdd.zip")
    with pytest.raises(InputError, match="window must be at least 1, got 0"):
        load_data("fsdd", data_root=tmp_path, window=0, length=9)
    write_spoken_digits(tmp_path / "fsdd.zip", recordings=9)
    with pytest.raises(InputError, match="has no recording for train; of each digit and speaker the first 5 are"):
        load_data("fsdd", data_root=tmp_path, window=50)
    with zipfile.ZipFile(tmp_path / "fsdd.zip", "a") as archive:
        archive.writestr("recordings/noise.wav", archive.read("recordings/0_bea_0.wav"))
    with pytest.raises(InputError, match="holds noise.wav; recordings are named DIGIT_SPEAKER_INDEX.wav"):
        load_data("fsdd", data_root=tmp_path, window=50)
