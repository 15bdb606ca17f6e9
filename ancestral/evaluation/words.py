"""Vectors of words: the nearest by the cosine, and analogies by addition (Mikolov et al. 2013, arXiv:1301.3781)."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from ancestral.data import decoded_text
from ancestral.interface import Categories, Features, InputError, Model
from ancestral.suggestions import did_you_mean

#: a is to b as c is to d.
Question: TypeAlias = tuple[str, str, str, str]

#: Padding and unknown words, the tokens 0 and 1 of a text's vocabulary.
_SPECIAL = 2
# The end of a line, which is near to no word.
_END = "\n"
_AT_ONCE = 1024


@dataclass(frozen=True)
class AnalogyError:
    """The share of analogies that are completed by another word than the right one (smaller is better), in [0, 1].

    `n` questions were asked, of which `sections` gives how many were right, and how many there were; `skipped` have
    words that are not in the vocabulary.
    """

    error: float
    n: int
    skipped: int
    sections: Mapping[str, tuple[int, int]]

    def __str__(self) -> str:
        parts = [f"{name}: {right:,} of {asked:,} right" for name, (right, asked) in self.sections.items()]
        whole = f"{100 * self.error:.2f} % error on {self.n:,} analogies ({self.skipped:,} have unknown words)"
        return "\n".join([*parts, whole])


@dataclass(frozen=True)
class WordVectors:
    """Words, the most frequent first, with their vectors."""

    words: Sequence[str]
    vectors: Float[Tensor, "words n"]

    def nearest(self, word: str, n: int = 10) -> list[tuple[str, float]]:
        """The `n` words whose vectors make the smallest angle with that of `word`, each with its cosine."""
        place = self._place(word)
        return self._best(self._unit[place], [place], n)

    def analogy(self, a: str, b: str, c: str, n: int = 5) -> list[tuple[str, float]]:
        """What is to `c` as `b` is to `a`: the words nearest to b - a + c, vectors of length 1, but for the three."""
        places = [self._place(word) for word in (a, b, c)]
        return self._best(self._sums(torch.tensor([places]))[0], places, n)

    def error(self, questions: Mapping[str, Sequence[Question]]) -> AnalogyError:
        """How often the first word of `analogy` is not the one asked for, in each section of `questions`.

        Words that differ in case alone count as one, the most frequent of them. Questions with an unknown word are
        skipped, and a word of a question is no answer to it.
        """
        known = {word.casefold(): place for place, word in reversed(list(enumerate(self.words)))}
        known.pop(_END, None)
        candidates = torch.tensor(sorted(known.values()))
        rank = torch.full((len(self.words),), -1)
        rank[candidates] = torch.arange(len(candidates))
        sections, skipped = {}, 0
        for name, asked in questions.items():
            folded = [[word.casefold() for word in question] for question in asked]
            places = torch.tensor([[known[w] for w in words] for words in folded if all(w in known for w in words)])
            skipped += len(asked) - len(places)
            if len(places):
                sections[name] = (self._right(rank[places], self._unit[candidates]), len(places))
        n = sum(asked for _, asked in sections.values())
        if n == 0:
            raise InputError(f"of {skipped:,} questions none has words that are all in the vocabulary")
        return AnalogyError(1 - sum(right for right, _ in sections.values()) / n, n, skipped, sections)

    @cached_property
    def _unit(self) -> Tensor:
        return normalize(self.vectors, dim=1)

    def _sums(self, places: Tensor) -> Tensor:
        a, b, c = self._unit[places.T[:3]]
        return normalize(b - a + c, dim=1)

    def _right(self, places: Tensor, unit: Tensor) -> int:
        """How many of the questions (n, 4), by places among the candidates, are answered rightly."""
        right = 0
        for some in places.split(_AT_ONCE):
            a, b, c = unit[some.T[:3]]
            cosines = normalize(b - a + c, dim=1) @ unit.T
            cosines.scatter_(1, some[:, :3], -torch.inf)
            right += int((cosines.argmax(1) == some[:, 3]).sum())
        return right

    def _best(self, vector: Tensor, without: Sequence[int], n: int) -> list[tuple[str, float]]:
        cosines = self._unit @ vector
        out = list({*without, *(place for place, word in enumerate(self.words) if word == _END)})
        cosines[out] = -torch.inf
        best = cosines.topk(min(n, len(cosines) - len(out)))
        return [(self.words[place], cosine) for cosine, place in zip(best.values.tolist(), best.indices.tolist())]

    def _place(self, word: str) -> int:
        if not word.strip():
            raise InputError("a word is empty; name one of the vocabulary")
        if word not in self._places:
            near = did_you_mean(word, self.words)
            raise InputError(f"there is no word {word!r} among the {len(self.words):,} of the vocabulary{near}")
        return self._places[word]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words)}


@torch.no_grad()
def word_vectors(model: Model, vocabulary: Sequence[str]) -> WordVectors:
    """The features of each word of the vocabulary of a text, alone in an observation that is else padding."""
    name, event = model.display_name, model.event
    if not isinstance(model, Features) or not isinstance(event.support, Categories) or len(event.shape) != 1:
        raise InputError(f"{name} has no vectors of words: it is no model of text with Features, as skip_gram is")
    if len(vocabulary) != event.support.categories:
        raise InputError(f"{name} has {event.support.categories} tokens, but the vocabulary has {len(vocabulary)}")
    parts = []
    for tokens in torch.arange(_SPECIAL, len(vocabulary), device=model.device).split(_AT_ONCE):
        x = torch.zeros(len(tokens), *event.shape, dtype=torch.int64, device=model.device)
        x[:, 0] = tokens
        parts.append(model.features(x).float().cpu())
    return WordVectors(vocabulary[_SPECIAL:], torch.cat(parts))


def read_questions(path: str | Path) -> dict[str, list[Question]]:
    """Analogies by section: lines of four words, a b c d, below lines of `: section`, as Google's questions-words."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file of questions {str(path)!r}")
    found: dict[str, list[Question]] = {}
    section = path.stem
    for number, line in enumerate(decoded_text(path.read_bytes(), str(path)).splitlines(), 1):
        match unicodedata.normalize("NFC", line).split():
            case [":", *words] if words:
                section = " ".join(words)
            case [a, b, c, d]:
                found.setdefault(section, []).append((a, b, c, d))
            case []:
                pass
            case words:
                raise InputError(f"line {number} of {path} must be four words, or a colon and a section, got {words}")
    if not found:
        raise InputError(f"{path} holds no questions")
    return found
