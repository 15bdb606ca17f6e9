"""The names of the top level: there, documented, and known to type checkers."""

import ast
import inspect
from pathlib import Path

import pytest

import ancestral


@pytest.mark.parametrize("name", ancestral._HOMES)
def test_a_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(ancestral, name)
    words = inspect.getdoc(value) or ""
    assert words
    # What a dataclass without a docstring is given: its signature.
    assert not words.startswith(f"{name}(")
    assert name in dir(ancestral)


def test_type_checkers_see_the_same_names_in_the_same_homes() -> None:
    tree = ast.parse(Path(ancestral.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0]
    seen = {
        alias.asname: node.module.removeprefix("ancestral.")
        for node in imports
        for alias in node.names
        if node.module is not None and node.module.startswith("ancestral.")
    }
    assert seen == ancestral._HOMES


def test_every_ability_is_public() -> None:
    from ancestral.interface import ABILITIES

    assert {ability.__name__ for ability in ABILITIES} <= set(ancestral.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fits'"):
        _ = ancestral.fits
