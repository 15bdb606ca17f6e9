"""The registry: names, settings, discovery, suggestions, dequantization by build."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from ancestral import registry
from ancestral.dequantization import DequantizedDensity
from ancestral.interface import Binary, Event, ExactDensity, InputError, Levels, Model, Phase, Real, Sampler
from ancestral.registry import build, find_model, list_models, register, supports
from ancestral.suggestions import did_you_mean


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    list_models()  # discovers the library's own first
    monkeypatch.setattr(registry, "_MODELS", {})


def line() -> type[Model]:
    @register("line")
    class Line(Sampler, ExactDensity):
        """A normal density.

        More words.
        """

        wide: ClassVar[float] = 1.0

        def __init__(
            self,
            event: Event,
            *,
            context_event: Event | None = None,
            hidden: tuple[int, ...] = (4,),
            scale: float = 1.0,
        ) -> None:
            super().__init__(event, context_event=context_event)
            self.shift = nn.Parameter(torch.zeros(event.size))
            self.scale = scale

        @classmethod
        def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
            return None if isinstance(event.support, Real) else "it models real numbers"

        @classmethod
        def examples(cls) -> Iterable[Model]:
            return [cls(Event((2,), Real()))]

        def phases(self) -> Sequence[Phase]:
            return []

        def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
            return torch.distributions.Normal(self.shift, self.scale).log_prob(x).sum(1)

        def _sample(self, n: int, context: Tensor | None) -> Tensor:
            return self.shift + self.scale * torch.randn(n, self.event.size)

    return Line


def test_a_registered_model_is_found_built_and_described() -> None:
    cls = line()
    (info,) = list_models()
    assert (info.name, info.family, info.summary, info.cls) == ("line", "user", "A normal density.", cls)
    assert info.abilities == ("Sampler", "ExactDensity")
    assert find_model("line") is cls
    model = build("line", Event((2,), Real()), scale=3.0)
    assert type(model) is cls
    assert not model.training
    assert model.registered_name == "line"


def test_settings_are_recorded_with_their_defaults_and_without_events() -> None:
    cls = line()
    assert cls(Event((2,), Real())).settings == {"hidden": (4,), "scale": 1.0}
    assert cls(Event((2,), Real()), scale=2.0, hidden=(8, 8)).settings == {"hidden": (8, 8), "scale": 2.0}


def test_dashes_count_as_underscores() -> None:
    cls = line()
    registry._MODELS["two_words"] = cls
    assert find_model("two-words") is cls


def test_levels_are_dequantized_by_build() -> None:
    line()
    event = Event((2,), Levels(4))
    model = build("line", event, scale=0.5)
    assert isinstance(model, DequantizedDensity)
    assert model.event == event
    assert not model.training
    assert (model.registered_name, model.settings) == ("line", {"hidden": (4,), "scale": 0.5})
    assert supports("line", event) is None
    assert "real numbers" in (supports("line", Event((2,), Binary())) or "")


def test_unknown_names_and_settings_suggest_the_nearest() -> None:
    line()
    with pytest.raises(InputError, match=r"there is no model 'lime' \(did you mean 'line'\?\)"):
        find_model("lime")
    with pytest.raises(InputError, match=r"no setting 'scales' \(did you mean 'scale'\?\).*hidden"):
        build("line", Event((2,), Real()), scales=1.0)
    with pytest.raises(InputError, match="does not support"):
        build("line", Event((2,), Binary()))
    assert did_you_mean("zzz", ["line"]) == ""


def test_what_cannot_be_registered_is_refused() -> None:
    line()
    with pytest.raises(TypeError, match="abstract"):
        register("base")(Sampler)

    class Bare(Model):
        def phases(self) -> Sequence[Phase]:
            return []

    with pytest.raises(TypeError, match="no examples"):
        register("bare")(Bare)

    class Other(Bare):
        @classmethod
        def examples(cls) -> Iterable[Model]:
            return []

    with pytest.raises(ValueError, match="the name 'line' is taken"):
        register("line")(Other)
