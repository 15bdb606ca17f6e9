"""A recipe that measures a representation: the entry says what `probe` says of the saved model."""

from pathlib import Path

import pytest

import ancestral as an
from ancestral.persistence import load
from ancestral.reproduction import read_ledger, reproduce

RECIPE = """
name: tiny
model: vae
model_settings: {hidden: [16], latent_dim: 4}
data: digits
training: {epochs: 1, batch_size: 256}
evaluation: {labels: [40, 20], draws: 2}
budget: cpu
metric: linear-probe error
unit: "%"
"""


def test_the_entry_is_the_error_with_the_fewest_labels_and_all_else_stands_beside_it(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    reproduce(tmp_path / "tiny.yaml", results_dir=tmp_path, runs_dir=tmp_path / "runs", seeds=(3,), progress=False)
    (entry,) = read_ledger(tmp_path)
    model = load(tmp_path / "runs" / "reproduce-tiny-seed3")
    found = an.probe(model, an.load_data("digits"), labels=(40, 20), draws=2, seed=3)
    assert entry.value == pytest.approx(100 * found.of("model", 20).error)
    assert entry.stderr == pytest.approx(100 * found.of("model", 20).stderr)
    beside = {
        f"{one.representation}, {one.labels} labels": pytest.approx(100 * one.error)
        for one in found.results
        if (one.representation, one.labels) != ("model", 20)
    }
    assert entry.baselines == {**beside, "guessing": pytest.approx(100 * found.guessing)}
    gain, stderr = found.gain(20)
    assert f"below a random start by {100 * gain:.2f} ± {100 * stderr:.2f} with 20" in entry.kind
