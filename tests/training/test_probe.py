"""`probe`: one protocol for every representation, and clear refusals before any work."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

import ancestral as an
from ancestral.data import Data, Split
from ancestral.evaluation import transfer
from ancestral.evaluation.transfer import COMPONENTS, FRESH, MODEL, RAW, Mode, PrincipalComponents
from ancestral.interface import Batch, Event, Features, Model, Real
from ancestral.registry import build
from ancestral.training import fine_tuning
from ancestral.training.fine_tuning import FineTuned
from ancestral.training.probe import fresh_start


def halves(n: int = 600, *, labelled: bool = True) -> Data:
    """A class in the sign of one coordinate; the other ten are noise on a larger scale. The right is the more frequent
    class of the test rows alone."""
    generator = torch.Generator().manual_seed(11)
    x = torch.randn(n, 12, generator=generator) * torch.tensor([1.0] * 2 + [4.0] * 10) + 5
    y = (x[:, 0] > 5).long() if labelled else None
    event = Event((12,), Real())
    parts = {"train": slice(0, n // 2), "valid": slice(n // 2, n // 2 + 50), "test": slice(n // 2 + 50, n)}
    splits = {name: Split(x[rows], event, None if y is None else y[rows], name=name) for name, rows in parts.items()}
    return Data("halves", event, **splits, classes=("left", "right") if labelled else None)


def vae(data: Data) -> Model:
    torch.manual_seed(0)
    return build("vae", data, latent_dim=3, hidden=[16])


def by_hand(model: Features, data: Data, count: int, draws: int) -> dict[str, list[float]]:
    """The errors of the linear protocol, part by part."""
    assert data.test.y is not None
    components, found = PrincipalComponents(data.train, 3, 0), dict[str, list[float]]()
    for draw in range(draws):
        rows = transfer.labelled_rows(data, count, draw)
        assert rows.y is not None
        fresh = fresh_start(model, draw)
        for name, represent in {
            MODEL: lambda split: transfer.represented(model, split),
            FRESH: lambda split, fresh=fresh: transfer.represented(fresh, split),
            RAW: transfer.raw_values,
            COMPONENTS: components,
        }.items():
            error = transfer.linear_probe_error(represent(rows), rows.y, represent(data.test), data.test.y, seed=draw)
            found.setdefault(name, []).append(error)
    return found


@pytest.mark.parametrize("mode", ["linear", "finetune"])
def test_all_representations_stand_beside_each_other_and_a_seed_decides(mode: Mode) -> None:
    data = halves()
    model = vae(data)
    before = copy.deepcopy(model.state_dict())
    training = {"epochs": 10} if mode == "finetune" else None
    how: dict[str, Any] = {"labels": (20, 40), "mode": mode, "draws": 2, "training": training}
    found = an.probe(model, data, **how)
    if mode == "linear":
        assert {one.representation: list(one.errors) for one in found.results[4:]} == by_hand(model, data, 40, draws=2)
    else:
        again = an.probe(model, data, **{**how, "labels": (20,)})
        assert again.results == found.results[:4]
    assert [(one.representation, one.labels, one.dimensions) for one in found.results] == [
        ("model", 20, 3),
        ("random start", 20, 3),
        ("raw values", 20, 12),
        ("PCA", 20, 3),
        ("model", 40, 3),
        ("random start", 40, 3),
        ("raw values", 40, 12),
        ("PCA", 40, 3),
    ]
    assert all(len(one.errors) == 2 for one in found.results)
    assert found.of(RAW, 40).error < 0.3 < found.guessing
    assert found.guessing == transfer.guessing_error(data.train, data.test)
    assert found.gain(40)[0] == pytest.approx(found.of(FRESH, 40).error - found.of(MODEL, 40).error)
    # What is probed stays as it was, in its mode too.
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model.training


class Coordinate(Features):
    """Features that hold the class: the first two coordinates, turned by weights."""

    def __init__(self, event: Event) -> None:
        super().__init__(event)
        self.linear = torch.nn.Linear(2, 2)
        self.rate = torch.nn.Dropout(0.5)

    def phases(self) -> list[an.Phase]:
        return []

    def _features(self, x: Tensor) -> Tensor:
        return self.rate(self.linear(x[:, :2]))


def test_fine_tuning_moves_the_whole_network_in_training_mode_and_is_judged_in_evaluation_mode() -> None:
    data = halves()
    inner = Coordinate(data.event)
    inner.standardize(torch.full((12,), 5.0), torch.ones(12))
    tuned = FineTuned(inner, 2, 2)
    (phase,) = tuned.phases()
    assert {id(p) for p in phase.parameters} == {id(p) for p in tuned.parameters()} >= {id(inner.linear.weight)}
    tuned.train()
    batch = tuned.prepare(Batch(data.train.x[:64], data.train.y[:64]))  # type: ignore[index]
    losses = {phase.loss(batch).total.item() for _ in range(5)}
    assert len(losses) == 5  # dropout
    log_probs = tuned.class_log_probs(data.test.x)
    assert torch.equal(log_probs, tuned.class_log_probs(data.test.x))
    x = (data.test.x - 5)[:, :2]
    torch.testing.assert_close(log_probs, tuned.head(inner.linear(x)).log_softmax(1))


def test_a_fifth_of_each_class_is_held_back_to_choose_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    data, seen = halves(), list[Data]()
    monkeypatch.setattr(fine_tuning, "fit", lambda _, few, **how: seen.append(few))
    inner = Coordinate(data.event).eval()
    for draw in range(4):
        rows = transfer.labelled_rows(data, 50, draw)
        fine_tuning.fine_tuned_error(inner, data, rows, data.test, draw, {})
        few = seen[-1]
        assert few.train.y is not None
        assert few.valid.y is not None
        assert (few.train.y.bincount().tolist(), few.valid.y.bincount().tolist()) == ([20, 20], [5, 5])
        both = torch.cat([few.train.x, few.valid.x])
        assert torch.equal(both.sort(0).values, rows.x.sort(0).values)


def test_a_random_start_has_the_architecture_and_the_standardisation_and_other_weights() -> None:
    data = halves()
    model = vae(data)
    first, again, other = (fresh_start(model, seed) for seed in (0, 0, 1))
    assert first.settings == model.settings
    assert torch.equal(first.features(data.test.x), again.features(data.test.x))
    assert not torch.equal(first.features(data.test.x), other.features(data.test.x))
    assert first.standardization is not None
    assert model.standardization is not None
    assert torch.equal(first.standardization.shift, model.standardization.shift)
    assert not first.training


def test_a_model_without_contexts_has_a_random_start_too() -> None:
    model = build("relative_patch", Event((1, 14, 14), Real()), channels=2, features=3)
    assert isinstance(model, Features)
    assert fresh_start(model, 0).settings == model.settings


def test_fine_tuning_beats_features_that_do_not_hold_the_class() -> None:
    """An encoder that looks away from the class is turned to it by labels."""
    data = halves(1000)
    modes: tuple[Mode, ...] = ("linear", "finetune")
    linear, tuned = (an.probe(vae(data), data, labels=(300,), mode=mode, draws=1).of(MODEL, 300) for mode in modes)
    assert tuned.error < 0.15 < linear.error


def test_an_unknown_mode_is_refused(untyped: None) -> None:
    with pytest.raises(an.InputError, match="mode must be one of linear, finetune, got 'frozen'"):
        an.probe(vae(halves()), halves(), mode="frozen")  # type: ignore[arg-type]


def test_what_does_not_go_together_is_refused_before_any_work() -> None:
    data = halves()
    model = vae(data)
    realnvp = build("realnvp", data)
    cases: list[tuple[Model, Data, dict[str, Any], str]] = [
        (model, data, {"labels": (1000,)}, "at most the 300 that its training split has, got 1000"),
        (model, data, {"labels": (1,)}, "at least 2 labels, one for each class"),
        (model, data, {"labels": 0}, "labels must be one or more whole numbers"),
        (model, data, {"labels": ()}, "labels must be one or more whole numbers"),
        (model, data, {"labels": (10,), "draws": 0}, "draws must be at least 1"),
        (model, data, {"labels": (10,), "training": {"epochs": 3}}, "mode=finetune"),
        (model, halves(labelled=False), {}, "no labels in its test split"),
        (model, an.load_data("digits"), {}, "take data of the model's own event"),
        (realnvp, data, {"labels": (10,)}, "realnvp has no representation"),
        (Coordinate(data.event), data, {"labels": (10,)}, "made by hand, so it has no random start"),
    ]
    for probed, rows, settings, message in cases:
        with pytest.raises(an.InputError, match=message):
            an.probe(probed, rows, **settings)
