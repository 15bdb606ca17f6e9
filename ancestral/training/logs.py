"""What a run writes down: metrics.csv in long form, and TensorBoard's event files where asked for."""

import csv
from collections.abc import Mapping
from pathlib import Path

METRICS = "metrics.csv"
_COLUMNS = ("epoch", "step", "seconds", "name", "value")


class Logs:
    """Appends named values to `metrics.csv`: one row a value, so that columns never change."""

    def __init__(self, folder: Path | None, *, tensorboard: bool) -> None:
        self._path = None if folder is None else folder / METRICS
        self._board = None
        if folder is not None and tensorboard:
            # Imported on demand: TensorBoard costs a second.
            from lightning_fabric.loggers import TensorBoardLogger

            self._board = TensorBoardLogger(root_dir=folder, name="tensorboard", version="")

    def start(self, step: int, epochs: int) -> None:
        """Begin, or go on after `step` and so many whole epochs: later rows are of a part that is done again."""
        if self._path is None:
            return
        kept: list[list[str]] = []
        if step > 0 and self._path.exists():
            with self._path.open(newline="") as stream:
                rows = [row for row in csv.reader(stream) if len(row) == len(_COLUMNS)]
            kept = [row for row in rows if row[0].isdigit() and row[1].isdigit()]
        temporary = self._path.with_name(f".{METRICS}")
        with temporary.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(_COLUMNS)
            writer.writerows(row for row in kept if int(row[1]) <= step and (_of_steps(row) or int(row[0]) <= epochs))
        temporary.replace(self._path)

    def write(self, epoch: int, step: int, seconds: float, values: Mapping[str, float]) -> None:
        if self._path is not None:
            with self._path.open("a", newline="") as stream:
                rows = ((epoch, step, f"{seconds:.3f}", name, repr(value)) for name, value in values.items())
                csv.writer(stream).writerows(rows)
        if self._board is not None:
            self._board.log_metrics(dict(values), step)

    def close(self) -> None:
        if self._board is not None:
            self._board.finalize("success")


def _of_steps(row: list[str]) -> bool:
    """Whether a row is of the latest steps, not of a whole epoch."""
    return row[3].startswith("loss/")
