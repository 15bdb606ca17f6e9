"""Samples on their way into a file, part by part: the memory does not grow with their number."""

import os
import secrets
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from ancestral.interface import InputError

if TYPE_CHECKING:
    import pandas

#: What a value takes at the least: a digit and a comma; in a compressed file, where most values are alike, less.
_BYTES = {".csv": 2.0, ".txt": 1.0, ".npz": 0.1, ".parquet": 0.1}


def check_space(path: Path, values: int) -> None:
    """Refuse a file of so many values that the disk surely has no room for it."""
    needed = int(values * _BYTES[path.suffix])
    there = next(folder for folder in (path.parent, *path.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise InputError(
            f"{path} would take at least {_size(needed)} for {values:,} values, but its disk has {_size(free)} left;"
            " draw fewer"
        )


def write_table(frames: Iterable["pandas.DataFrame"], path: Path) -> None:
    """Tables of the same columns, one below the other, as .csv or .parquet."""
    with _replacing(path) as temporary:
        if path.suffix == ".csv":
            with temporary.open("w", encoding="utf-8", newline="") as file:
                for number, frame in enumerate(frames):
                    frame.to_csv(file, index=False, header=number == 0)
            return
        import pyarrow
        import pyarrow.parquet

        with temporary.open("wb") as sink:
            writer = None
            for frame in frames:
                # Every part in the types of the first.
                part = pyarrow.Table.from_pandas(frame, writer and writer.schema, preserve_index=False)
                writer = writer or pyarrow.parquet.ParquetWriter(sink, part.schema)
                writer.write_table(part)
            if writer is not None:
                writer.close()


def write_lines(lines: Iterable[str], path: Path) -> None:
    """Lines of text."""
    with _replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def write_arrays(arrays: Iterable[tuple[str, int, Callable[[], Iterable[Tensor]]]], path: Path) -> None:
    """A compressed .npz of arrays by name, each of so many rows, which come in parts."""
    with _replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, rows, parts in arrays:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                for number, part in enumerate(parts()):
                    array = part.detach().cpu().contiguous().numpy()
                    if number == 0:
                        header = np.lib.format.header_data_from_array_1_0(array)
                        np.lib.format.write_array_header_1_0(file, {**header, "shape": (rows, *array.shape[1:])})
                    file.write(array.tobytes())


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that gets its name at the end, or is removed on a failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _size(count: int) -> str:
    """A number of bytes in the largest unit that it has one of."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1e3:,.1f} kB"
