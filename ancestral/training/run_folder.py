"""The folder of a new run, or of one to go on with."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ancestral.interface import InputError
from ancestral.output import check_folder
from ancestral.persistence import CHECKPOINT, CONFIG, put_aside
from ancestral.training.logs import METRICS


def leads() -> bool:
    """Whether this is the process that writes and shows: with several devices a command runs once for each."""
    return int(os.environ.get("LOCAL_RANK", "0")) == 0


def check_run_dir(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Raise unless a new run can be made in `folder`, or the one in it resumed or replaced as asked.

    A run that was put aside for one that never began, because that was killed, is put back first.
    """
    if resume and overwrite:
        raise InputError("resume goes on with a run and overwrite throws it away; give one of them")
    if not leads():
        return
    if folder.exists() and not folder.is_dir():
        raise InputError(f"the run's folder {str(folder)!r} is a file; choose another")
    check_folder(folder)
    _put_back(folder)
    names = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    if resume and CHECKPOINT not in names:
        raise InputError(f"there is nothing to resume in {str(folder)!r}: it holds no {CHECKPOINT}")
    if names and not resume and not overwrite:
        raise InputError(
            f"{str(folder)!r} is not empty; resume=True goes on with its run, overwrite=True replaces it, run_dir"
            " chooses another folder"
        )
    if overwrite and names and not names & {CHECKPOINT, CONFIG}:
        raise InputError(f"{str(folder)!r} holds no run, so overwrite does not delete it; choose another run_dir")


@contextmanager
def replacing(folder: Path, *, overwrite: bool) -> Iterator[None]:
    """Put the run in `folder` aside while a new one is made there. It comes back if none is begun; otherwise it stays
    aside until the new one is saved, so that neither a failure nor a kill takes the only good one."""
    if overwrite and leads() and folder.exists():
        aside = put_aside(folder)
        if (aside / CONFIG).exists() and not (folder / CONFIG).exists():
            shutil.rmtree(folder)  # a replacement that was never finished: what it was to replace is the good one
        else:
            shutil.rmtree(aside, ignore_errors=True)
            folder.replace(aside)
    try:
        yield
    finally:
        if leads():
            _put_back(folder)


def _put_back(folder: Path) -> None:
    """Let the run that was put aside come back where no other was begun, and go where another has been saved."""
    aside = put_aside(folder)
    if not aside.exists():
        return
    if (folder / CONFIG).exists():
        shutil.rmtree(aside)
    elif not folder.exists() or all(_of_a_beginning(entry.name) for entry in folder.iterdir()):
        shutil.rmtree(folder, ignore_errors=True)
        aside.replace(folder)


def _of_a_beginning(name: str) -> bool:
    """Whether a run writes a file of this name before its first checkpoint."""
    return name == METRICS or name.startswith((".probe-", f".{METRICS}", f".{CHECKPOINT}"))
