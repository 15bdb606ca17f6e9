"""`build(name, data)`: what a model learns of a data set before any training, and the defaults that models state."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ancestral.data import Data, Split
from ancestral.evaluation import evaluate
from ancestral.interface import Binary, Categories, Classifier, Columns, Event, InputError, Levels, Model, Phase, Real
from ancestral.persistence import load, save
from ancestral.registry import _MODELS, build, list_models, quick_settings, register, representatives, supports
from ancestral.training import fit


def table(columns: Tensor, **fields: object) -> Data:
    event = Event((columns.shape[1],), Real())
    parts = [Split(part, event) for part in columns.split([len(columns) - 200, 100, 100])]
    return Data("table", event, *parts, **fields)


def units(n: int = 1200) -> Tensor:
    """Two correlated columns and one on its own, in units from thousandths to hundreds of thousands."""
    z = torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z[:, 1] = 0.6 * z[:, 0] + 0.8 * z[:, 1]
    return torch.tensor([45_000.0, 1e6, 0.02]) + torch.tensor([15_000.0, 1e-3, 0.005]) * z


@pytest.mark.parametrize("name", ["vae", "realnvp"])
def test_data_in_any_unit_are_learnt_and_scored_in_it(name: str, tmp_path: Path) -> None:
    data = table(units())
    torch.manual_seed(0)
    model = build(name, data, **({"latent_dim": 2, "hidden": [32]} if name == "vae" else {"blocks": 4, "hidden": [16]}))
    fit(model, data, epochs=15, batch_size=50, progress=False, lr=3e-3)
    score = evaluate(model, data.test)
    # The entropy of the table: three standard normal columns, their scales, and the correlation of 0.6.
    entropy = 1.5 * math.log(2 * math.pi * math.e) + math.log(15_000.0 * 1e-3 * 0.005) + 0.5 * math.log(0.64)
    assert -score.nats == pytest.approx(entropy, abs=0.35)
    loaded = load(save(model, tmp_path / "run"))
    draws = [m.sample(500, generator=torch.Generator().manual_seed(1)) for m in (model, loaded)]
    assert torch.equal(*draws)
    deviation = (draws[0].double().std(0) / data.train.x.std(0)).tolist()
    assert deviation == pytest.approx([1.0] * 3, rel=0.25)
    assert evaluate(loaded, data.test) == score


def mixed(n: int) -> Tensor:
    """A category, a real number and levels that follow it, in other units: see `MIXED_ENTROPY`."""
    generator = torch.Generator().manual_seed(0)
    kind = torch.multinomial(torch.tensor([0.5, 0.3, 0.2]), n, replacement=True, generator=generator)
    amount = 1000 * (kind + 0.5 * torch.randn(n, generator=generator))
    level = torch.where(torch.rand(n, generator=generator) < 0.8, 2 * kind, 1)
    return torch.stack([amount, kind, level], 1).double()


MIXED_ENTROPY = (
    -sum(share * math.log(share) for share in (0.5, 0.3, 0.2))
    + math.log(500) + 0.5 * math.log(2 * math.pi * math.e)
    - 0.8 * math.log(0.8) - 0.2 * math.log(0.2)
)  # fmt: skip


@pytest.mark.parametrize("name", ["vae", "made"])
def test_the_columns_of_a_table_are_learnt_each_as_what_it_is(name: str, tmp_path: Path) -> None:
    event, x = Event((3,), Columns((Real(), Categories(3), Levels(5)))), mixed(4000)
    data = Data("mixed", event, *(Split(part, event) for part in x.split([3000, 500, 500])))
    torch.manual_seed(0)
    model = build(name, data, hidden=[64], **({"latent_dim": 2} if name == "vae" else {"components": 3}))
    assert model.standardization is not None
    assert model.standardization.scale.tolist()[1:] == [1.0, 1.0]
    fit(model, data, epochs=20, batch_size=100, progress=False, lr=3e-3)
    score = evaluate(model, data.test)
    # A bound of 10 samples lies a little below.
    assert -score.nats == pytest.approx(MIXED_ENTROPY, abs=0.15 if name == "made" else 0.25)
    assert evaluate(load(save(model, tmp_path / "run")), data.test) == score
    draws = model.sample(2000, generator=torch.Generator().manual_seed(1))
    event.check(draws)
    shares = [draws[:, 1].eq(kind).double().mean().item() for kind in range(3)]
    assert shares == pytest.approx([0.5, 0.3, 0.2], abs=0.1)
    centres = [draws[draws[:, 1] == kind, 0].mean().item() for kind in range(3)]
    assert centres == pytest.approx([0, 1000, 2000], abs=150)


def test_densities_dequantize_the_ordered_columns_and_refuse_categories() -> None:
    event, x = Event((2,), Columns((Real(), Levels(5)))), mixed(4000)[:, [0, 2]]
    data = Data("ordered", event, *(Split(part, event) for part in x.split([3000, 500, 500])))
    for name in ("gaussian_mixture", "ppca", "realnvp"):
        settings = {"components": 8} if name == "gaussian_mixture" else {}
        model = build(name, data, **settings)
        fit(model, data, epochs=10, progress=False)
        score = evaluate(model, data.test, importance_samples=20)
        assert score.kind == "lower bound"
        event.check(model.sample(50))
        # Each column on its own has this many nats; what it must not have is the -ln of a spike.
        assert 7 < -score.nats < 11
    with pytest.raises(InputError, match="Gaussian mixture is a density on real numbers"):
        build("gaussian_mixture", Event((2,), Columns((Real(), Categories(3)))))
    reason = supports("realnvp", Event((2,), Columns((Real(), Categories(3)))))
    assert reason is not None
    assert "no order by which to dequantize" in reason


def test_constant_columns_are_centred_alone_and_images_by_channel() -> None:
    x = torch.cat([units(), torch.full((1200, 1), 3.25, dtype=torch.float64)], 1)
    model = build("vae", table(x))
    assert model.standardization is not None
    assert model.standardization.scale[3] == 1
    assert model.standardization.shift[3] == 3.25
    event = Event((2, 4, 4), Real())
    pixels = torch.randn(50, 2, 4, 4, dtype=torch.float64) * torch.arange(1.0, 17).view(4, 4) + 7
    images = Data("images", event, *(Split(pixels, event) for _ in range(3)))
    standard = build("realnvp", images).standardization
    assert standard is not None
    values = standard(pixels).transpose(0, 1).flatten(1)
    torch.testing.assert_close(values.mean(1), torch.zeros(2).double())
    torch.testing.assert_close(values.std(1, correction=0), torch.ones(2).double())
    assert standard.scale.flatten(1).unique(dim=1).shape == (2, 1)


def test_what_is_discrete_is_neither_moved_nor_scaled() -> None:
    model = build("made", Event((3,), Columns((Real(), Categories(3), Levels(5)))))
    model.standardize(torch.tensor([2.0, 0.0, 0.0]), torch.tensor([3.0, 1.0, 1.0]))
    for place in (1, 2):
        one = torch.eye(3)[place]
        for shift, scale in ((one, torch.ones(3)), (torch.zeros(3), 1 + one)):
            with pytest.raises(InputError, match="only Real data are standardised"):
                model.standardize(shift, scale)


def test_models_of_real_data_are_standardised_from_their_data_set_alone() -> None:
    data = table(units())
    for name in ("kmeans", "gaussian_mixture", "ppca", "vae"):
        assert build(name, data).standardization is not None
    assert build("vae", data.event).standardization is None
    event = Event((3,), Binary())
    bits = Data("bits", event, *(Split(torch.randint(2, (30, 3)), event) for _ in range(3)))
    assert build("made", bits).standardization is None


def test_a_data_set_answers_what_the_constructor_asks() -> None:
    @register("asks_for_classes")
    class Asks(Classifier):
        """Knows how many classes there are, and the names of two domains."""

        def __init__(
            self,
            event: Event,
            *,
            context_event: Event | None = None,
            classes: int = 2,
            domains: Sequence[str] = ("a", "b"),
        ) -> None:
            super().__init__(event, context_event=context_event)
            self.scores, self.names, self.labels = nn.Linear(event.size, classes), list(domains), classes

        @property
        def classes(self) -> int:
            return self.labels

        def _class_log_probs(self, x: Tensor) -> Tensor:
            return self.scores(x).log_softmax(1)

        @classmethod
        def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
            return "it takes no labels as context" if context_event is not None else None

        @classmethod
        def examples(cls) -> Iterable[Model]:
            return []

        def phases(self) -> Sequence[Phase]:
            return []

    try:
        data = table(units(), classes=("red", "green", "blue"))
        assert build("asks_for_classes", data).settings == {"classes": 3, "domains": ("a", "b")}
        assert build("asks_for_classes", data, classes=5).settings["classes"] == 5
        seasons = [Split(x, data.event, torch.arange(len(x)) % 2) for x in units().split([1000, 100, 100])]
        unpaired = Data("seasons", data.event, *seasons, domains=("summer", "winter"))
        assert build("asks_for_classes", unpaired).settings == {"classes": 2, "domains": ["summer", "winter"]}
        conditional = dataclasses.replace(data, context_event=Event((), Categories(3)))
        assert build("vae", conditional).context_event == Event((), Categories(3))
        with pytest.raises(InputError, match="given .*Categories.*: it takes no labels as context"):
            build("asks_for_classes", conditional)
        assert supports("asks_for_classes", data.event, Event((), Categories(3))) == "it takes no labels as context"
    finally:
        del _MODELS["asks_for_classes"]


@pytest.mark.parametrize("shape", [(6,), (1, 8, 8), (3, 32, 32)])
@pytest.mark.parametrize("support", [Binary(), Levels(256), Real()])
def test_models_state_defaults_that_build_and_families_state_who_speaks(
    shape: tuple[int, ...], support: Binary | Levels | Real
) -> None:
    event = Event(shape, support)
    for info in list_models():
        if supports(info.name, event) is None:
            quick = quick_settings(info.name, event)
            assert build(info.name, event, **quick.model).event == event
    chosen = representatives(event)
    families = [info.family for name in chosen for info in list_models() if info.name == name]
    assert len(set(families)) == len(chosen) >= 3
    # What is conditioned on labels leaves out who cannot be.
    labelled = representatives(event, Event((), Categories(3)))
    assert "gaussian_mixture" not in labelled
    assert "vae" in labelled
