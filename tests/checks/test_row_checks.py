"""Rows on their own, whole contexts, independent draws: each fault is caught by the property that names it."""

from collections.abc import Callable

import pytest
import torch
from gallery_rows import ConditionalVAE, Filler, Labelled, OwnBackward, Penalised
from torch import Tensor

from ancestral.checks import CheckFailure, check_model
from ancestral.interface import BoundedDensity, Event, Model, Real

NUMBERS = Event((2,), Real())
ALONE, CONTEXT, DRAWS = "a row's results depend on that row alone", "the context is used", "draws are independent"

RIGHT: dict[str, Callable[[], Model]] = {
    "a label as context": ConditionalVAE,
    "numbers as context": lambda: ConditionalVAE(NUMBERS),
    "a gradient penalty": Penalised,
    "a classifier": Labelled,
    "a completer": Filler,
}

# The fault, a model that has it, the property that it breaks, and words of the message that names it.
WRONG: list[tuple[str, Callable[[], Model], str, str]] = [
    *(
        (
            f"row 0's context in the {where}",
            lambda where=where: ConditionalVAE(of_row_0=where),
            ALONE,
            f"{method} of a row",
        )
        for where, method in (
            ("bound", "elbo"),
            ("encoder", "elbo"),
            ("decoder", "decode"),
            ("sampler", "sample"),
            ("prior", "sample"),
        )
    ),
    ("the first part's contexts in later ones", lambda: ConditionalVAE(parts=3), ALONE, "another row's context leaks"),
    ("row 0's mask", lambda: Filler(mask_of_row_0=True), ALONE, "complete of a row"),
    ("a critic of the whole batch", lambda: Penalised(compares_with_the_batch=True), ALONE, "criticise of a row"),
    ("features by place", lambda: Labelled(by_place=True), ALONE, "features of a row depends on its place"),
    ("two labels that are one", lambda: ConditionalVAE(merged=1), CONTEXT, "the same for label 1 and label 2"),
    (
        "a number not seen",
        lambda: ConditionalVAE(NUMBERS, merged=1),
        CONTEXT,
        "every value of the context's dimension 1",
    ),
    ("two halves of one noise", lambda: ConditionalVAE(noise="halves"), DRAWS, "those 512 apart"),
    ("antithetic uniforms", lambda: ConditionalVAE(noise="antithetic"), DRAWS, "those 512 apart"),
    ("mirrored noise", lambda: ConditionalVAE(noise="mirrored"), DRAWS, "whose numbers sum to 1023"),
    ("repeated uniforms", lambda: ConditionalVAE(noise="repeated"), DRAWS, "those 1 apart"),
    ("a generator of its own", lambda: ConditionalVAE(noise="own"), DRAWS, "two calls with different seeds, 0 apart"),
    ("one noise for all rows", lambda: ConditionalVAE(noise="rows"), DRAWS, "the rows share one noise"),
    ("noise from a pool", lambda: OwnBackward(pool=4000), DRAWS, "noise is repeated"),
    (
        "one noise for all weights",
        lambda: ConditionalVAE(noise="weights"),
        "importance weights are independent",
        "the samples of a row share noise",
    ),
    (
        "noise in float32",
        lambda: Penalised(single=True),
        "outputs have their shapes, dtypes and supports",
        "mixes dtypes",
    ),
]


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_model_passes(name: str) -> None:
    passed = check_model(RIGHT[name](), verbose=False).passed
    assert {ALONE, DRAWS} <= set(passed)


@pytest.mark.parametrize(("build", "property", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_wrong_model_is_caught(build: Callable[[], Model], property: str, words: str) -> None:
    with pytest.raises(CheckFailure) as caught:
        check_model(build(), verbose=False)
    assert caught.value.property == property, str(caught.value)
    assert words in caught.value.message


def test_a_bound_whose_later_parts_see_the_first_contexts_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def bound(
        self: BoundedDensity,
        x: Tensor,
        *,
        importance_samples: int,
        context: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        x, context = self._checked(x), self._checked_context(context, len(x))
        assert context is not None
        with self._public(generator):
            parts = x.split(self.rows_at_once)
            return torch.cat([self._mean_weight(part, context[: len(part)], importance_samples) for part in parts])

    monkeypatch.setattr(BoundedDensity, "log_prob_lower_bound", bound)
    with pytest.raises(CheckFailure, match="log_prob_lower_bound of a row depends on the other rows"):
        check_model(ConditionalVAE(), verbose=False)
