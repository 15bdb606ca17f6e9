"""Translators in the ledger: the alignment error beside that of no translation, and the figure of a failure."""

import json
from pathlib import Path

import pytest

from ancestral.data import load_data
from ancestral.evaluation import identity_alignment
from ancestral.reproduction import read_ledger, reproduce
from ancestral.reproduction.figures.cyclegan_failure import cyclegan_failure

RECIPE = """
name: tiny
model: cyclegan
model_settings: {channels: 2, blocks: 0, halvings: 1}
data: digits
data_options: {twin: thick}
training: {steps: 2, batch_size: 8}
evaluation: {candidates: 60}
budget: cpu
metric: alignment error
unit: "%"
baselines: [identity]
"""


def test_the_alignment_error_stands_beside_that_of_no_translation(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    reproduce(tmp_path / "tiny.yaml", results_dir=tmp_path / "out", runs_dir=tmp_path / "runs", progress=False)
    (entry,) = read_ledger(tmp_path / "out")
    known, test = entry.baselines, load_data("digits", twin="thick").test
    assert known["identity"] == 100 * identity_alignment(test, candidates=60).error
    assert entry.value == pytest.approx((known["to thick"] + known["to original"]) / 2)
    assert known["chance"] == pytest.approx(100 * 59 / 60)
    assert entry.kind == "nearest of 60, n = 360"
    assert "a half of the training rows each" in entry.notes
    assert json.loads((tmp_path / "runs/reproduce-tiny/config.json").read_text())["settings"]["domains"] == [
        "original", "thick",
    ]  # fmt: skip
    assert (tmp_path / "out/tiny.png").is_file()


def test_the_failure_states_both_twins(tmp_path: Path) -> None:
    drawn = cyclegan_failure(0, None, False, data="digits", channels=2, blocks=0, steps=2, candidates=90, pairs=90)
    found = drawn.measurement
    assert found.baselines.keys() == {
        "chance", "thick", "thick, there and back", "thick, without translation",
        "thick+inverted, there and back", "thick+inverted, without translation",
    }  # fmt: skip
    assert found.kind == "nearest of 90, n = 180"
    assert 0 <= found.value <= 100
