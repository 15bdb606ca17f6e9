"""Two processes give the weights of one on the same whole batches."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).with_name("distributed_script.py")


def test_two_processes_give_the_weights_of_one(tmp_path: Path) -> None:
    results = []
    for devices in (1, 2):
        file, run_dir = tmp_path / f"{devices}.pt", tmp_path / f"run{devices}"
        command = [sys.executable, "-W", "error", str(SCRIPT), str(devices), str(file), str(run_dir)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert sorted(path.name for path in run_dir.iterdir()) == ["checkpoint.pt", "metrics.csv"]
        results.append(torch.load(file, weights_only=True))
    one, two = results
    for name, value in one["weights"].items():
        torch.testing.assert_close(two["weights"][name], value, atol=1e-6, rtol=0)
    for alone, together in zip(one["history"], two["history"], strict=True):
        assert together["valid/log_prob"] == pytest.approx(alone["valid/log_prob"], abs=1e-5)
        assert together["train/model"] == pytest.approx(alone["train/model"], abs=0.1)
