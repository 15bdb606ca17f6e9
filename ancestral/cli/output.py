"""What the commands write: tables of rows."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ancestral.output import write_bytes


def write_csv(columns: Mapping[str, Tensor], path: Path) -> None:
    """Columns of one length as CSV; a column of vectors becomes one column for each entry."""
    import pandas as pd  # costs half a second, and few commands write tables

    flat: dict[str, np.ndarray] = {}
    for name, values in columns.items():
        rows = values.detach().cpu().flatten(1) if values.dim() > 1 else values.detach().cpu()[:, None]
        for i in range(rows.shape[1]):
            flat[name if values.dim() == 1 else f"{name}{i}"] = rows[:, i].numpy()
    write_bytes(pd.DataFrame(flat).to_csv(index=False).encode(), path)


def write_npz(arrays: Mapping[str, Tensor], path: Path) -> None:
    """Arrays by name as a compressed NPZ."""
    memory = io.BytesIO()
    plain: dict[str, Any] = {key: value.detach().cpu().numpy() for key, value in arrays.items()}
    np.savez_compressed(memory, **plain)
    write_bytes(memory.getvalue(), path)
