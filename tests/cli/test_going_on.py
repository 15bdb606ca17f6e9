"""A run that is gone on with, or looked at again, is the same run on the same data, or says what is not."""

import json
from pathlib import Path

import numpy as np
import pytest

from ancestral.persistence import load, read_config

FIT = ("fit", "realnvp", "rows.npy", "--model.blocks", 1, "--model.hidden", "[4]", "--schedule", "constant",
       "--run-dir", "r", "--progress", "false")  # fmt: skip


@pytest.fixture
def rows(tmp_path: Path) -> np.ndarray:
    values = np.random.default_rng(0).normal(size=(700, 2)).astype(np.float32)
    np.save(tmp_path / "rows.npy", values)
    return values


def weights(folder: str) -> list[bytes]:
    return [value.numpy().tobytes() for value in load(folder).state_dict().values()]


def test_a_finished_run_says_so_and_a_larger_budget_goes_on(cli, rows: np.ndarray) -> None:
    assert cli(*FIT, "--steps", 12).code == 0  # 9 steps an epoch
    before, config = weights("r"), read_config("r")
    for again in ((), ("--steps", 12)):
        done = cli(*FIT, *again, "--resume")
        assert done.code == 0, done.err
        assert "the run in r is finished" in done.out
        assert "2 epochs, 12 steps" in done.out
        assert (weights("r"), read_config("r")) == (before, config)
    assert cli(*FIT, "--steps", 24, "--resume").code == 0
    assert cli(*FIT[:-3], "whole", "--progress", "false", "--steps", 24).code == 0
    assert weights("r") == weights("whole")
    assert weights("r") != before


def test_data_of_one_stem_do_not_replace_each_others_runs(cli, rows: np.ndarray, tmp_path: Path) -> None:
    fit = ("fit", "ppca", "--model.latent_dim", 1, "--overwrite", "--progress", "false")
    np.savez(tmp_path / "rows.npz", x=rows[::2])
    for _ in range(2):
        assert cli(*fit, "rows.npy").code == 0
    refused = cli(*fit, "rows.npz")
    assert refused.code == 1
    assert f"runs/rows-ppca holds a run on {tmp_path / 'rows.npy'}, not on {tmp_path / 'rows.npz'}" in refused.err
    assert cli(*fit, "rows.npz", "--run-dir", "other").code == 0
    # A file that was moved is still the run's own.
    (tmp_path / "deep").mkdir()
    (tmp_path / "rows.npy").rename(tmp_path / "deep" / "rows.npy")
    assert cli(*fit, "deep/rows.npy").code == 0


def test_a_kill_between_the_training_and_the_saving_is_made_good(cli, rows: np.ndarray, tmp_path: Path) -> None:
    cli(*FIT, "--steps", 12)
    before = weights("r")
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "r" / name).unlink()
    assert cli(*FIT, "--resume").code == 0
    assert weights("r") == before


@pytest.mark.filterwarnings("default")
def test_data_that_changed_are_noticed(cli, rows: np.ndarray, tmp_path: Path) -> None:
    cli(*FIT, "--epochs", 1)
    assert cli("evaluate", "r").err == ""
    assert set(read_config("r")["recipe"]["data_digest"]) == {"train", "valid", "test"}
    done = cli(*FIT, "--epochs", 2, "--resume", "--data.seed", 1)
    assert done.code == 1
    assert "the training observations and the validation observations are not those that it began with" in done.err
    np.save(tmp_path / "rows.npy", rows[::-1])
    assert "the training observations" in cli(*FIT, "--epochs", 2, "--resume").err
    done = cli("evaluate", "r")
    assert done.code == 0
    assert "warning: rows.npy has changed since r was trained on it, in train, valid, test: " in done.err
    assert "rows that were trained on may now be among those held out" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_score_that_is_not_a_number_is_saved_as_unknown(cli, tmp_path: Path, rows: np.ndarray) -> None:
    np.savez(tmp_path / "one.npz", train=rows[:60], valid=rows[60:80], test=rows[80:81])
    done = cli("fit", "ppca", "one.npz", "--model.latent_dim", 1)
    assert done.code == 0, done.err
    assert "nats, standard error unknown" in done.out
    text = (tmp_path / "runs/one-ppca/config.json").read_text()
    assert "NaN" not in text
    assert json.loads(text)["scores"]["test"]["stderr"] is None
    assert read_config("runs/one-ppca")["scores"]["test"]["n"] == 1
    assert "nats, standard error unknown" in cli("evaluate", "runs/one-ppca").out


@pytest.mark.filterwarnings("default")
def test_an_interrupted_replacement_is_gone_on_with(cli, rows: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    cli(*FIT, "--steps", 2)
    before = weights("r")

    def killed(*arguments: object, **more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ancestral.cli.fit.save", killed)
        assert cli(*FIT, "--steps", 4, "--overwrite").code == 130
    with pytest.warns(UserWarning, match="still the old one"):
        assert weights("r") == before
    assert cli("evaluate", "r").code == 0
    assert cli(*FIT, "--steps", 4, "--resume").code == 0
    assert weights("r") != before
    assert cli("evaluate", "r").err == ""


def test_a_run_that_diverges_is_saved_as_it_was_while_it_was_good(cli, rows: np.ndarray) -> None:
    wild = ("--schedule", "step", "--schedule.every", 2, "--schedule.factor", 1e30)
    done = cli(*FIT, *wild, "--epochs", 5)
    assert done.code == 1
    assert "the model holds the weights after epoch 2" in done.err
    assert "saved in r" in done.err
    assert cli("evaluate", "r").code == 0
    # Before the first epoch there is nothing to keep.
    assert cli(*FIT, "--run-dir", "r2", "--lr", 1e30, "--epochs", 5).code == 1
    assert "holds no saved model" in cli("evaluate", "r2").err
