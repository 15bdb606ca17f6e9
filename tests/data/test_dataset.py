"""Splits serve whole batches; data sets hold together."""

import re

import pytest
import torch

from ancestral.data import Data, Split, load_data
from ancestral.data.catalogue import check_types
from ancestral.interface import Binary, Categories, Event, InputError, Levels, Real

GREY = Event((2, 2), Levels(256))


def split(n: int = 6, y: torch.Tensor | None = None, **more: object) -> Split:
    return Split(torch.arange(4 * n, dtype=torch.uint8).view(n, 2, 2), GREY, y, **more)


@pytest.mark.parametrize("indices", [[4, 0, 4], torch.tensor([4, 0, 4])])
def test_a_batch_holds_the_rows_asked_for_in_order(indices: list[int] | torch.Tensor) -> None:
    data = split(y=torch.arange(6), context=torch.arange(6.0))
    batch = data.__getitems__(indices)
    assert batch.x[:, 0, 0].tolist() == [16, 0, 16]
    assert batch.y is not None
    assert batch.y.tolist() == [4, 0, 4]
    assert batch.context is not None
    assert batch.context.tolist() == [4, 0, 4]
    assert batch.x.dtype == torch.uint8


def test_single_items_are_batches_of_one_and_end_with_an_index_error() -> None:
    data = split()
    assert data[-1].x.tolist() == data[5].x.tolist() == [[[20, 21], [22, 23]]]
    assert sum(len(batch.x) for batch in data) == len(data) == 6
    with pytest.raises(IndexError, match="6 observations"):
        data[6]


def test_a_drawn_split_is_new_at_each_look_and_obeys_the_global_seed() -> None:
    drawn = Split(torch.full((500, 4), 128, dtype=torch.uint8), Event((4,), Binary()), draw=lambda x: x.bernoulli(0.5))
    assert not torch.equal(drawn.x, drawn.x)
    torch.manual_seed(3)
    first = drawn.__getitems__([0, 1, 2]).x
    torch.manual_seed(3)
    assert torch.equal(first, drawn.__getitems__([0, 1, 2]).x)


def test_taking_rows_keeps_all_that_is_known_of_them() -> None:
    whole = load_data("shapes", n=50).train
    part = whole.take([3, 1])
    assert torch.equal(part.x, whole.x[[3, 1]])
    assert torch.equal(part.factors["size"], whole.factors["size"][[3, 1]])
    assert torch.equal(part.captions, whole.captions[[3, 1]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Split(torch.zeros(0, 2, 2), GREY, name="frogs (test)"), r"frogs \(test\) has no observations"),
        (lambda: split(y=torch.tensor([0, 1, -1, -2, 0, 0])), "label -2 at row 3"),
        (lambda: Split(torch.tensor([[0.0, 2.5]]), Event((2,), Binary())), "found 2.5 at index"),
        (lambda: Split(torch.tensor([[0, 17]]), Event((2,), Levels(17))), "found 17 at index"),
        (lambda: Split(torch.tensor([[0.0, torch.nan]]), Event((2,), Real())), "found nan"),
        (lambda: Data("d", GREY, *[split(y=torch.arange(6))] * 3, ("a", "b")), "label 5 at row 5, but"),
        (lambda: Data("d", Event((4,), Real()), *[split()] * 3), "the train split of d is of"),
        (lambda: load_data("dna-like-nothing"), "there is no data set"),
        (lambda: Data("d", GREY, *[split()] * 3).text(torch.arange(3)), "no vocabulary"),
        (lambda: Split(torch.tensor([[0, 4]]), Event((2,), Categories(4))), "found 4 at index"),
    ],
)  # fmt: skip
def test_what_does_not_hold_together_is_refused(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_missing_values_are_kept_where_they_are_allowed() -> None:
    x = torch.tensor([[0.0, torch.nan]])
    assert Split(x, Event((2,), Real()), missing=True).x.isnan().sum() == 1


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("labels", "abc", "labels must be a whole number, got 'abc'"),
        ("labels", 100.5, "labels must be a whole number, got 100.5"),
        ("seed", True, "seed must be a whole number, got True"),
        ("context", 5, "context must be text, got 5"),
    ],
)
def test_values_of_a_wrong_type_are_refused_by_name(name: str, value: object, words: str) -> None:
    check_types(load_data, "digits", {"seed": 0, "labels": None, "context": "labels"})
    with pytest.raises(InputError, match=re.escape(f"digits: {words}")):
        check_types(load_data, "digits", {name: value})


def test_a_text_is_of_one_row(untyped: None) -> None:
    data = Data("d", GREY, *[split()] * 3, vocabulary=("", "a"))
    with pytest.raises(InputError, match=r"token ids of one row, .tokens,., got .2, 3.; ask row by row"):
        data.text(torch.ones(2, 3).long())


def test_a_digest_is_of_all_that_is_learned_from_and_of_its_order() -> None:
    y, context = torch.arange(6), torch.arange(6.0)
    whole = split(y=y, context=context)
    assert split(y=y.clone(), context=context.clone(), name="another").digests == whole.digests
    assert whole.take([*range(6)]).digest == whole.digest
    back = torch.arange(5, -1, -1)
    changed = {
        "observations": [whole.take(back), whole.with_event(Event((2, 2), Real())), whole.reshaped((4,))],
        "labels": [whole.with_labels(back)],
        "contexts": [whole.with_context(context + 1)],
    }
    for part, others in changed.items():
        for other in others:
            assert other.digests.keys() == whole.digests.keys()
            assert other.digests[part] != whole.digests[part], other
            assert other.digest != whole.digest
    for part in ("labels", "contexts"):
        (other,) = changed[part]
        assert {name for name in whole.digests if other.digests[name] != whole.digests[name]} == {part}
    # To the last value of many.
    values = torch.zeros(10_000, 1)
    last = values.clone()
    last[-1] = 1
    assert Split(values, Event((1,), Real())).digest != Split(last, Event((1,), Real())).digest


def test_a_digest_of_windows_is_of_their_places_too() -> None:
    event = Event((8,), Levels(256))
    long = Split(torch.arange(40, dtype=torch.uint8).view(5, 8), event).windowed(4, drawn=True)
    assert long.take([0, 1]).digest != long.take([0, 2]).digest
    assert long.take([0, 1]).digest == long.take([0, 1]).digest
