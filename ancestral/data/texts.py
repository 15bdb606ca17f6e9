"""Text, as token ids: a .txt or .txt.gz file, or a folder or zip of .txt files."""

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

import torch
from jaxtyping import Int64
from torch import Tensor

from ancestral.data.assembly import SPLITS, Rows, Sequences, assemble, assemble_windows, complete
from ancestral.data.captions import PADDING, words_of
from ancestral.data.cells import how_to_convert, listed
from ancestral.data.dataset import Data
from ancestral.data.entries import SPLIT_FOLDERS, Entry, open_tree
from ancestral.data.idx import read_bytes
from ancestral.data.images import group
from ancestral.interface import Categories, InputError, Support

TEXTS = frozenset({".txt"})
# The token 1 of every vocabulary, after padding.
_UNKNOWN = "<unknown>"


def load_text(
    path: Path,
    seed: int | None,
    support: Support | None,
    *,
    tokens: str = "characters",
    vocabulary: int | Sequence[str] | None = None,
    min_count: int = 1,
    lower: bool = False,
    length: int | None = None,
    window: int | None = None,
    classes: Sequence[str] = (),
) -> Data:
    """A text as token ids of `Categories`, with its vocabulary; the token 0 is padding, 1 is unknown.

    A line is an observation, padded to the longest; with a `window` the whole text of each split is one sequence. In a
    folder, top folders or files named train, valid and test are splits, class folders label lines.

    Args:
        path: The file, folder or archive, in UTF-8.
        seed: Draws the lines of the splits that the source does not have. With a `window` they are the last tenths of
            the training text, so that no window reaches from one split into another.
        support: Must be left out: it is `Categories` of the size of the vocabulary.
        tokens: 'characters', or 'words': runs of letters and digits, and punctuation marks.
        vocabulary: How many tokens are known, the most frequent of the training text (by default all of them); or the
            vocabulary of other data, so that ids mean the same.
        min_count: How often a token must occur in the training text to be known; a vocabulary of other data says so
            itself.
        lower: Take all letters as small.
        length: The tokens of each line: longer ones are cut at the end, shorter ones padded.
        window: The tokens of each observation, see `load_data`.
        classes: The names of known classes, whose folders label files even where there is one alone.
    """
    _check(support, tokens, vocabulary, min_count, length, window)
    known = _Known(vocabulary, min_count)
    lines = [
        _Line(text.lower() if lower else text, entry)
        for entry, content in _read(path, classes)
        for text in content.splitlines()
    ]
    if window is None:
        return _by_lines(path.name, lines, tokens, known, length, seed)
    return _in_windows(path.name, lines, tokens, known, window, whole=seed is None)


@dataclass(frozen=True)
class _Line:
    text: str
    entry: Entry


def _by_lines(
    name: str,
    lines: list[_Line],
    tokens: str,
    wanted: "_Known",
    length: int | None,
    seed: int | None,
) -> Data:
    lines = [line for line in lines if line.text.strip()]
    if not lines:
        raise InputError(f"{name} holds no text")
    parts, names = group([line.entry for line in lines], torch.arange(len(lines)))
    full = complete(parts, seed=seed, name=name)
    found = [_tokens(line.text, tokens) for line in lines]
    known = _vocabulary((token for row in full["train"].x.tolist() for token in found[row]), wanted, name)
    ids = _ids(known)
    _warn_of_unknown(chain.from_iterable(found), ids, name, wanted)
    longest = length or max(map(len, found))
    x = torch.zeros(len(lines), longest, dtype=torch.int64)
    for row, line in enumerate(found):
        x[row, : len(line)] = _encoded(line[:longest], ids)
    is_file = len({line.entry.path for line in lines}) == 1
    rows = {part: Rows(x[at.x], at.y, {} if is_file else at.origin) for part, at in full.items()}
    support, separator = Categories(len(known)), _separator(tokens)
    note = "" if len(parts) == len(SPLITS) else f"lines split by seed {seed}"
    return assemble(name, rows, seed=seed, support=support, vocabulary=known, separator=separator, note=note, **names)


def _in_windows(name: str, lines: list[_Line], tokens: str, wanted: "_Known", window: int, *, whole: bool) -> Data:
    if any(line.entry.label is not None for line in lines):
        raise InputError(f"the folders of {name} label its lines, which windows go across; leave one of the two out")
    texts = {part: "\n".join(line.text for line in lines if line.entry.split == part) for part in SPLITS}
    there = {part: _tokens(text, tokens) for part, text in texts.items() if text}
    undivided = whole and list(there) == ["train"]
    found = dict.fromkeys(SPLITS, there["train"]) if undivided else _contiguous(there, name)
    known = _vocabulary(found["train"], wanted, name)
    ids = _ids(known)
    _warn_of_unknown(chain.from_iterable(found[part] for part in there), ids, name, wanted)
    support = Categories(len(known))
    parts = {part: Sequences([_encoded(text, ids)]) for part, text in found.items()}
    note = "" if undivided or all(texts.values()) else "split in the order of the text"
    separator = _separator(tokens)
    return assemble_windows(
        name, parts, window=window, support=support, vocabulary=known, separator=separator, note=note
    )


def _contiguous(parts: Mapping[str, Sequence[str]], name: str) -> dict[str, Sequence[str]]:
    """The tokens of every split: of those that are not there, a tenth each from the end of the training text."""
    if "train" not in parts:
        raise InputError(f"{name} holds no text for training, only for {', '.join(parts) or 'nothing'}")
    train, tenth = parts["train"], len(parts["train"]) // 10
    found = dict(parts)
    for part in [part for part in reversed(SPLITS) if part not in parts]:
        train, found[part] = train[: len(train) - tenth], train[len(train) - tenth :]
    return {**found, "train": train}


def _read(path: Path, classes: Sequence[str]) -> list[tuple[Entry, str]]:
    """Each file's place and its text."""
    if path.is_file() and path.suffix.lower() != ".zip":
        return [(Entry(PurePosixPath(path.name), "train", None), decoded_text(read_bytes(path), str(path)))]
    with open_tree(path) as tree:
        entries = [_named_split(entry) for entry in tree.entries(TEXTS, classes)]
        return [(entry, decoded_text(tree.read(entry), f"{entry.path} in {path}")) for entry in entries]


def _named_split(entry: Entry) -> Entry:
    """train.txt, valid.txt and test.txt are splits as folders of these names are."""
    split = SPLIT_FOLDERS.get(entry.path.stem.lower())
    return entry if split is None else Entry(entry.path, split, entry.label)


def decoded_text(content: bytes, source: str) -> str:
    """The text in UTF-8, with or without its mark; `source` names it in errors."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{source} is no text in UTF-8 ({error}); {how_to_convert(content)}") from error
    if "\0" in text:  # UTF-16 of English without its mark is UTF-8, too
        raise InputError(f"{source} is no text: it has bytes of 0; {how_to_convert(content)}")
    return text


def _tokens(text: str, kind: str) -> Sequence[str]:
    return text if kind == "characters" else words_of(text)


@dataclass(frozen=True)
class _Known:
    """Which tokens are to be known: the `vocabulary` of other data, or so many, that occur `min_count` times."""

    vocabulary: int | Sequence[str] | None
    min_count: int

    @property
    def of_other_data(self) -> Sequence[str] | None:
        return None if isinstance(self.vocabulary, int) else self.vocabulary


def _vocabulary(tokens: Iterable[str], wanted: _Known, name: str) -> tuple[str, ...]:
    """Padding, unknown, and the most frequent tokens, in the order of their counts and then of the alphabet."""
    if (given := wanted.of_other_data) is not None:
        return tuple(given)
    assert wanted.vocabulary is None or isinstance(wanted.vocabulary, int)
    counts = Counter(tokens)
    often = [token for token in counts if counts[token] >= wanted.min_count]
    if not often:
        most, count = max(counts.items(), key=lambda item: item[1])
        raise InputError(
            f"no token of {name} occurs {wanted.min_count} times, as min_count asks: {most!r}, the most frequent,"
            f" occurs {count} times"
        )
    return (PADDING, _UNKNOWN, *sorted(often, key=lambda token: (-counts[token], token))[: wanted.vocabulary])


def _ids(vocabulary: Sequence[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(vocabulary)}


def _encoded(tokens: Sequence[str], ids: Mapping[str, int]) -> Int64[Tensor, " tokens"]:
    unknown = ids[_UNKNOWN]
    return torch.tensor([ids.get(token, unknown) for token in tokens], dtype=torch.int64)


def _warn_of_unknown(tokens: Iterable[str], ids: Mapping[str, int], name: str, wanted: _Known) -> None:
    """Say how many tokens of a text are not in a vocabulary that is another text's."""
    if wanted.of_other_data is None:
        return
    counts = Counter(tokens)
    if unknown := {token: count for token, count in counts.items() if token not in ids}:
        often = sorted(unknown, key=lambda token: -unknown[token])
        warnings.warn(
            f"{name}: {sum(unknown.values()):,} of {counts.total():,} tokens are not in the vocabulary and are taken as"
            f" {_UNKNOWN}: {listed(map(repr, often))}",
            stacklevel=2,
        )


def _separator(tokens: str) -> str:
    return "" if tokens == "characters" else " "


def _check(
    support: Support | None,
    tokens: str,
    vocabulary: int | Sequence[str] | None,
    min_count: int,
    length: int | None,
    window: int | None,
) -> None:
    if support is not None:
        raise InputError(f"a text is of categories, as many as its vocabulary has tokens; leave the support {support}")
    if tokens not in ("characters", "words"):
        raise InputError(f"tokens must be characters or words, got {tokens!r}")
    if isinstance(vocabulary, int) and vocabulary < 1:
        raise InputError(f"vocabulary must be at least 1, got {vocabulary}")
    if min_count < 1:
        raise InputError(f"min_count must be at least 1, got {min_count}")
    if (isinstance(vocabulary, str)) or (
        not isinstance(vocabulary, int | None) and tuple(vocabulary[:2]) != (PADDING, _UNKNOWN)
    ):
        raise InputError(
            f"vocabulary must be a number of tokens or the vocabulary of a text, which begins with {PADDING!r} and"
            f" {_UNKNOWN!r}, got {vocabulary!r}"
        )
    if length is not None and (length < 1 or window is not None):
        raise InputError(f"length must be at least 1, and is of lines: leave it out with a window; got {length}")
