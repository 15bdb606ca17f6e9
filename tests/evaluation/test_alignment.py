"""Alignment: perfect, absent and constant translators; ties; groups; what is not known."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from ancestral.data import Data, Split, load_data
from ancestral.evaluation import evaluate_alignment, identity_alignment, measures, translated, true_pairs
from ancestral.evaluation.alignment import misses
from ancestral.interface import Event, InputError, Levels, Phase, Translator

EVENT = Event((1, 4, 4), Levels(256))


class Given(Translator):
    """Translates by two given functions."""

    monitor = None

    def __init__(
        self, event: Event, there: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor], names: tuple[str, str]
    ) -> None:
        super().__init__(event)
        self.ways, self.names = (back, there), names

    @property
    def domains(self) -> tuple[str, str]:
        return self.names

    def _translate(self, x: Tensor, to: str) -> Tensor:
        return self.ways[self.names.index(to)](x)

    def phases(self) -> Sequence[Phase]:
        return ()


def inverted_digits() -> Data:
    return load_data("digits", twin="inverted")


def of_digits(there: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor]) -> tuple[Given, Split]:
    data = inverted_digits()
    assert data.domains is not None
    return Given(data.event, there, back, data.domains), data.test


def test_the_true_map_misses_nothing_and_a_constant_one_nearly_all() -> None:
    model, test = of_digits(lambda x: 16 - x, lambda x: 16 - x)
    perfect = evaluate_alignment(model, test, candidates=90)
    assert (perfect.error, perfect.cycle_error, perfect.n) == (0.0, 0.0, 2 * 180)
    assert perfect.error_to == {"inverted": 0.0, "original": 0.0}
    constant, _ = of_digits(lambda x: x * 0 + 8, lambda x: x * 0 + 8)
    found = evaluate_alignment(constant, test, candidates=90)
    # Of each group of 90 the one image nearest to the constant is right.
    assert found.error == pytest.approx(1 - 1 / 90)
    assert found.chance == pytest.approx(1 - 1 / 90)


def test_no_translation_is_the_baseline() -> None:
    model, test = of_digits(lambda x: x, lambda x: x)
    found, baseline = (
        evaluate_alignment(model, test, candidates=60),
        identity_alignment(test, candidates=60),
    )
    assert found.error == baseline.error > 0.9
    assert found.cycle_error == 0


def test_each_way_is_judged_by_its_own_and_the_cycle_by_both() -> None:
    """To 'inverted' right, back wrong: half is missed, and there and back is off by what the way back is."""
    model, test = of_digits(lambda x: 16 - x, lambda x: x)
    found = evaluate_alignment(model, test, candidates=90)
    assert found.error_to["inverted"] == 0
    assert found.error_to["original"] > 0.9
    assert found.error == pytest.approx(found.error_to["original"] / 2)
    first, second = (test.x[rows].double() for rows in true_pairs(test) or ())
    expected = 0.5 * ((16 - 2 * first).abs().mean() + (16 - 2 * second).abs().mean()) / 16
    assert found.cycle_error == pytest.approx(float(expected))


def test_a_cycle_that_closes_around_wrong_pairs() -> None:
    """Digits mirrored as well as inverted: the way back is the inverse of the way there, and most pairs are wrong."""
    mirrored: Callable[[Tensor], Tensor] = lambda x: 16 - x.flip(3)  # noqa: E731
    model, test = of_digits(mirrored, mirrored)
    found = evaluate_alignment(model, test, candidates=180)
    assert found.cycle_error == 0
    assert found.error > 0.8


def test_the_nearest_of_a_group_alone_is_right() -> None:
    """On a line: partners at 0, 10, 20, 30; the second is nearer to another, the third as near to another."""
    partners = torch.tensor([0.0, 10.0, 20.0, 30.0]).view(4, 1)
    translations = torch.tensor([4.0, 16.0, 25.0, 29.0]).view(4, 1)
    assert misses(translations, partners, 4).tolist() == [False, True, True, False]
    # In groups of two 16 has 10 and 0 to choose from, and 25 has 20 and 30.
    assert misses(translations, partners, 2).tolist() == [False, False, True, False]


def test_pairs_are_found_whatever_the_order_of_the_rows() -> None:
    order = torch.randperm(40)
    pair = torch.arange(20).repeat(2)[order]
    split = Split(
        (pair * 10).view(40, 1, 1, 1).expand(-1, 1, 4, 4), EVENT, (order >= 20).long(), factors={"pair": pair}
    )
    first, second = true_pairs(split) or (None, None)
    assert first is not None
    assert second is not None
    assert torch.equal(split.x[first], split.x[second])
    assert sorted([*first.tolist(), *second.tolist()]) == list(range(40))


def test_translated_goes_there_and_back() -> None:
    model, test = of_digits(lambda x: x * 0.5, lambda x: x + 1)
    found = translated(model, test.x[:300].float(), "inverted")
    assert (found.source, found.target) == ("original", "inverted")
    assert torch.equal(found.there, (test.x[:300] * 0.5).round())
    assert torch.equal(found.back, (found.there + 1).clamp(max=16))


def test_a_command_measures_it_where_pairs_are_known() -> None:
    model, _ = of_digits(lambda x: 16 - x, lambda x: 16 - x)
    data = inverted_digits()
    ((where, found),) = measures(model, data)
    assert (where, found.n) == ("test", 360)
    assert "0.0 ± 0.0 % of the translations miss their partners among 180" in str(found)
    assert measures(model, data, "train") == []


def test_what_is_not_known_is_refused() -> None:
    model, test = of_digits(lambda x: x, lambda x: x)
    train = inverted_digits().train
    with pytest.raises(InputError, match="does not know which rows are pairs"):
        evaluate_alignment(model, train)
    with pytest.raises(InputError, match="has 180 pairs, fewer than candidates=1000"):
        evaluate_alignment(model, test)
    with pytest.raises(InputError, match="candidates must be at least 2"):
        evaluate_alignment(model, test, candidates=1)
    broken = Split(test.x[:9], test.event, torch.arange(9) % 2, factors={"pair": torch.arange(9)})
    with pytest.raises(InputError, match="do not match"):
        evaluate_alignment(model, broken, candidates=2)
    with pytest.raises(InputError, match="to must be one of original, inverted"):
        translated(model, test.x, "upright")
