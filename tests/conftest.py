"""Shapes and types in signatures are enforced while tests run."""

import os
from collections.abc import Iterator

from jaxtyping import config, install_import_hook

install_import_hook("ancestral", "beartype.beartype")

import pytest  # noqa: E402
import torch  # noqa: E402

# The models of the tests are tiny: a second thread only waits, above all on a busy machine.
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def untyped() -> Iterator[None]:
    """Signatures are not enforced, as outside of tests: for what the library itself says of a wrong type."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture
def data_root() -> str:
    """The folder of real data; tests that need it are skipped where there is none."""
    root = os.environ.get("ANCESTRAL_DATA")
    if not root:
        pytest.skip("ANCESTRAL_DATA is not set: no real data")
    return root
