"""Shapes and types in signatures are enforced while tests run."""

import os
from collections.abc import Iterator

from jaxtyping import install_import_hook

from tests.typing import enforcement

install_import_hook("ancestral", "tests.typing.enforced")

import pytest  # noqa: E402
import torch  # noqa: E402

# The models of the tests are tiny: a second thread only waits, above all on a busy machine.
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The contract first, which is by far the longest."""
    items.sort(key=lambda item: item.path.name != "test_contract.py")


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests leave the user's cache alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANCESTRAL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def untyped() -> Iterator[None]:
    """Signatures are not enforced, as outside of tests: for what the library itself says of a wrong type."""
    with enforcement(False):
        yield


@pytest.fixture
def data_root() -> str:
    """The folder of real data; tests that need it are skipped where there is none."""
    root = os.environ.get("ANCESTRAL_DATA")
    if not root:
        pytest.skip("ANCESTRAL_DATA is not set: no real data")
    return root
