"""Captions of one's own images, from a table."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from ancestral.data import load_data
from ancestral.interface import Categories, Event, InputError

SAID = [f"A {('red', 'blue')[i % 2]} dot{', large' if i % 3 == 0 else ''}" for i in range(12)]


def images(folder: Path, table: str = "captions.csv", said: list[str] = SAID, column: str = "file") -> Path:
    """Twelve pictures, the brighter the later, and what is said of them, in another order."""
    folder.mkdir(parents=True)
    for i in range(12):
        Image.fromarray(np.full((4, 5, 3), 20 * i, dtype=np.uint8)).save(folder / f"{i:02}.png")
    frame = pd.DataFrame({column: [f"{i:02}.png" for i in range(len(said))], "caption": said})
    frame.iloc[::-1].to_csv(folder / table, index=False)
    return folder


@pytest.mark.parametrize("column", ["file", "file_name"])
def test_each_image_has_the_caption_of_its_file(tmp_path: Path, column: str) -> None:
    data = load_data(images(tmp_path / "dots", column=column), captions="captions.csv", context="captions")
    assert data.vocabulary[:3] == ("", "a", "dot")
    assert set(data.vocabulary[3:]) == {"red", "blue", ",", "large"}
    assert data.context_event == Event((5,), Categories(7))
    for split in data.splits.values():
        batch = split.__getitems__(list(range(len(split))))
        assert batch.context is not None
        for x, tokens in zip(batch.x, batch.context):
            assert data.text(tokens) == SAID[int(x[0, 0, 0]) // 20].lower()
    elsewhere = load_data(tmp_path / "dots", captions=str(tmp_path / "dots" / "captions.csv"), context="captions")
    assert elsewhere.test.captions is not None
    assert data.test.captions is not None
    assert torch.equal(elsewhere.test.captions, data.test.captions)


def test_captions_of_two_sources_mean_the_same_by_one_vocabulary(tmp_path: Path) -> None:
    one = load_data(images(tmp_path / "one"), captions="captions.csv", context="captions")
    few = ["blue dot, red"] * 6 + ["Large, large, dot"] * 6
    other = load_data(images(tmp_path / "other", said=few), captions="captions.csv", context="captions")
    assert other.vocabulary != one.vocabulary
    assert one.context_event is not None
    assert other.context_event != one.context_event
    same = other.with_words(one.vocabulary, one.context_event.size)
    assert (same.vocabulary, same.context_event, same.event) == (one.vocabulary, one.context_event, one.event)
    for name, split in same.splits.items():
        assert [same.text(tokens) for tokens in split.context] == [
            other.text(tokens) for tokens in other.splits[name].context
        ]
        assert torch.equal(split.context, split.captions)
    with pytest.raises(InputError, match="have the words a, and those that are known are"):
        one.with_words([word for word in one.vocabulary if word != "a"], 5)
    with pytest.raises(InputError, match="have up to 5 words, expected at most 4"):
        one.with_words(one.vocabulary, 4)


def test_what_has_no_caption_is_named(tmp_path: Path) -> None:
    folder = images(tmp_path / "few", said=SAID[:10])
    with pytest.raises(InputError, match=r"has no caption for 2 of 12 images of few: 10.png, 11.png"):
        load_data(folder, captions="captions.csv")
    with pytest.raises(InputError, match="has empty captions for 1 images of empty: 03.png"):
        load_data(images(tmp_path / "empty", said=[*SAID[:3], " ", *SAID[4:]]), captions="captions.csv")
    twice = pd.DataFrame({"file": ["00.png", "01.png", "00.png"], "caption": ["a", "b", "c"]})
    twice.to_csv(folder / "twice.csv", index=False)
    with pytest.raises(InputError, match=r"has several captions for 00.png; an image has one"):
        load_data(folder, captions="twice.csv")
    for part in ("a", "b"):
        images(tmp_path / "classes" / part)
    with pytest.raises(InputError, match=r"has no caption for 24 of 24 images of classes: a/00.png"):
        load_data(tmp_path / "classes", captions="a/captions.csv")
    with pytest.raises(InputError, match="no table of captions 'said.csv', neither in"):
        load_data(folder, captions="said.csv")
    with pytest.raises(InputError, match="one column called file or file_name .* found the columns name, caption"):
        load_data(images(tmp_path / "named", column="name"), captions="captions.csv")
