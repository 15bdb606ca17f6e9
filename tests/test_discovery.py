"""What is read from the source of the models is what they are."""

import subprocess
import sys

from ancestral.discovery import library_models
from ancestral.registry import list_models


def test_the_source_says_what_the_classes_are() -> None:
    registered = {info.name: info for info in list_models() if info.cls.__module__.startswith("ancestral.models.")}
    assert set(library_models()) == set(registered)
    for name, listed in library_models().items():
        info = registered[name]
        assert (listed.family, listed.abilities, listed.summary) == (info.family, info.abilities, info.summary)
        assert listed.module == info.cls.__module__
        assert listed.abilities


def test_a_model_is_imported_alone() -> None:
    code = (
        "import sys; from ancestral.registry import find_model; find_model('ppca');"
        "print([name for name in sys.modules if name.startswith('ancestral.models.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "probabilistic_pca" in done.stdout
    assert "vae" not in done.stdout
