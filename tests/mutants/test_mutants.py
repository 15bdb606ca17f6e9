"""The contract notices nearly every small mistake in the mathematics, and with the tests all but a few."""

import ast

import pytest

from .mutant import PARTS, read_mutants
from .running import ROOT, run
from .table import rates, table

MUTANTS, PACKAGE = read_mutants(), ROOT / "ancestral"


def test_the_lists_are_up_to_date() -> None:
    """Every mutant's lines are in the source once, and the change is Python of another meaning."""
    assert len(MUTANTS) >= 150
    assert len({str(mutant) for mutant in MUTANTS}) == len(MUTANTS)
    meaning = {file: _meaning((PACKAGE / file).read_text()) for file in {mutant.file for mutant in MUTANTS}}
    for mutant in MUTANTS:
        assert mutant.part in PARTS
        assert all((ROOT / path).is_file() for path in mutant.tests), str(mutant)
        assert _meaning(mutant.mutated(PACKAGE)) != meaning[mutant.file], str(mutant)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_mistakes_are_noticed() -> None:
    verdicts = run(MUTANTS)
    assert not any(verdict.invalid for verdict in verdicts), table(verdicts)
    contract, both = rates(verdicts)
    assert contract >= 0.85, table(verdicts)
    assert both >= 0.97, table(verdicts)


def _meaning(source: str) -> str:
    return ast.dump(ast.parse(source))
