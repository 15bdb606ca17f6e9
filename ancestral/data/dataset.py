"""A data set: three splits of one event, and what it is conditioned on."""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float, Int64, Num, UInt8
from torch import Tensor

from ancestral.data.cells import listed
from ancestral.data.moments import moments_of, rows_at_once
from ancestral.data.schema import Schema
from ancestral.data.split import Split
from ancestral.data.support import check_values
from ancestral.interface import Categories, Columns, Described, Event, InputError, Levels, seeded
from ancestral.views import grey_view


@dataclass(frozen=True)
class Data(Described):
    """A training, a validation and a test split of the same event."""

    name: str
    event: Event
    train: Split
    valid: Split
    test: Split
    #: The names of the labels 0, 1, ..., or None where there are no labels.
    classes: tuple[str, ...] | None = None
    #: The exact log-density in nats, (n, *event.shape) -> (n,), where the source of the data is known.
    density: Callable[[Num[Tensor, "n *event"]], Float[Tensor, " n"]] | None = None
    context_event: Event | None = None
    #: What `conditioned_on` was told, such as 'labels' or 'grey:16'; None for unconditional data.
    context: str | None = None
    #: The names of the domains y = 0 and y = 1, where the rows come from two without correspondence.
    domains: tuple[str, str] | None = None
    #: The tokens of a text, or of captions, by their ids; 0 pads.
    vocabulary: tuple[str, ...] = ()
    #: What stands between two tokens: a blank between words, nothing between characters.
    separator: str = " "
    #: Of sound, in Hz.
    sample_rate: int | None = None
    #: What the values 0, 1, ... of the factors are called that are categories, beyond the labels: speakers, colours.
    factor_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    #: Of a table, what its columns mean; None for all else.
    schema: Schema | None = None
    #: How the axes of images were stored, where not as (n, channels, height, width): 'NHWC' or 'NHW'.
    layout: str | None = None
    #: What must be said beside a number measured on this data: its split, its seed.
    note: str = ""
    splits: Mapping[str, Split] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "splits", {"train": self.train, "valid": self.valid, "test": self.test})
        for name, split in self.splits.items():
            if split.event != self.event:
                raise InputError(f"the {name} split of {self.name} is of {split.event}, the data set of {self.event}")
            if self.classes is not None and split.y is not None and int(split.y.max()) >= len(self.classes):
                row = int(split.y.argmax())
                raise InputError(
                    f"the {name} split of {self.name} has the label {int(split.y[row])} at row {row},"
                    f" but there are {len(self.classes)} classes: labels are 0 to {len(self.classes) - 1}"
                )
        if self.domains is not None:
            self._check_domains()

    @property
    def labelled_share(self) -> float:
        """The share of the training rows that have a label, in [0, 1]."""
        return 0.0 if self.train.y is None else float((self.train.y >= 0).double().mean())

    @property
    def frequencies(self) -> list[int] | None:
        """How often each value of `Categories` occurs in the training split, in all that windows are drawn from."""
        if not isinstance(self.event.support, Categories):
            return None
        return self.train.sequences.flatten().long().bincount(minlength=self.event.support.categories).tolist()

    def moments(self) -> tuple[Float[Tensor, "*event"], Float[Tensor, "*event"]]:
        """The mean and the standard deviation of each dimension over the training split, float64; NaN is left out.

        What a split draws anew is drawn once for this, always alike.
        """
        rows = torch.arange(len(self.train)).split(rows_at_once(self.event.size))
        with seeded(torch.Generator().manual_seed(0)):
            return moments_of(self.train.__getitems__(some).x for some in rows)

    @property
    def digests(self) -> dict[str, str]:
        """The `Split.digest` of each split by its name: by them a run knows the data that it was trained on."""
        return {name: split.digest for name, split in self.splits.items()}

    @property
    def meaning(self) -> dict[str, Any]:
        """What the numbers of observations, labels and contexts stand for, as JSON: what a run remembers of it."""
        meaning: dict[str, Any] = {}
        if self.schema is not None:
            meaning["schema"] = self.schema.to_json()
        if self.sample_rate is not None:
            meaning["sample_rate"] = self.sample_rate
        if self.layout is not None:
            meaning["layout"] = self.layout
        if self.classes is not None:
            meaning["classes"] = list(self.classes)
        if self.context == "factors":
            meaning["factors"] = {name: list(values) for name, values in self.factor_names.items()}
        if self.vocabulary and isinstance(self.event.support, Categories):
            meaning |= {"vocabulary": list(self.vocabulary), "separator": self.separator}
        elif self.vocabulary and self.context == "captions":
            meaning["caption_vocabulary"] = list(self.vocabulary)
        return meaning

    def text(self, tokens: Int64[Tensor, " tokens"] | UInt8[Tensor, " tokens"]) -> str:
        """The text of token ids: of a caption, or of an observation of a text."""
        if not self.vocabulary:
            raise InputError(f"{self.name} has no vocabulary, so its values are no text")
        if tokens.dim() != 1:
            raise InputError(
                f"text takes the token ids of one row, (tokens,), got {tuple(tokens.shape)}; ask row by row"
            )
        return text_of(tokens, self.vocabulary, self.separator)

    def with_splits(self, splits: Mapping[str, Split]) -> "Data":
        """The same data set with other 'train', 'valid' and 'test'."""
        train, valid, test = (splits[name] for name in self.splits)
        return replace(self, event=train.event, train=train, valid=valid, test=test)

    def with_words(self, vocabulary: Sequence[str], length: int) -> "Data":
        """The same data with its captions in the ids of `vocabulary`, padded to `length` tokens: captions of two
        sources then mean the same. A word that is not among them is an `InputError`, and so is a longer caption."""
        splits = {}
        for name, split in self.splits.items():
            splits[name] = split.with_captions(self._renumbered(split, vocabulary, length))
        data = replace(self.with_splits(splits), vocabulary=tuple(vocabulary))
        return data.conditioned_on("captions") if self.context == "captions" else data

    def _renumbered(self, split: Split, vocabulary: Sequence[str], length: int) -> Int64[Tensor, "n length"]:
        assert split.captions is not None
        tokens, number = split.captions, {word: index for index, word in enumerate(vocabulary)}
        used = [self.vocabulary[token] for token in tokens.unique().tolist()]
        if strange := [word for word in used if word not in number]:
            raise InputError(
                f"the captions of {split.name} have the words {listed(map(repr, strange))}, and those that are known"
                f" are {listed(map(repr, vocabulary[1:]))}"
            )
        if bool(tokens[:, length:].any()):
            longest = int(tokens.ne(0).sum(1).max())
            raise InputError(f"the captions of {split.name} have up to {longest} words, expected at most {length}")
        ids = torch.tensor([number.get(word, 0) for word in self.vocabulary])
        padded = torch.zeros(len(tokens), length, dtype=torch.int64)
        padded[:, : tokens.shape[1]] = ids[tokens[:, :length].long()]
        return padded

    def with_classes(self, names: Sequence[str]) -> "Data":
        """The same data with its labels numbered as in `names`, by name: labels of two sources then mean the same.

        Rows of a class that is not among them have no label, -1, with a warning.
        """
        if self.classes is None:
            return self
        known = {name: number for number, name in enumerate(names)}
        numbers = torch.tensor([known.get(name, -1) for name in self.classes] + [-1])  # the last one: of the label -1
        labelled = {name: split for name, split in self.splits.items() if split.y is not None}
        occur = {number for split in labelled.values() if split.y is not None for number in split.y.unique().tolist()}
        if strange := [name for i, name in enumerate(self.classes) if i in occur and name not in known]:
            warnings.warn(
                f"{self.name} has rows of {listed(strange)}, but the known classes are {listed(names)}: these rows are"
                " taken as without a label",
                stacklevel=2,
            )
        renumbered = {
            name: split if split.y is None else split.with_labels(numbers[split.y])
            for name, split in self.splits.items()
        }
        train, valid, test = (renumbered[name] for name in self.splits)
        return replace(self, train=train, valid=valid, test=test, classes=tuple(names))

    def with_domains(self, names: Sequence[str]) -> "Data":
        """The rows of two classes, by their names, as two domains without correspondence; other rows are left out."""
        known = {name: number for number, name in enumerate(self.classes or ())}
        if len(names) != 2 or names[0] == names[1] or any(name not in known for name in names):
            there = f"its classes are {listed(list(known))}" if known else "it has no classes"
            raise InputError(
                f"domains must be two of the classes of {self.name}, got {listed(list(names)) or 'none'}; {there}"
            )
        first, second = (known[name] for name in names)
        splits = {}
        for name, split in self.splits.items():
            assert split.y is not None
            rows = ((split.y == first) | (split.y == second)).nonzero()[:, 0]
            if not len(rows):
                raise InputError(f"the {name} split of {self.name} has no row of {' or '.join(names)}")
            kept = split.take(rows)
            splits[name] = kept.with_labels((split.y[rows] == second).long())
        train, valid, test = (splits[name] for name in self.splits)
        return replace(self, train=train, valid=valid, test=test, classes=None, domains=(names[0], names[1]))

    def with_labels(self, count: int, *, seed: int = 0) -> "Data":
        """The same data with `count` labels in the training split, as many of each class, and all others -1.

        Which rows keep theirs is drawn by `seed`; so is which classes have one more where the shares are not whole.
        Validation and test keep all their labels.
        """
        y = self.train.y
        if y is None or self.classes is None:
            raise InputError(f"{self.name} has no labels, of which {count} could be kept")
        n, found = len(self.classes), y[y >= 0].bincount(minlength=len(self.classes))
        if not n <= count <= int(found.sum()):
            raise InputError(
                f"{self.name} can keep at least {n} labels, one for each class, and at most the {int(found.sum())} that"
                f" its training split has, got {count}"
            )
        generator = torch.Generator().manual_seed(seed)
        share = torch.full((n,), count // n)
        share[torch.randperm(n, generator=generator)[: count % n]] += 1
        if (short := (found < share).nonzero()[:, 0]).numel():
            label = int(short[0])
            raise InputError(
                f"labels={count} is {int(share[label])} of each class, but the training split of {self.name} has only"
                f" {int(found[label])} of {self.classes[label]}"
            )
        kept = torch.full_like(y, -1)
        order = torch.randperm(len(y), generator=generator)
        for label in range(n):
            rows = order[y[order] == label][: int(share[label])]
            kept[rows] = label
        note = "; ".join(filter(None, [self.note, f"{count} labels, drawn by seed {seed}"]))
        return replace(self, train=self.train.with_labels(kept), note=note)

    def windowed(self, window: int) -> "Data":
        """The same data in windows of the last axis of each observation, with its label and context.

        Training windows are drawn anew whenever they are asked for, as many in an epoch as fit side by side; in
        validation and test they lie side by side, and what is left at the end of a row is left out.
        """
        splits = {name: split.windowed(window, drawn=name == "train") for name, split in self.splits.items()}
        return replace(self.with_splits(splits), density=None)

    @property
    def contexts(self) -> tuple[str, ...]:
        """What observations can be conditioned on: 'labels', 'captions', 'factors', 'grey'."""
        splits, event = self.splits.values(), self.event
        have = {
            "labels": self.classes is not None,
            "captions": all(split.captions is not None for split in splits),
            "factors": bool(self.factor_names),
            "grey": isinstance(event.support, Levels) and len(event.shape) == 3 and event.shape[0] == 3,
        }
        return tuple(name for name, there in have.items() if there)

    def conditioned_on(self, context: str) -> "Data":
        """The same data, each observation with what it is conditioned on.

        Args:
            context: 'labels' (a category), 'captions' (token ids), 'factors' (a category of each of `factor_names`),
                'grey' or 'grey:L' (the grey view of a colour image, by the luma of ITU-R BT.601, in L levels, by
                default as many as the image has).
        """
        kind, _, levels = context.partition(":")
        known = self.contexts
        if kind not in known or (levels and (kind != "grey" or not levels.isdecimal())):
            there = f"{', '.join(known).replace('grey', 'grey:L')}" if known else "nothing"
            hint = ""
            if kind == "captions" and kind not in known:
                hint = "; it has no captions: captions= names a table of them, for images"
            if kind == "labels":
                elsewhere = "images and sounds have the labels of their folders, arrays those of y beside x"
                hint = f"; {'label= names the column of a table that holds them' if self.schema else elsewhere}"
            raise InputError(f"{self.name} cannot be conditioned on {context!r}; it can be on {there}{hint}")
        return replace(self._given(kind, levels), context=context)

    def _given(self, kind: str, levels: str) -> "Data":
        if kind == "labels":
            return self._on_labels()
        if kind == "captions":
            captions = {name: split.captions for name, split in self.splits.items() if split.captions is not None}
            event = Event(tuple(captions["train"].shape[1:]), Categories(len(self.vocabulary)))
            return self._conditioned(captions, event)
        if kind == "factors":
            columns = Columns(tuple(Categories(len(values)) for values in self.factor_names.values()))
            factors = {
                name: torch.stack([split.factors[factor] for factor in self.factor_names], dim=1)
                for name, split in self.splits.items()
            }
            return self._conditioned(factors, Event((len(self.factor_names),), columns))
        if any(split.drawn for split in self.splits.values()):
            raise InputError(f"{self.name} is drawn anew each time, so it has no grey view to condition on")
        assert isinstance(self.event.support, Levels)
        count = int(levels) if levels else self.event.support.levels
        views = {name: grey_view(split.x, self.event, count) for name, split in self.splits.items()}
        return self._conditioned({name: view for name, (view, _) in views.items()}, views["train"][1])

    def _on_labels(self) -> "Data":
        labels = {}
        for name, split in self.splits.items():
            missing = len(split) if split.y is None else int((split.y < 0).sum())
            if split.y is None or missing:
                raise InputError(f"{split.name} has {missing:,} rows without a label to condition on; leave them out")
            labels[name] = split.y
        assert self.classes is not None
        if len(self.classes) == 1:
            warnings.warn(f"all rows of {self.name} are of the one class {self.classes[0]}", stacklevel=3)
        return self._conditioned(labels, Event((), Categories(max(2, len(self.classes)))))

    def _conditioned(self, contexts: Mapping[str, Tensor], context_event: Event) -> "Data":
        for name, context in contexts.items():
            check_values(context_event, context, f"the context of the {name} split of {self.name}")
        splits = {name: self.splits[name].with_context(context) for name, context in contexts.items()}
        return replace(self.with_splits(splits), context_event=context_event)

    def _check_domains(self) -> None:
        for name, split in self.splits.items():
            found = [] if split.y is None else split.y.unique().tolist()
            if found != [0, 1]:
                raise InputError(
                    f"{self.name} has the two domains {' and '.join(self.domains or ())}, so its labels must be 0 and"
                    f" 1, with some of each in the {name} split; found {found or 'none'}"
                )


def text_of(
    tokens: Int64[Tensor, " tokens"] | UInt8[Tensor, " tokens"], vocabulary: Sequence[str], separator: str
) -> str:
    """The text of token ids: their words, or characters, without padding."""
    text = separator.join(vocabulary[token] for token in tokens.tolist() if token > 0)
    return _spaced(text) if separator else text


def _spaced(text: str) -> str:
    """Words between blanks as they are printed: no blank before or after what belongs to its neighbour."""
    text = re.sub(r" ?\n ?", "\n", text)
    text = re.sub(r" ([,.;:!?)\]}’'])", r"\1", text)
    return re.sub(r"([(\[{]) ", r"\1", text)
