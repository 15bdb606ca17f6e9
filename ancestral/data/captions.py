"""Captions of images from a table, as token ids; and what a word is, in them and in texts."""

import os
import re
import warnings
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from unicodedata import normalize

import torch
from jaxtyping import Int64
from torch import Tensor

from ancestral.data.cells import listed
from ancestral.data.tables import read_table
from ancestral.interface import InputError
from ancestral.output import counted

PADDING = ""
# A word with what is joined to it inside, a punctuation mark, or the end of a line.
_WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]|\n")
# What the columns of a table of captions may be called.
_FILES, _CAPTIONS = ("file", "file_name", "filename", "image", "path"), ("caption", "text", "description")


def words_of(text: str) -> list[str]:
    """The words of a text, in composed Unicode (NFC), and its punctuation marks and ends of lines."""
    return _WORD.findall(normalize("NFC", text))


def caption_words(caption: str) -> list[str]:
    """The words and marks of a caption, in small letters."""
    return words_of(caption.lower())


@dataclass(frozen=True)
class Captions:
    """What was said of each observation, (n, tokens), padded with 0, and the words by their ids."""

    tokens: Int64[Tensor, "n tokens"]
    vocabulary: tuple[str, ...]


def read_captions(table: str, folder: Path, files: Sequence[PurePosixPath]) -> Captions:
    """The captions of `files` in small letters, by a table in their folder or elsewhere: a column of paths, from the
    folder or from one around it, or of names, and one of captions.

    The vocabulary is padding and all words, the most frequent ones first.
    """
    path = next((path for path in (folder / table, Path(table).expanduser()) if path.is_file()), None)
    if path is None:
        raise InputError(f"there is no table of captions {table!r}, neither in {folder} nor elsewhere")
    said, source = _by_file(path), folder.name
    is_file = [folder.name] == [str(file) for file in files]
    root = Path(os.path.abspath(folder.parent if is_file else folder))
    found = _names_in(said, [_spelled(str(file)) for file in files], root)
    strays = sorted(said.keys() - set(found))
    if without := [str(file) for file, name in zip(files, found) if name is None]:
        beside = f"; it has {strays[0]!r}, expected {without[0]!r} or {f'{root.name}/{without[0]}'!r}" if strays else ""
        raise InputError(
            f"{path} has no caption for {len(without):,} of {len(files):,} rows of {source}: {listed(without)}{beside}"
        )
    words = [caption_words(said[name]) for name in found if name is not None]
    if empty := [str(file) for file, caption in zip(files, words) if not caption]:
        raise InputError(f"{path} has empty captions for {counted(len(empty), 'row')} of {source}: {listed(empty)}")
    # Beside a part of a data set the table of all of it says more, which is no mistake.
    strays = [name for name in strays if not any(os.path.exists(around / name) for around in root.parents)]
    if strays and not is_file:
        warnings.warn(
            f"{len(strays):,} of {len(said):,} rows of {path} name no file of {source}, such as {strays[0]!r}; they are"
            " left out",
            stacklevel=3,
        )
    counts = Counter(word for caption in words for word in caption)
    vocabulary = (PADDING, *sorted(counts, key=lambda word: (-counts[word], word)))
    number = {word: index for index, word in enumerate(vocabulary)}
    tokens = torch.zeros(len(files), max(map(len, words)), dtype=torch.int64)
    for row, caption in enumerate(words):
        tokens[row, : len(caption)] = torch.tensor([number[word] for word in caption])
    return Captions(tokens, vocabulary)


def _names_in(table: Container[str], files: Sequence[str], root: Path) -> list[str | None]:
    """How a table calls each file of the folder `root`: by its path from a folder around it, the longest first, or from
    the folder itself, or by its name; None where it does not."""
    around = [_spelled(str(PurePosixPath(*root.parts[start:]))) for start in range(len(root.parts))]
    own, called = set(files), Counter(PurePosixPath(file).name for file in files)
    found = []
    for file in files:
        names, bare = [f"{folder}/{file}" for folder in around], PurePosixPath(file).name
        names = [*(name for name in names if name not in own), file]
        # A bare name says which image is meant only where no other folder has it.
        names += [bare] if called[bare] == 1 else []
        found.append(next((name for name in names if name in table), None))
    return found


def _spelled(path: str) -> str:
    """A path as all are compared: with slashes, without ./ before it, in composed Unicode."""
    return normalize("NFC", str(PurePosixPath(path.strip().replace("\\", "/"))))


def _by_file(path: Path) -> Mapping[str, str]:
    table = read_table(path, as_text=True)
    columns = []
    for names in (_FILES, _CAPTIONS):
        there = [column for column in table.columns if column.lower() in names]
        if len(there) != 1:
            raise InputError(
                f"{path} must have one column called {' or '.join(names)}, found the columns {listed(table.columns)}"
            )
        columns.append(there[0])
    files, captions = (table[column].fillna("").astype(str) for column in columns)
    files = files.map(_spelled)
    if twice := sorted(set(files[files.duplicated()])):
        raise InputError(f"{path} has several captions for {listed(twice)}; each file has one: keep one row of each")
    return dict(zip(files, captions))
