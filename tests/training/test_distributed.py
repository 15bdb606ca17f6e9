"""Two processes give the weights of one on the same whole batches."""

import os
import subprocess
import sys
from pathlib import Path

import distributed_script
import pytest
import torch

import ancestral


def test_two_processes_give_the_weights_of_one(tmp_path: Path) -> None:
    files = [tmp_path / "one.pt", tmp_path / "two.pt"]
    distributed_script.main(1, files[0], tmp_path / "run1")
    command = [sys.executable, "-W", "error", distributed_script.__file__, "2", files[1], tmp_path / "run2"]
    # The code under test, whatever else is installed.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(ancestral.__file__).parents[1])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "run2").iterdir()) == ["checkpoint.pt", "metrics.csv"]
    one, two = (torch.load(file, weights_only=True) for file in files)
    for name, value in one["weights"].items():
        torch.testing.assert_close(two["weights"][name], value, atol=1e-6, rtol=0)
    for alone, together in zip(one["history"], two["history"], strict=True):
        assert together["valid/log_prob"] == pytest.approx(alone["valid/log_prob"], abs=1e-5)
        assert together["train/model"] == pytest.approx(alone["train/model"], abs=0.1)
