"""With what a number was made: versions, device, threads, date. They stand in the report and in the ledger."""

import importlib.metadata
import os
import platform
from datetime import UTC, datetime

import torch

_PACKAGES = ("torch", "lightning-fabric", "numpy", "scikit-learn")


def versions() -> dict[str, str]:
    """This library, Python and the packages that a number may depend on."""
    packages = {name: importlib.metadata.version(name) for name in ("ancestral", *_PACKAGES)}
    return {**packages, "python": platform.python_version()}


def device() -> str:
    """The name of the processor or accelerator."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"cpu ({platform.machine()}, {os.cpu_count()} cores)"


def today() -> str:
    """The date in UTC, as 2026-01-31."""
    return datetime.now(UTC).date().isoformat()
