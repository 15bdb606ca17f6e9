"""`ancestral probe`: the table, the files and the plot; and what is refused before any work."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image


@pytest.fixture
def run(cli, tmp_path: Path) -> str:
    """A run on rows of which few had labels."""
    torch.manual_seed(0)
    x = torch.randn(300, 6)
    frame = pd.DataFrame(x.numpy(), columns=list("abcdef")).assign(kind=["left" if v < 0 else "right" for v in x[:, 0]])
    frame.to_csv(tmp_path / "rows.csv", index=False)
    settings = ("--model.latent_dim", 2, "--model.hidden", "[8]", "--epochs", 1, "--data.labels", 10)
    done = cli("fit", "vae", "rows.csv", "--data.label", "kind", *settings, "--run-dir", "run")
    assert done.code == 0, done.err
    return "run"


def test_the_table_the_files_and_the_plot(cli, run: str) -> None:
    done = cli("probe", run, "--labels", "20,100", "--draws", 2, "-o", "table.csv", "--plot", "errors.png")
    assert done.code == 0, done.err
    assert all(name in done.out for name in ("model", "random start", "raw values", "PCA", "guessing", "100 labels"))
    assert re.search(r"beside a random start: [\d.]+ ± [\d.]+ (better|worse) with 20 labels, ", done.out)
    table = pd.read_csv("table.csv")
    assert list(table) == ["representation", "labels", "dimensions", "error", "stderr", "draws"]
    assert table.labels.tolist() == [20] * 4 + [100] * 4
    with Image.open("errors.png") as picture:
        assert picture.size[0] > 300
    assert cli("probe", run, "--labels", 20, "--draws", 2, "-o", "table.json").code == 0
    assert json.loads(Path("table.json").read_text())[0]["error"] == pytest.approx(table.error[0])


def test_fine_tuning_takes_the_settings_of_fit(cli, run: str) -> None:
    done = cli("probe", run, "--labels", 20, "--draws", 1, "--mode", "finetune", "--training.epochs", 1)
    assert (done.code, "finetune" in done.out) == (0, True)
    assert "no setting 'epoch'" in cli("probe", run, "--labels", 20, "--mode", "finetune", "--training.epoch", 1).err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--labels", 2000), "at most the 240 that its training split has, got 2000"),
        (("--labels", "ten"), "--labels takes whole numbers from 1 on with commas between"),
        (("--labels", 0), "--labels takes whole numbers from 1 on with commas between"),
        (("-o", "table.txt"), "must end in .csv, .parquet or .json"),
        (("--plot", "errors.csv"), "must end in .png"),
        (("--mode", "frozen"), "linear, finetune"),
        (("--labels", 20, "--training.epochs", 3), "--mode finetune"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(cli, run: str, arguments: tuple[object, ...], message: str) -> None:
    done = cli("probe", run, *arguments)
    assert done.code != 0
    assert message in done.err
    assert not list(Path().glob("table.*")) + list(Path().glob("errors.*"))


def test_a_run_without_features_says_so(cli, tmp_path: Path) -> None:
    assert cli("fit", "made", "digits", "--model.hidden", "[8]", "--epochs", 1, "--run-dir", "run").code == 0
    assert "made has no representation to transfer" in cli("probe", "run", "--labels", 50).err
