"""A run that is being replaced is lost neither to a failure nor to a kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import ancestral
from ancestral.interface import Event, InputError, Model, Real
from ancestral.persistence import CONFIG, WEIGHTS, load, put_aside, save
from ancestral.registry import build
from ancestral.training import fit
from ancestral.training.run_folder import check_run_dir, replacing

PLANE = Event((2,), Real())


def trained(folder: Path, seed: int, **settings: Any) -> Model:
    torch.manual_seed(seed)
    model = build("realnvp", PLANE, blocks=1, hidden=[4])
    fit(model, torch.randn(20, 2), run_dir=folder, epochs=1, progress=False, **settings)
    return model


def finished(folder: Path, seed: int) -> Model:
    model = trained(folder, seed)
    save(model, folder)
    return model


def same(a: Model, b: Model) -> bool:
    return all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())


def test_a_run_is_there_until_its_replacement_is_saved(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    old = finished(folder, 0)
    with replacing(folder, overwrite=True):
        assert not folder.exists()
        new = trained(folder, 1)
        with pytest.warns(UserWarning, match="is being replaced by a run that is not finished; this is still the old"):
            assert same(load(folder), old)
    with pytest.warns(UserWarning, match="still the old one"):
        assert same(load(folder), old)
    save(new, folder)
    assert same(load(folder), new)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_run_comes_back_where_no_other_is_begun(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    old = finished(folder, 0)
    with pytest.raises(InputError), replacing(folder, overwrite=True):
        fit(build("realnvp", PLANE), torch.zeros(3, 5), run_dir=folder)
    assert same(load(folder), old)
    assert not put_aside(folder).exists()


def _killed_before_it_began(folder: Path) -> None:
    folder.replace(put_aside(folder))


def _killed_before_its_first_checkpoint(folder: Path) -> None:
    folder.replace(put_aside(folder))
    folder.mkdir()
    for name in ("metrics.csv", ".checkpoint.pt.0123", ".probe-0123"):
        (folder / name).write_bytes(b"")


@pytest.mark.parametrize("state", [_killed_before_it_began, _killed_before_its_first_checkpoint])
def test_after_a_kill_before_the_first_checkpoint_the_old_run_is_back(tmp_path: Path, state: Any) -> None:
    folder = tmp_path / "run"
    old = finished(folder, 0)
    state(folder)
    with pytest.warns(UserWarning, match="still the old one"):
        assert same(load(folder), old)
    with pytest.raises(InputError, match="is not empty"):
        check_run_dir(folder, resume=False, overwrite=False)
    assert same(load(folder), old)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_after_a_kill_on_the_way_the_new_run_goes_on_or_is_replaced_itself(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    old = finished(folder, 0)
    folder.replace(put_aside(folder))
    trained(folder, 1)
    check_run_dir(folder, resume=True, overwrite=False)
    for seed in (2, 3):  # a second kill, too
        check_run_dir(folder, resume=False, overwrite=True)
        with replacing(folder, overwrite=True):
            new = trained(folder, seed)
        with pytest.warns(UserWarning, match="still the old one"):
            assert same(load(folder), old)
    save(new, folder)
    assert same(load(folder), new)


def test_after_a_kill_at_the_end_the_replacement_is_completed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    finished(folder, 0)
    folder.replace(put_aside(folder))
    new = trained(folder, 1)
    save(new, tmp_path / "elsewhere")
    for name in (CONFIG, WEIGHTS):
        (tmp_path / "elsewhere" / name).replace(folder / name)
    assert same(load(folder), new)
    check_run_dir(folder, resume=True, overwrite=False)
    assert not put_aside(folder).exists()


def test_what_others_put_there_is_not_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    old = finished(folder, 0)
    folder.replace(put_aside(folder))
    folder.mkdir()
    (folder / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="holds no run"):
        check_run_dir(folder, resume=False, overwrite=True)
    assert (folder / "thesis.txt").exists()
    with pytest.warns(UserWarning, match="still the old one"):
        assert same(load(folder), old)


def test_a_killed_command_leaves_the_old_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ancestral.cli.main", "fit", "realnvp", "two-moons", "--run-dir", "run"]
    command += ["--data.n", "200", "--model.blocks", "1", "--model.hidden", "[4]", "--progress", "false"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(ancestral.__file__).parents[1])}
    where: dict[str, Any] = {"cwd": tmp_path, "env": environment}
    subprocess.run([*command, "--epochs", "1"], check=True, capture_output=True, timeout=120, **where)
    folder = tmp_path / "run"
    old = load(folder)
    with subprocess.Popen(
        [*command, "--epochs", "1000000", "--overwrite"], stdout=subprocess.DEVNULL, **where
    ) as killed:
        deadline = time.monotonic() + 60
        while not (put_aside(folder).exists() and (folder / "checkpoint.pt").exists()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
    with pytest.warns(UserWarning, match="still the old one"):
        assert same(load(folder), old)
    again = subprocess.run(
        [*command, "--epochs", "2", "--overwrite"], check=False, capture_output=True, timeout=120, text=True, **where
    )
    assert again.returncode == 0, again.stderr
    assert not same(load(folder), old)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
