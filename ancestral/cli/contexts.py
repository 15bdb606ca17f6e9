"""At which contexts a run draws: classes, factors and captions by their words, or those of rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ancestral.cli.runs import Run
from ancestral.data import Split
from ancestral.data.captions import caption_words
from ancestral.evaluation import contexts_of, spread_rows, takes_class
from ancestral.interface import Event, InputError
from ancestral.output import describe
from ancestral.suggestions import did_you_mean
from ancestral.views import grey_view

#: Names and words in a message, at most.
_LISTED = 60


def contexts_to_draw_at(
    run: Run, n: int, label: str | None, data_root: str | None = None, *, caption: str | None = None
) -> tuple[Tensor | None, str]:
    """The contexts that `n` draws take in turn, (at most n, *context_event.shape), and what to say of them.

    Of a model of labels the class `label`, by its name or number, or 'all' of them; of factors a value of each, divided
    by commas; of a model of captions the `caption`; of another conditional one, and of factors where none are named,
    the contexts of test rows of its training data; None of an unconditional one.
    """
    event = run.model.context_event
    if event is None:
        if label is not None or caption is not None:
            how = "--context labels" if caption is None else "--context captions"
            raise InputError(f"{run.path} is unconditional; train one with `ancestral fit ... {how}`")
        return None, ""
    if takes_class(event):
        if caption is not None:
            raise InputError(f"{run.path} is conditional on a class, not on captions; leave --caption out")
        assert event.values is not None
        return classes_to_draw(run, event.values, label)
    if label is not None and run.factors:
        return _factors(run, label), f" of {label}"
    if label is not None:
        raise InputError(f"{run.path} is conditional on {describe(event)}, not on a class; leave --class out")
    if caption is not None:
        return _caption(run, event, caption), f" given {caption!r}"
    return contexts_of_rows(run, rows_drawn_at(run, n, data_root))


def contexts_of_rows(run: Run, rows: Split) -> tuple[Tensor, str]:
    """The contexts of rows, (n, *context_event.shape), and what to say of them."""
    context = contexts_of(rows, len(rows))
    assert context is not None
    return context.to(run.model.device), f" given the contexts of rows of {rows.name}"


def rows_drawn_at(
    run: Run,
    n: int,
    data_root: str | None = None,
    *,
    name: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Split:
    """`n` test rows of the training data, or the first ones of the data `name`, or all where these are fewer, at whose
    contexts observations are drawn.

    A model that is given a grey view takes grey images, too: they are their own view, and then the rows are they.
    """
    if name is None:
        test = run.data(data_root=data_root, options=options).test
        return test.take(spread_rows(n, len(test)))
    view, known = run.model.context_event, run.recipe.get("data") or {}
    if view is None or not str(known.get("context")).startswith("grey"):
        rows = run.rows(name, None, data_root, options)
        return rows.take(range(min(n, len(rows))))
    grey = Event(view.shape, run.model.event.support)
    rows = run.rows(name, None, data_root, options, conditioned=False, also=grey)
    rows = rows.take(range(min(n, len(rows))))
    assert view.values is not None
    return rows.with_context(grey_view(rows.x, rows.event, view.values)[0])


def in_turn(contexts: Tensor | None, start: int, stop: int) -> Tensor | None:
    """The contexts of the draws from `start` to `stop`, from the first one on again after the last."""
    return None if contexts is None else contexts[torch.arange(start, stop, device=contexts.device) % len(contexts)]


def names_of_classes(run: Run, count: int) -> list[str]:
    """What the classes of a model are called: as in the training data, or by their numbers."""
    return run.classes or [str(number) for number in range(count)]


def classes_to_draw(run: Run, count: int, label: str | None) -> tuple[Tensor, str]:
    """The numbers of the classes, of so many, that `label` means by name, number or as 'all', and what to say."""
    names = names_of_classes(run, count)
    if label is None:
        known = _listed(names)
        raise InputError(f"{run.path} is conditional on a class, {known}; say which with --class, or --class all")
    if label == "all" and "all" not in names:
        return torch.arange(len(names), device=run.model.device), f" of the classes {', '.join(names)} in turn"
    number = _number(names, label, "--class", "; or all")
    return torch.tensor([number], device=run.model.device), f" of class {names[number]}"


def _factors(run: Run, label: str) -> Tensor:
    """A value of each factor, by names or numbers divided by commas, (1, factors)."""
    words = [word.strip() for word in label.split(",")]
    if len(words) != len(run.factors):
        raise InputError(f"--class must name a value of {' and of '.join(run.factors)}, as A,B; got {label}")
    numbers = [
        _number(names, word, f"the {factor} in --class") for word, (factor, names) in zip(words, run.factors.items())
    ]
    return torch.tensor([numbers], device=run.model.device)


def _number(names: Sequence[str], word: str, what: str, more: str = "") -> int:
    """The number of a value by its name or number."""
    if word not in names and not (word.isdecimal() and int(word) < len(names)):
        hint = "" if _numbered(names) else did_you_mean(word, names)
        raise InputError(f"{what} must be one of {_listed(names)}, got {word}{hint}{more}")
    return names.index(word) if word in names else int(word)


def _numbered(names: Sequence[str]) -> bool:
    return list(names) == [str(number) for number in range(len(names))]


def _listed(names: Sequence[str]) -> str:
    if _numbered(names):
        return f"0 to {len(names) - 1}"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{', '.join(names[:_LISTED])}{more}"


def _caption(run: Run, event: Event, caption: str) -> Tensor:
    """The token ids of a caption, padded to the length of those that the model knows, (1, tokens)."""
    known = list(run.recipe.get("caption_vocabulary") or ())
    words, quoted = caption_words(caption), _listed([repr(word) for word in known[1:]])
    if not known:
        raise InputError(f"{run.path} is conditional on {describe(event)}, not on captions; leave --caption out")
    if not words:
        raise InputError(f"--caption is empty; write one of the words {quoted}")
    if strange := [word for word in words if word not in known[1:]]:
        hint = did_you_mean(strange[0], known[1:])
        raise InputError(f"--caption has {strange[0]!r}{hint}, but the known words are {quoted}")
    if len(words) > event.size:
        raise InputError(f"--caption has {len(words)} words, but captions have at most {event.size}")
    ids = [known.index(word) for word in words] + [0] * (event.size - len(words))
    return torch.tensor([ids], device=run.model.device)
