"""The folder that every case begins with: small data, good runs on them, a run to be resumed, and odd files."""

import contextlib
import io
import os
import pickle
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from ancestral.cli.main import main

from .case import EXPECTED, MARKER

#: The good runs by their names: the model, its data, its settings.
RUNS = {
    "vae": ("vae", "levels.npy", "--model.hidden", "[4]", "--model.latent_dim", "2"),
    "made": ("made", "levels.npy", "--model.hidden", "[8]"),
    "realnvp": ("realnvp", "rows.csv", "--model.blocks", "1", "--model.hidden", "[4]"),
    "mixture": ("gaussian_mixture", "rows.csv", "--model.components", "2"),
    "labels": ("vae", "labels.npz", "--context", "labels", "--model.hidden", "[4]", "--model.latent_dim", "2"),
    "ppca": ("ppca", "rows.csv", "--model.latent_dim", "1"),
    "gan": ("gan", "rows.csv", "--model.hidden", "[4]", "--model.latent_dim", "2"),
}
SCORED = [name for name in RUNS if name != "gan"]
_SHORT = ("--steps", "2", "--progress", "false")
#: The run that is resumed, and the command that resumes it.
RESUMED = "unfinished"
RESUMED_WEIGHTS = f"{RESUMED}/model.safetensors"
RESUME = ("fit", *RUNS["realnvp"], "--schedule", "constant", "--steps", "3", "--progress", "false", "--run-dir",
          RESUMED, "--resume")  # fmt: skip
ODD = ("empty", "noise", "huge", "cut", "folder", "loop", "pipe", "pickle", "ünï çødé", "a file with\nlines")
_ENDINGS = (".csv", ".npy", ".npz", ".zip", ".parquet", ".txt", ".txt.gz", ".idx3-ubyte", ".png", ".wav", "")


class Trap:
    """Unpickled, it makes the marker's file in the current folder."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (MARKER, "w")


def make_good(folder: Path) -> None:
    """Fill the folder."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(120, 2))
    (folder / "rows.csv").write_text("a,b\n" + "\n".join(f"{a:.4f},{b:.4f}" for a, b in rows))
    (folder / "holes.csv").write_text("a,b\n" + "\n".join(f"{a:.4f}," for a, _ in rows))
    np.save(folder / "levels.npy", generator.integers(0, 4, size=(120, 3)).astype(np.uint8))
    images = generator.integers(0, 4, size=(120, 3)).astype(np.uint8)
    np.savez(folder / "labels.npz", x=images, y=np.arange(120) % 3)
    _make_odd(folder / "odd")
    here = Path.cwd()
    os.chdir(folder)
    try:
        for name, run in RUNS.items():
            _must(("fit", *run, *_SHORT, "--run-dir", name))
        for name in SCORED:
            _must(("score", name, "-o", f"{EXPECTED}/{name}.csv"))
        _must((*RESUME[:-1], "--steps", "2"))
        for name in ("config.json", "model.safetensors"):
            (folder / RESUMED / name).unlink()
        (folder / EXPECTED / RESUMED).mkdir()
        kept = shutil.copytree(folder / RESUMED, folder / "kept")
        _must(RESUME)
        (folder / RESUMED_WEIGHTS).replace(folder / EXPECTED / RESUMED_WEIGHTS)
        shutil.rmtree(folder / RESUMED)
        kept.replace(folder / RESUMED)
    finally:
        os.chdir(here)


def _must(arguments: tuple[str, ...]) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        code = main(arguments)
    assert code == 0, arguments


def _make_odd(folder: Path) -> None:
    """Files that are not what their endings say."""
    folder.mkdir()
    draw = random.Random(0)
    huge = io.BytesIO()
    np.lib.format.write_array_header_1_0(huge, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 3)})
    idx = b"\x00\x00\x08\x03" + b"\x7f\xff\xff\xff" * 3
    objects = io.BytesIO()
    np.save(objects, np.array([Trap()], dtype=object), allow_pickle=True)
    contents = {
        "empty": b"",
        "noise": draw.randbytes(3000),
        "pickle": pickle.dumps(Trap()),
        "ünï çødé": "ä;ö\n1,5;2,5\n☃;€\n".encode(),
        "a file with\nlines": b"\xff\xfe\x00a,b\n\n\n1,2\n",
    }
    for ending in _ENDINGS:
        for name, content in contents.items():
            (folder / f"{name}{ending}").write_bytes(content)
        (folder / f"folder{ending}").mkdir()
        (folder / f"loop{ending}").symlink_to(f"loop{ending}")
        (folder / f"huge{ending}").write_bytes({".npy": huge.getvalue(), ".idx3-ubyte": idx}.get(ending, b"9," * 10**6))
        (folder / f"cut{ending}").write_bytes(huge.getvalue()[:50] if ending == ".npy" else b"PK\x03\x04\x14\x00")
    (folder / "pickle.npy").write_bytes(objects.getvalue())
    np.savez(folder / "pickle.npz", x=np.array([Trap()], dtype=object))
