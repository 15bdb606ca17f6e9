"""Text becomes token ids, and token ids text again."""

import gzip
import zipfile
from pathlib import Path
from unicodedata import normalize

import pytest
import torch

from ancestral.data import load_data
from ancestral.interface import Categories, Event, InputError

LINES = [f'{word} "{number} apes" (and bees), isn\'t it?' for number in range(10) for word in ("See", "No", "éa")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "some.txt").write_text("\n".join(LINES) + "\n\n", encoding="utf-8")
    return tmp_path / "some.txt"


def test_lines_of_characters_come_back(path: Path) -> None:
    data = load_data(path)
    longest = max(map(len, LINES))
    assert data.event == Event((longest,), Categories(len(data.vocabulary)))
    assert [len(split) for split in data.splits.values()] == [24, 3, 3]
    assert data.train.x.dtype == torch.uint8
    assert sorted(data.text(x) for split in data.splits.values() for x in split.x) == sorted(LINES)
    assert data.vocabulary[:3] == ("", "<unknown>", " ")  # padding, unknown, and the most frequent first
    packed = path.with_suffix(".txt.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert torch.equal(load_data(packed).train.x, data.train.x)
    assert load_data(path, length=9).event.shape == (9,)


def test_lines_of_words(path: Path) -> None:
    data = load_data(path, tokens="words", lower=True)
    ids = {token: index for index, token in enumerate(data.vocabulary)}
    assert {"apes", "isn't", "(", "éa", "?"} < ids.keys()
    assert "See" not in ids
    path.write_text(normalize("NFD", path.read_text(encoding="utf-8")), encoding="utf-8")
    assert load_data(path, tokens="words", lower=True).vocabulary == data.vocabulary
    assert data.event == Event((13,), Categories(len(ids)))
    (row,) = [x for split in data.splits.values() for x in split.x if ids.get("3") in x and ids["see"] in x]
    assert data.text(row) == 'see " 3 apes " (and bees), isn\'t it?'


def test_a_small_vocabulary_is_of_the_most_frequent_tokens_in_train(path: Path) -> None:
    data = load_data(path, vocabulary=4)
    counts = {}
    for text in [load_data(path).text(x) for x in load_data(path).train.x]:
        for character in text:
            counts[character] = counts.get(character, 0) + 1
    assert sorted((counts[token] for token in data.vocabulary[2:]), reverse=True) == sorted(counts.values())[:-5:-1]
    whole = load_data(path).text(load_data(path).test.x[0])
    kept = "".join(letter if letter in data.vocabulary else "<unknown>" for letter in whole)
    assert data.text(data.test.x[0]) == kept


def test_the_vocabulary_of_other_data_keeps_its_ids(path: Path, tmp_path: Path) -> None:
    data = load_data(path, tokens="words")
    (tmp_path / "other.txt").write_text("bees isn't zebras\n" * 9)
    with pytest.warns(UserWarning, match="other.txt: 9 of 27 tokens are not in the vocabulary .*: 'zebras'"):
        other = load_data(tmp_path / "other.txt", tokens="words", vocabulary=data.vocabulary)
    assert other.vocabulary == data.vocabulary
    assert data.text(other.test.x[0]) == "bees isn't <unknown>"


def test_windows_of_a_text_go_across_its_lines_and_never_across_its_splits(path: Path) -> None:
    text = path.read_text(encoding="utf-8").rstrip("\n") + "\n"
    data = load_data(path, window=20, vocabulary=["", "<unknown>", *sorted(set(text))])
    assert data.event == Event((20,), Categories(len(data.vocabulary)))
    tenth = len(text) // 10
    ends = [0, len(text) - 2 * tenth, len(text) - tenth, len(text)]
    for (name, split), start, stop in zip(data.splits.items(), ends, ends[1:], strict=False):
        own = text[start:stop]
        windows = [data.text(x) for x in split.x]
        assert len(windows) == len(split) == len(own) // 20
        assert all(len(window) == 20 and window in own for window in windows)
        if name != "train":
            assert "".join(windows) == own[: len(windows) * 20]
    assert "\n" in "".join(data.text(x) for x in data.train.x)
    (path.parent / "words.txt").write_text("to be, or not\n" * 60)
    words = load_data(path.parent / "words.txt", tokens="words", window=6)
    assert [words.text(x) for x in words.test.x] == ["to be, or not\n"] * len(words.test)


def test_folders_and_files_named_as_splits(tmp_path: Path) -> None:
    for name, line in (("train", "one two"), ("valid", "three"), ("test", "two one")):
        (tmp_path / f"{name}.txt").write_text(f"{line}\n" * 8)
    data = load_data(tmp_path)
    assert {data.text(x) for x in data.test.x} == {"two one"}
    assert {data.text(x) for x in data.valid.x} == {"t<unknown><unknown>ee"}
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in ("ham", "spam"):
            archive.writestr(f"{name}/a.txt", f"this is {name}\n" * 20)
    data = load_data(tmp_path / "set.zip", tokens="words")
    assert data.classes == ("ham", "spam")
    assert all(data.classes[y] in data.text(x) for split in data.splits.values() for x, y in zip(split.x, split.y))
    with pytest.raises(InputError, match="label its lines, which windows go across"):
        load_data(tmp_path / "set.zip", window=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokens": "syllables"}, "tokens must be characters or words, got 'syllables'"),
        ({"vocabulary": 0}, "vocabulary must be at least 1"),
        ({"vocabulary": ["a", "b"]}, "begins with '' and '<unknown>', got"),
        ({"length": 0}, "length must be at least 1"),
        ({"length": 5, "window": 5}, "leave it out with a window"),
        ({"window": 10**6}, r"no sequence of some.txt \(train\) is as long as a window of 1000000"),
        ({"window": 120}, r"no sequence of some.txt \(test\) is as long as a window of 120"),
        ({"support": "levels:9"}, "leave the support"),
        ({"letters": 3}, "has no option 'letters'.*its options are tokens, vocabulary, min_count, lower, length"),
    ],
)
def test_options_that_do_not_fit(path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_data(path, **options)


def test_a_whole_book(data_root: str) -> None:
    data = load_data("text/kjv.txt.gz", data_root=data_root, window=64)
    assert data.event == Event((64,), Categories(65))
    assert [len(split) for split in data.splits.values()] == [51_723, 6_465, 6_465]
    assert data.text(data.test.x[-1]).count("Jesus") + "".join(data.text(x) for x in data.test.x).count("Jesus") > 100
