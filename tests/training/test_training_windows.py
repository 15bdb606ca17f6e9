"""Windows are a property of the data: training, validation and evaluation see the same event."""

from pathlib import Path

import numpy as np
import pytest
import torch
from training_toys import Gaussian

from ancestral.data import Data, load_data
from ancestral.evaluation import evaluate, log_likelihoods
from ancestral.interface import Event, Real
from ancestral.training import Report, fit


@pytest.fixture
def data(tmp_path: Path) -> Data:
    np.save(tmp_path / "rows.npy", np.sin(np.arange(4000) / 5).reshape(40, 100))
    return load_data(tmp_path / "rows.npy", window=16)


def run(model: Gaussian, data: Data, folder: Path, **more: object) -> Report:
    return fit(model, data, epochs=4, batch_size=32, run_dir=folder, progress=False, **more)


def test_fit_validate_and_evaluate(data: Data, tmp_path: Path) -> None:
    model = Gaussian(data.event)
    assert data.event == Event((16,), Real())
    report = run(model, data, tmp_path / "run")
    assert report.steps == 4 * 6  # 32 rows of 6 windows, 32 at a time
    assert report.best is not None
    assert evaluate(model, data.valid).nats == pytest.approx(report.best["valid/log_prob"], abs=1e-4)
    assert evaluate(model, data.test).n == len(log_likelihoods(model, data.test)) == 4 * 6


def test_a_resumed_run_draws_the_windows_of_one_that_went_through(data: Data, tmp_path: Path) -> None:
    whole, parts = Gaussian(data.event), Gaussian(data.event)
    run(whole, data, tmp_path / "whole")
    calls = 0

    def interrupt() -> None:
        nonlocal calls
        calls += 1
        if calls == 15:
            raise KeyboardInterrupt

    parts.watch = interrupt
    with pytest.raises(KeyboardInterrupt):
        run(parts, data, tmp_path / "parts")
    parts.watch = lambda: None
    run(parts, data, tmp_path / "parts", resume=True)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), parts.parameters(), strict=True))
