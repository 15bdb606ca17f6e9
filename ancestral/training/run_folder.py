"""The folder of a new run, or of one to go on with."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ancestral.interface import InputError
from ancestral.output import check_folder
from ancestral.persistence import CONFIG
from ancestral.training.checkpoint import CHECKPOINT


def check_run_dir(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Raise unless a new run can be made in `folder`, or the one in it resumed or replaced as asked."""
    if resume and overwrite:
        raise InputError("resume goes on with a run and overwrite throws it away; give one of them")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"the run's folder {str(folder)!r} is a file; choose another")
    check_folder(folder)
    names = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    if resume and CHECKPOINT not in names:
        raise InputError(f"there is nothing to resume in {str(folder)!r}: it holds no {CHECKPOINT}")
    if names and not resume and not overwrite:
        raise InputError(
            f"{str(folder)!r} is not empty; resume goes on with its run, overwrite replaces it, run_dir chooses another"
            " folder"
        )
    if overwrite and names and not names & {CHECKPOINT, CONFIG}:
        raise InputError(f"{str(folder)!r} holds no run, so overwrite does not delete it; choose another run_dir")


@contextmanager
def replacing(folder: Path, *, overwrite: bool) -> Iterator[None]:
    """Put the run in `folder` aside while a new one is made there; it comes back if none is begun."""
    aside = folder.with_name(f".{folder.name}.replaced")
    if overwrite and folder.exists():
        folder.replace(aside)
    try:
        yield
    finally:
        if aside.exists():
            if folder.exists():
                shutil.rmtree(aside)
            else:
                aside.replace(folder)
