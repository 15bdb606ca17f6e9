"""Every registered model keeps the contract: its examples, those on levels by dequantization, and one of standardised
data pass check_model."""

import copy
import functools
import inspect
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch

from ancestral.checks import CheckReport, check_model
from ancestral.interface import (
    Binary,
    ClosedFormFit,
    Columns,
    Event,
    ExactDensity,
    InputError,
    Levels,
    Model,
    Real,
    Support,
)
from ancestral.registry import ModelInfo, build, list_models, supports
from tests.typing import enforcement

MODELS = {info.name: info for info in list_models() if info.family != "user"}
EVENTS = (
    *(Event((4,), support) for support in (Binary(), Levels(5), Real())),
    *(Event((3, 8, 8), support) for support in (Binary(), Levels(256), Real())),
)


def _dequantized(name: str, example: Model, support: Support) -> Model:
    """The same model for levels, or for a table with columns of levels."""
    settings: Mapping[str, Any] = example.settings or {}
    return build(name, Event(example.event.shape, support), context_event=example.context_event, **settings)


def _standardised(example: Model) -> Model:
    """The same model of data in units from thousandths to thousands, far from zero."""
    steps = torch.linspace(-3, 3, example.event.size, dtype=torch.float64).view(example.event.shape)
    model = copy.deepcopy(example)
    model.standardize(2 * 10**steps, 10**steps)
    return model


def _cases() -> dict[str, Callable[[], Model]]:
    found: dict[str, Callable[[], Model]] = {}
    for name, info in MODELS.items():
        torch.manual_seed(0)  # whatever was drawn while other tests were collected
        for index, example in enumerate(info.cls.examples()):
            found[f"{name}-{index}"] = functools.partial(lambda example: example, example)
            real = isinstance(example.event.support, Real)
            if real and not isinstance(example, ClosedFormFit):
                found.setdefault(f"{name}-standardised", functools.partial(_standardised, example))
            real = real and isinstance(example, ExactDensity)
            levels = Event(example.event.shape, Levels(3))
            if real and info.cls.supports(levels) is not None and supports(name, levels) is None:
                # Few enough to be enumerated where the shape is.
                few = Levels(2 if example.event.size > 6 else 3)
                found[f"{name}-{index}-dequantized"] = functools.partial(_dequantized, name, example, few)
                if len(example.event.shape) == 1:
                    kinds = itertools.cycle((Real(), Levels(3), Binary()))
                    table = Columns(tuple(itertools.islice(kinds, example.event.size)))
                    found.setdefault(f"{name}-table", functools.partial(_dequantized, name, example, table))
    return found


CASES = _cases()


#: Every property that an example must have and that cannot be decided for it, with words of the reason. A model's other
#: examples decide it: see `test_examples_are_enough_for_the_mathematics`.
_TOO_LARGE = {"the total probability is 1": "are too many to", "samples follow the density": "are too many to"}
_TOO_LARGE_LATENTS = _TOO_LARGE | {"given its latents an observation has total probability 1": "are too many to"}
#: Where the weights cover a part of p(x), samples are not held against them.
_TOO_LARGE_VIEWED = {name: reason for name, reason in _TOO_LARGE_LATENTS.items() if "samples" not in name}
UNDECIDED: dict[str, dict[str, str]] = {
    "colorizer-1": _TOO_LARGE,
    "diagonal_bilstm-1": _TOO_LARGE,
    "diagonal_bilstm-2": _TOO_LARGE,
    "gated_pixelcnn-1": _TOO_LARGE,
    "gated_pixelcnn-2": _TOO_LARGE,
    "hierarchical_pixelcnn-2": _TOO_LARGE_VIEWED,
    "hierarchical_pixelcnn-3": _TOO_LARGE_VIEWED,
    "multiscale_pixelcnn-1": _TOO_LARGE,
    "multiscale_pixelcnn-2": _TOO_LARGE,
    "pixelcnn-1": _TOO_LARGE,
    "pixelcnn-2": _TOO_LARGE,
    "pixelcnn_pp-1": _TOO_LARGE,
    "pixelvae-3": _TOO_LARGE_LATENTS,
    "realnvp-2": _TOO_LARGE,
    "realnvp-2-dequantized": _TOO_LARGE,
    "realnvp-3": _TOO_LARGE,
    "realnvp-3-dequantized": _TOO_LARGE,
    "row_lstm-1": _TOO_LARGE,
    "row_lstm-2": _TOO_LARGE,
    "text_to_image-1": _TOO_LARGE,
    "m2-3": _TOO_LARGE_LATENTS,
    "vae-7": _TOO_LARGE_LATENTS,
}


@functools.cache
def report(case: str) -> CheckReport:
    # Signatures cost half of the time: those of a model are enforced on its first example.
    with enforcement(case.endswith("-0")):
        return check_model(CASES[case](), verbose=False)


def test_every_exception_is_of_a_case() -> None:
    assert CASES.keys() >= UNDECIDED.keys()


class Contract:
    """What holds of one model: a class for each, so that a process has all of a model's cases."""

    info: ModelInfo
    cases: Sequence[str]

    def test_model_keeps_the_contract(self, case: str) -> None:
        found, allowed = report(case).undecided, UNDECIDED.get(case, {})
        assert found.keys() == allowed.keys()
        for name, words in allowed.items():
            assert words in found[name]

    def test_examples_are_enough_for_the_mathematics(self) -> None:
        """What cannot be decided for one of a model's examples, as for its size, must be decided for another."""
        reports = [report(case) for case in self.cases]
        undecided = {name for found in reports for name in found.undecided}
        passed = {name for found in reports for name in found.passed}
        assert undecided <= passed, f"add a smaller example to {self.info.name}: {undecided - passed} is never checked"

    def test_registration_is_complete(self) -> None:
        examples = list(self.info.cls.examples())
        assert examples, "examples() must yield at least one instance"
        for example in examples:
            assert type(example) is self.info.cls
            json.dumps(example.settings)  # raises for anything that is no JSON value
            assert supports(self.info.name, example.event) is None
        source = inspect.getdoc(inspect.getmodule(self.info.cls)) or ""
        assert any(character.isdigit() for character in source), (
            "the module's docstring must give the source, with its year"
        )
        assert self.info.summary.endswith(".")

    def test_supports_agrees_with_build(self) -> None:
        for event in EVENTS:
            reason = supports(self.info.name, event)
            if reason is None:
                assert build(self.info.name, event).event == event
            else:
                with pytest.raises(InputError, match=f"^{self.info.name} does not support"):
                    build(self.info.name, event)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        assert metafunc.cls is not None
        metafunc.parametrize("case", metafunc.cls.cases)


for _name, _info in MODELS.items():
    _cases_of_it = [case for case in CASES if case.split("-")[0] == _name]
    globals()[f"Test_{_name}"] = type(f"Test_{_name}", (Contract,), {"info": _info, "cases": _cases_of_it})
