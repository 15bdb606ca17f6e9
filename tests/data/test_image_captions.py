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


def test_a_file_is_meant_however_its_path_is_spelled(tmp_path: Path) -> None:
    folder = images(tmp_path / "dots")
    wanted = load_data(folder, captions="captions.csv").test.captions
    for spelled in ("dots/{}", "./{}", ".\\{}", "dots\\{}", str(tmp_path / "dots/{}")):
        frame = pd.DataFrame({"file": [spelled.format(f"{i:02}.png") for i in range(12)], "caption": SAID})
        frame.to_csv(folder / "spelled.csv", index=False)
        said = load_data(folder, captions="spelled.csv").test.captions
        assert said is not None
        assert torch.equal(said, wanted)
    frame["file"] = [str(i) for i in range(12)]
    frame.to_csv(folder / "numbers.csv", index=False)
    with pytest.raises(InputError, match="; it has '0', expected '00.png' or 'dots/00.png'"):
        load_data(folder, captions="numbers.csv")


def test_no_file_has_the_caption_of_another_whose_path_ends_alike(tmp_path: Path) -> None:
    folder = tmp_path / "dots"
    for part in ("a", "dots/a"):
        images(folder / part)
    files = [f"{part}/{i:02}.png" for part in ("dots/a", "a") for i in range(12)]
    table = pd.DataFrame({"file": files, "caption": ["inner"] * 12 + ["outer"] * 12})
    table.to_csv(tmp_path / "all.csv", index=False)
    part = load_data(folder / "dots", captions=str(tmp_path / "all.csv"))
    assert {part.text(tokens) for tokens in part.test.captions} == {"inner"}
    table[:12].to_csv(tmp_path / "inner.csv", index=False)
    with pytest.raises(InputError, match="has no caption for 12 of 24 rows of dots: a/00.png"):
        load_data(folder, captions=str(tmp_path / "inner.csv"))


def test_captions_are_text_as_it_is_written_in_composed_unicode(tmp_path: Path) -> None:
    said = ["NA", "null", "None", "nan", "007", "1,234", "e\u0301clair", "\u00e9clair", "TRUE", "1.50", "a", "b"]
    data = load_data(images(tmp_path / "dots", said=said), captions="captions.csv", context="captions")
    known = {"na", "null", "none", "nan", "007", "1", ",", "234", "\u00e9clair", "true", ".", "50", "a", "b"}
    assert set(data.vocabulary[1:]) == known


def test_rows_that_name_no_file_are_warned_of_but_for_files_that_lie_beside(tmp_path: Path) -> None:
    images(tmp_path / "parts" / "a", said=[*SAID, "a cat", "a dog"])
    with pytest.warns(UserWarning, match="2 of 14 rows of .* name no file of a, such as '12.png'; they are left out"):
        load_data(tmp_path / "parts" / "a", captions="captions.csv")
    images(tmp_path / "parts" / "b")
    files = [f"{part}/{i:02}.png" for part in "ab" for i in range(12)]
    pd.DataFrame({"file": files, "caption": 2 * SAID}).to_csv(tmp_path / "parts" / "all.csv", index=False)
    part = load_data(tmp_path / "parts" / "b", captions=str(tmp_path / "parts" / "all.csv"))
    assert part.test.captions is not None


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
    with pytest.raises(InputError, match="have the words 'a', and those that are known are 'dot', "):
        one.with_words([word for word in one.vocabulary if word != "a"], 5)
    with pytest.raises(InputError, match="have up to 5 words, expected at most 4"):
        one.with_words(one.vocabulary, 4)


def test_what_has_no_caption_is_named(tmp_path: Path) -> None:
    folder = images(tmp_path / "few", said=SAID[:10])
    with pytest.raises(InputError, match=r"has no caption for 2 of 12 rows of few: 10.png, 11.png"):
        load_data(folder, captions="captions.csv")
    with pytest.raises(InputError, match="has empty captions for 1 row of empty: 03.png"):
        load_data(images(tmp_path / "empty", said=[*SAID[:3], " ", *SAID[4:]]), captions="captions.csv")
    twice = pd.DataFrame({"file": ["00.png", "01.png", "00.png"], "caption": ["a", "b", "c"]})
    twice.to_csv(folder / "twice.csv", index=False)
    with pytest.raises(InputError, match=r"has several captions for 00.png; each file has one"):
        load_data(folder, captions="twice.csv")
    for part in ("a", "b"):
        images(tmp_path / "classes" / part)
    with pytest.raises(InputError, match=r"has no caption for 24 of 24 rows of classes: a/00.png"):
        load_data(tmp_path / "classes", captions="a/captions.csv")
    with pytest.raises(InputError, match="no table of captions 'said.csv', neither in"):
        load_data(folder, captions="said.csv")
    with pytest.raises(InputError, match="one column called file or file_name .* found the columns name, caption"):
        load_data(images(tmp_path / "named", column="name"), captions="captions.csv")
