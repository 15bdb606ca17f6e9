"""The user sees our warnings, each in a line, and none of the libraries'."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import ancestral
from ancestral.cli import models


@pytest.mark.filterwarnings("default")
def test_only_our_warnings_are_shown(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def warn() -> dict[str, object]:
        warnings.warn("the data\n are few", stacklevel=1)
        warnings.warn_explicit("of torch's", UserWarning, str(Path(torch.__file__).parent / "nn" / "modules.py"), 3)
        warnings.warn_explicit("strides (Triggered internally at x.cpp:3.)", UserWarning, models.__file__, 3)
        return {}

    monkeypatch.setattr("ancestral.cli.models.library_models", warn)
    assert cli("models").err == "ancestral: warning: the data are few\n"


def test_several_processes_speak_as_one(tmp_path: Path) -> None:
    command = "fit realnvp two-moons --data.n 500 --steps 2 --devices 2 --accelerator cpu --progress false"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(ancestral.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", "ancestral.cli.main", *command.split(), "--model.hidden", "[4]", "--model.blocks", "1"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.count("saved in") == 1


@pytest.mark.filterwarnings("default")
def test_a_model_without_what_it_is_made_for_is_warned_of(cli, tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 4, (100, 3, 4, 4), dtype=np.uint8)
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "x.txt").write_text("a red bee ate\n" * 100)
    tiny = ("--model.channels", 4, "--model.blocks", 1, "--model.dilations", "[1]")
    for words, said in (
        (("colorizer", "x.npy", *tiny), "colorizer is made for --context grey, which is not given"),
        (("colorizer", "x.npy", *tiny, "--context", "grey"), ""),
        (("skip_gram", "x.txt"), "skip_gram is made for --data.tokens words, which is not given"),
        (("skip_gram", "x.txt", "--data.tokens", "characters"), ""),
    ):
        done = cli("fit", *words, "--steps", 1, "--progress", "false", "--run-dir", "r", "--overwrite")
        assert done.code == 0, done.err
        assert len(done.err.splitlines()) == bool(said), done.err
        assert said in done.err
    assert "fit it with --data.tokens words to know words" in cli("words", "r", "--nearest", "bee").err


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("train", "valid", "said"),
    [(50, 10, ""), (40, 1, "only 40 training rows and 1 validation row:"), (60, 5, "only 5 validation rows:")],
)
def test_few_rows_are_warned_of(cli, tmp_path: Path, train: int, valid: int, said: str) -> None:
    x = np.random.default_rng(0).normal(size=(60, 2))
    np.savez(tmp_path / "x.npz", train=x[:train], valid=x[:valid], test=x)
    done = cli("fit", "ppca", "x.npz", "--model.latent_dim", 1, "--progress", "false")
    assert done.code == 0
    assert len(done.err.splitlines()) == bool(said)
    assert said in done.err
