"""A saved model comes back the same, and a folder that is not one is refused with a reason."""

import json
import math
import resource
from pathlib import Path

import pytest
import torch

from ancestral.interface import Binary, Event, InputError, Levels, Model, Real
from ancestral.persistence import CONFIG, WEIGHTS, event_from_json, event_to_json, load, read_config, save
from ancestral.registry import build, find_model

EVENT = Event((1, 2, 3), Binary())


@pytest.fixture
def model() -> Model:
    return build("vae", EVENT, latent_dim=2, hidden=[5])


def _samples(model: Model) -> torch.Tensor:
    return model.sample(8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "event", "settings"),
    [
        ("vae", EVENT, {"latent_dim": 2, "hidden": [5]}),
        ("vae", EVENT, {"latent_dim": 2, "hidden": [5], "context_event": Event((), Levels(3))}),
        ("realnvp", Event((4,), Levels(5)), {"blocks": 2, "hidden": [6]}),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_loaded_model_gives_the_same_numbers(
    tmp_path: Path, name: str, event: Event, settings: dict, dtype: torch.dtype
) -> None:
    model = build(name, event, **settings).to(dtype)
    save(model, tmp_path / "run", recipe={"epochs": 3}, scores={"test": {"nats": -1.5}}, weights="best")
    loaded = load(tmp_path / "run")
    assert type(loaded) is type(model)
    assert not loaded.training
    assert loaded.event == event
    assert loaded.context_event == model.context_event
    state, expected = loaded.state_dict(), model.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) and state[key].dtype == expected[key].dtype for key in state)
    config = read_config(tmp_path / "run")
    assert (config["recipe"], config["weights"]) == ({"epochs": 3}, "best")
    assert config["scores"] == {"test": {"nats": -1.5}}
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == [CONFIG, WEIGHTS]


def test_saving_again_replaces_the_model(model: Model, tmp_path: Path) -> None:
    save(model, tmp_path)
    other = build("vae", EVENT, latent_dim=3, hidden=[4])
    save(other, tmp_path)
    assert torch.equal(_samples(load(tmp_path)), _samples(other))


def _edit(key: str, value: object) -> object:
    """A change in a configuration of format 1, which has no checksum of its own."""

    def damage(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text())
        config |= {"format": 1, key: value}
        (folder / CONFIG).write_text(json.dumps(config))

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / CONFIG).unlink(), "no saved model"),
        (lambda folder: (folder / WEIGHTS).unlink(), "is missing"),
        (lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-9]), "checksum"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"\x80\x04."), "checksum"),
        (lambda folder: (folder / CONFIG).write_text((folder / CONFIG).read_text()[:40]), "valid JSON"),
        (lambda folder: (folder / CONFIG).write_text('{"model_type": "bert"}'), "not written by ancestral"),
        (_edit("format", 99), "upgrade ancestral"),
        (_edit("name", "veo"), "did you mean 'vae'"),
        (_edit("name", "os.system"), "no model 'os.system'"),
        (_edit("settings", {"latent_dim": 7, "hidden": [5]}), "does not hold the weights"),
        (_edit("settings", {"latent_dims": 7}), "no setting 'latent_dims' .did you mean 'latent_dim'"),
        (_edit("settings", {"latent_dim": "two"}), "does not describe a model"),
        (_edit("event", {"shape": "x"}), "list of integers"),
        (_edit("event", {"shape": [2], "support": "complex"}), "binary, real, levels or categories"),
        (_edit("context_event", 3), "object or null"),
    ],
)
def test_a_damaged_or_foreign_folder_is_refused(model: Model, tmp_path: Path, damage: object, message: str) -> None:
    save(model, tmp_path)
    damage(tmp_path)
    with pytest.raises(InputError, match=message):
        load(tmp_path)


def test_a_changed_configuration_is_refused_whatever_was_changed(model: Model, tmp_path: Path) -> None:
    save(model, tmp_path, recipe={"lr": 1e-3}, scores={"test": {"nats": -1.5}})
    original = (tmp_path / CONFIG).read_text()
    config = json.loads(original)
    (tmp_path / CONFIG).write_text(json.dumps(config, indent=7))  # another layout is the same content
    load(tmp_path)
    changes: list[tuple[str, object]] = [("settings", {**config["settings"], "activation": "relu"}), ("scores", None)]
    changes += [("recipe", {"lr": 2e-3}), ("weights", "ema"), ("version", "9"), ("new", math.nan)]
    for key, value in changes:
        (tmp_path / CONFIG).write_text(json.dumps(config | {key: value}))
        with pytest.raises(InputError, match="was changed since it was written"):
            load(tmp_path)
    (tmp_path / CONFIG).write_text(original)
    load(tmp_path)


def test_sizes_are_compared_before_memory_is_filled(model: Model, tmp_path: Path) -> None:
    save(model, tmp_path)
    _edit("settings", {"latent_dim": 2, "hidden": [60_000, 20_000]})(tmp_path)  # 5 GB of weights
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"of shape \(60000, 6\), but .* holds [0-9,]+ numbers in all"):
        load(tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
    save(build("vae", EVENT, latent_dim=3, hidden=[4]), tmp_path / "next")  # no hook is left behind


def test_a_device_that_is_not_there_is_named(model: Model, tmp_path: Path) -> None:
    save(model, tmp_path)
    for device in ("nowhere", "cuda:99", "meta", ""):
        with pytest.raises(InputError, match=f"the device '{device}' is not there; there is cpu"):
            load(tmp_path, device=device)


def test_a_model_made_by_hand_cannot_be_saved_and_nothing_is_written(tmp_path: Path) -> None:
    class Mine(Model):
        def phases(self) -> list:
            return []

    # Under its parent's name it would be loaded as its parent.
    class MyVAE(find_model("vae")):
        pass

    for model in (Mine(EVENT), MyVAE(EVENT, latent_dim=2, hidden=[5])):
        with pytest.raises(InputError, match=f"{type(model).__name__} is not a registered model"):
            save(model, tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_settings_that_are_not_json_are_refused_before_anything_is_written(model: Model, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not JSON values"):
        save(model, tmp_path / "run", recipe={"start": torch.zeros(1)})
    assert not (tmp_path / "run").exists()


def test_a_failed_save_keeps_the_old_model(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(model, tmp_path)
    before = _samples(load(tmp_path))

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        save(build("vae", EVENT, latent_dim=3, hidden=[4]), tmp_path)
    assert torch.equal(_samples(load(tmp_path)), before)
    assert sorted(file.name for file in tmp_path.iterdir()) == [CONFIG, WEIGHTS]


@pytest.mark.parametrize("event", [EVENT, Event((), Levels(10)), Event((3, 4), Real())])
def test_events_survive_json(event: Event) -> None:
    assert event_from_json(json.loads(json.dumps(event_to_json(event)))) == event


def test_a_file_is_no_folder_to_save_in(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("mine")
    for path in (tmp_path / "model", tmp_path / "model" / "run"):
        with pytest.raises(InputError, match="is a file; name another folder"):
            save(build("kmeans", Event((2,), Real())), path)
    assert (tmp_path / "model").read_text() == "mine"
