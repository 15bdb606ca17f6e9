"""Captions of images from a table, as token ids; and what a word is, in them and in texts."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch
from jaxtyping import Int64
from torch import Tensor

from ancestral.data.cells import listed
from ancestral.data.tables import read_table
from ancestral.interface import InputError

PADDING = ""
# A word with what is joined to it inside, a punctuation mark, or the end of a line.
_WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]|\n")
# What the columns of a table of captions may be called.
_FILES, _CAPTIONS = ("file", "file_name", "filename", "image", "path"), ("caption", "text", "description")


def words_of(text: str) -> list[str]:
    """The words of a text, and its punctuation marks and ends of lines."""
    return _WORD.findall(text)


@dataclass(frozen=True)
class Captions:
    """What was said of each observation, (n, tokens), padded with 0, and the words by their ids."""

    tokens: Int64[Tensor, "n tokens"]
    vocabulary: tuple[str, ...]


def read_captions(table: str, folder: Path, files: Sequence[PurePosixPath]) -> Captions:
    """The captions of `files` in small letters, by a table in their folder or elsewhere: a column of paths or names and
    one of captions.

    The vocabulary is padding and all words, the most frequent ones first.
    """
    path = next((path for path in (folder / table, Path(table).expanduser()) if path.is_file()), None)
    if path is None:
        raise InputError(f"there is no table of captions {table!r}, neither in {folder} nor elsewhere")
    said, source = _by_file(path), folder.name
    called = Counter(file.name for file in files)
    # A bare name says which image is meant only where no other folder has it.
    found = [said.get(str(file), said.get(file.name) if called[file.name] == 1 else None) for file in files]
    if without := [str(file) for file, caption in zip(files, found) if caption is None]:
        raise InputError(
            f"{path} has no caption for {len(without):,} of {len(files):,} images of {source}: {listed(without)}"
        )
    words = [words_of((caption or "").lower()) for caption in found]
    if empty := [str(file) for file, caption in zip(files, words) if not caption]:
        raise InputError(f"{path} has empty captions for {len(empty):,} images of {source}: {listed(empty)}")
    counts = Counter(word for caption in words for word in caption)
    vocabulary = (PADDING, *sorted(counts, key=lambda word: (-counts[word], word)))
    number = {word: index for index, word in enumerate(vocabulary)}
    tokens = torch.zeros(len(files), max(map(len, words)), dtype=torch.int64)
    for row, caption in enumerate(words):
        tokens[row, : len(caption)] = torch.tensor([number[word] for word in caption])
    return Captions(tokens, vocabulary)


def _by_file(path: Path) -> Mapping[str, str]:
    table = read_table(path)
    columns = []
    for names in (_FILES, _CAPTIONS):
        there = [column for column in table.columns if column.lower() in names]
        if len(there) != 1:
            raise InputError(
                f"{path} must have one column called {' or '.join(names)}, found the columns {listed(table.columns)}"
            )
        columns.append(there[0])
    files, captions = (table[column].fillna("").astype(str) for column in columns)
    if twice := sorted(set(files[files.duplicated()])):
        raise InputError(f"{path} has several captions for {listed(twice)}; an image has one: keep one row of each")
    return dict(zip(files, captions))
