"""The ledger: one JSON file for each reproduced result, and the table that the documentation shows of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ancestral.evaluation import in_digits
from ancestral.interface import InputError
from ancestral.output import write_bytes


@dataclass(frozen=True)
class LedgerEntry:
    """One result. `value` is the metric in `unit` (lower is better), the mean over the seeds."""

    name: str
    model: str
    data: str
    split: str
    #: The split that chose the weights; None where the last ones were kept, and of a figure.
    selected_on: str | None
    metric: str
    unit: str
    value: float
    #: Over the test rows for one seed (None where the metric is no mean over rows), over the seeds for several.
    stderr: float | None
    kind: str
    importance_samples: int | None
    published: float | None
    source: str | None
    #: None of a figure, whose settings say how its models are made and trained.
    epochs: int | None
    seconds: float
    #: None of a figure.
    parameters: int | None
    command: str
    seeds: Sequence[int]
    device: str
    threads: int
    versions: Mapping[str, str]
    date: str
    notes: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    baselines: Mapping[str, float] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Write `folder/NAME.json`, whole or not at all."""
        path = folder / f"{self.name}.json"
        write_bytes((json.dumps(asdict(self), indent=2, allow_nan=False) + "\n").encode(), path)
        return path


def read_ledger(folder: str | Path) -> list[LedgerEntry]:
    """Every entry in the folder, by name."""
    known = {f.name for f in fields(LedgerEntry)}
    entries = []
    for path in sorted(Path(folder).glob("*.json")):
        try:
            values = json.loads(path.read_text())
        except ValueError as error:
            raise InputError(f"{path} is not valid JSON ({error})") from error
        if not isinstance(values, dict) or set(values) != known:
            odd = sorted(set(values) ^ known) if isinstance(values, dict) else type(values).__name__
            raise InputError(f"{path} is not an entry of the ledger: it differs in {odd}; reproduce it again")
        entries.append(LedgerEntry(**values))
    return entries


def markdown_table(entries: Sequence[LedgerEntry]) -> str:
    """The ledger as a table in Markdown."""
    header = ("result", "model", "data", "reached", "kind", "published", "baselines", "minutes", "on", "date")
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    for entry in entries:
        kind = entry.kind if entry.importance_samples is None else f"{entry.kind}, {entry.importance_samples:,} samples"
        baselines = ", ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in entry.baselines.items())
        cells = (
            f"`{entry.name}`",
            entry.model,
            f"{entry.data}, {entry.split}",
            _reached(entry),
            kind,
            "-" if entry.published is None else _number(entry.published),
            baselines or "-",
            f"{entry.seconds / 60:.1f}",
            entry.device.partition(" (")[0],
            entry.date,
        )
        # A bar, as in p(z | x), would end its cell.
        escaped = [cell.replace("|", "\\|") for cell in cells]
        lines.append(f"| {' | '.join(escaped)} |")
    notes = [
        f"- `{entry.name}`: {'; '.join(part for part in (entry.notes, entry.source) if part)}" for entry in entries
    ]
    return "\n".join([*lines, "", *notes]) + "\n"


def _reached(entry: LedgerEntry) -> str:
    error = "" if entry.stderr is None else f" ± {_number(entry.stderr)}"
    # A likelihood's unit says what is measured.
    metric = "" if entry.metric.startswith("negative log-likelihood") else f" ({entry.metric})"
    return f"{_number(entry.value)}{error} {entry.unit}{metric}"


def _number(value: float) -> str:
    # A published comparison may hang on the last digits of a large figure.
    return in_digits(value, 3) if abs(value) < 10 else f"{value:.2f}"
