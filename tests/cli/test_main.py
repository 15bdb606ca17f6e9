"""Help, versions, and the gallery of wrong command lines."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ancestral import __version__, persistence
from ancestral.cli.main import COMMANDS
from ancestral.discovery import library_models
from ancestral.layers.mlp import ACTIVATIONS


def test_help_is_fast_and_leaves_torch_alone() -> None:
    code = "import sys; from ancestral.cli.main import main; main(['--help']); sys.exit('torch' in sys.modules)"
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = os.times()
    # Processor time: the machine may be busy with other things.
    assert after.children_user - before.children_user < 1.0
    assert all(name in done.stdout for name in COMMANDS)
    assert "ancestral compare" in done.stdout.splitlines()[-1]


def test_the_list_of_models_takes_less_than_a_second() -> None:
    code = "import sys; from ancestral.cli.main import main; main(['models']); sys.exit('torch' in sys.modules)"
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = os.times()
    assert after.children_user - before.children_user < 1.0
    assert "gated_pixelcnn" in done.stdout


def test_version(cli) -> None:
    assert cli("--version").out.strip() == f"ancestral {__version__}"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_help_ends_with_an_example(cli, command: str) -> None:
    arguments = (command, "vae", "digits") if command == "fit" else (command,)
    done = cli(*arguments, "--help")
    assert done.code == 0
    assert done.out.rstrip().endswith(COMMANDS[command].example)


@pytest.mark.parametrize("command", [*COMMANDS, *(f"fit {name} digits" for name in library_models())])
def test_each_help_explains_every_option_in_100_columns(cli, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    out = cli(*command.split(), "--help").out
    assert [line for line in out.splitlines() if len(line) > 100] == []
    options = re.findall(r"^  -\S.*\n?(?:   .*\n)*", out.split("positional arguments:")[-1], re.MULTILINE)
    assert options
    for option in options:
        explained = re.split(r"\s{2,}", option.strip(), maxsplit=1)[1:]
        assert explained, option
        assert not explained[0].startswith("default:"), option


def test_settings_come_from_the_signature(cli) -> None:
    out = cli("fit", "vae", "digits", "--help").out
    assert all(f'"{name}"' in out for name in ACTIVATIONS)
    assert "--model.latent_dim" in out
    assert "--batch-size" in out


def test_the_help_of_fit_names_the_defaults_that_apply(cli) -> None:
    assert "(default: 128)" in cli("fit", "vae", "--help").out
    out = " ".join(cli("fit", "vae", "digits", "--help").out.split())
    assert "(default: 64)" in out
    assert "(default: [256, 128])" in out
    assert "flags override them one by one" in out


def test_models_and_data_are_listed(cli) -> None:
    models, data = cli("models").out, cli("data").out
    assert "realnvp" in models
    assert "autoregressive" in models
    assert "digits" in data


FIT = ("fit", "vae", "digits", "--epochs", "1")
GALLERY = {
    "command": (("ft",), 2, "did you mean 'fit'"),
    "swapped": (("fit", "digits", "vae", "--epochs", "1"), 2, "did you mean `ancestral fit vae digits --epochs 1`?"),
    "swapped run": (("evaluate", "digits", "saved"), 2, "did you mean `ancestral evaluate saved digits`?"),
    "constant": ((*FIT, "--schedule", "constant", "--schedule.final", "1"), 1, "it has no settings at all"),
    "model": (("fit", "vea", "digits"), 1, "did you mean 'vae'"),
    "data": (("fit", "vae", "digit"), 1, "did you mean 'digits'"),
    "flag": ((*FIT, "--epoch", "3"), 2, "did you mean '--epochs'"),
    "value": ((*FIT, "--batch-size", "many"), 2, "--batch-size: expected a whole number, got 'many'"),
    "range": ((*FIT, "--batch-size", "0"), 1, "--batch-size must be a whole number of at least 1"),
    "setting": ((*FIT, "--model.latent_dims", "3"), 2, "did you mean '--model.latent_dim'"),
    "setting's value": ((*FIT, "--model.latent_dim", "-1"), 1, "latent_dim"),
    "data option": ((*FIT, "--data.noise", "1"), 1, "no option 'noise'"),
    "missing argument": (("fit", "vae"), 2, "missing"),
    "unsupported": (("fit", "dcgan", "two-moons"), 1, "does not support two-moons"),
    "missing file": (("fit", "vae", "rows.csv"), 1, "no file or folder 'rows.csv'"),
    "NaN": (("fit", "vae", "nan.npy"), 1, "missing values"),
    "infinite": (("fit", "vae", "inf.npy"), 1, "infinite"),
    "support": (("fit", "vae", "half.csv", "--support", "binary"), 1, "a is 0 or 1"),
    "empty": (("fit", "vae", "empty.npy"), 1, "no observations"),
    "corrupt": (("fit", "vae", "corrupt.npz"), 1, "corrupt.npz"),
    "label": (("fit", "vae", "label.npz"), 1, "label"),
    "no run": (("sample", "runs/none"), 1, "there is no run 'runs/none'"),
    "foreign run": (("evaluate", "."), 1, "no saved model"),
    "output's kind": (("sample", "runs/none", "-o", "x.jpg"), 1, "must end in .png"),
    "output under a file": (("compare", "-o", "half.csv/report.html"), 1, "half.csv"),
    "run dir is a file": ((*FIT, "--run-dir", "half.csv"), 1, "is a file"),
    "run dir in use": ((*FIT, "--run-dir", "used"), 1, "is not empty"),
    "run dir of others": ((*FIT, "--run-dir", "used", "--overwrite"), 1, "holds no run"),
    "nothing to resume": ((*FIT, "--resume"), 1, "nothing to resume"),
    "compare's models": (("compare", "--models", "vae,made,gun"), 1, "did you mean 'gan'"),
    "compare's minutes": (("compare", "--minutes", "0"), 1, "minutes must be"),
    "recipe": (("reproduce", "vae-mnist-dym"), 1, "did you mean 'vae-mnist-dyn'"),
    "recipe's seeds": (("reproduce", "realnvp-digits", "--seeds", "a"), 1, "--seeds"),
    "check": (("check", "vaee"), 1, "did you mean 'vae'"),
}  # fmt: skip


@pytest.mark.parametrize("name", GALLERY)
def test_bad_input_is_one_line_and_leaves_nothing(cli, tmp_path: Path, name: str) -> None:
    arguments, code, words = GALLERY[name]
    values = np.ones((20, 3), dtype=np.float32)
    np.save(tmp_path / "nan.npy", np.where(np.eye(20, 3) == 1, np.nan, values))
    np.save(tmp_path / "inf.npy", np.full((20, 3), np.inf, dtype=np.float32))
    np.save(tmp_path / "empty.npy", values[:0])
    np.savez(tmp_path / "label.npz", x=values, y=np.full(20, -3))
    (tmp_path / "corrupt.npz").write_bytes(b"PK no archive")
    (tmp_path / "half.csv").write_text("a,b\n" + "2.5,1\n" * 20)
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "config.json").write_text("{}")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").write_text("precious")
    before = sorted(tmp_path.rglob("*"))
    done = cli(*arguments)
    assert done.code == code
    lines = done.err.strip().splitlines()
    assert len(lines) == 1, done.err
    assert lines[0].startswith("ancestral: error: ")
    assert words in lines[0]
    assert sorted(tmp_path.rglob("*")) == before


def test_debug_shows_the_traceback(cli) -> None:
    with pytest.raises(ValueError, match="there is no model"):
        cli("fit", "vea", "digits", "--debug")


def test_a_full_disk_is_one_line_and_leaves_nothing(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("fit", "ppca", "digits", "--model.latent_dim", "2")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(persistence.os, "fsync", full)
    before = sorted(tmp_path.rglob("*"))
    done = cli("sample", "runs/digits-ppca", "-n", 2)
    assert (done.code, done.err) == (1, "ancestral: error: No space left on device\n")
    assert sorted(tmp_path.rglob("*")) == before


def test_an_interrupt_is_exit_code_130(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ancestral.cli.models.library_models", interrupt)
    assert cli("models").code == 130
