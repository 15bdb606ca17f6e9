"""The contract notices nearly every small mistake in the mathematics, and with the tests all but a few."""

import ast

import pytest

from .mutant import PARTS, read_mutants
from .running import ROOT, run
from .table import rates, table

MUTANTS = read_mutants()


def test_the_lists_are_up_to_date() -> None:
    """Every mutant's lines are in the source once, and the change is Python of another meaning."""
    assert len(MUTANTS) >= 150
    assert len({str(mutant) for mutant in MUTANTS}) == len(MUTANTS)
    for mutant in MUTANTS:
        assert mutant.part in PARTS
        source = (ROOT / "ancestral" / mutant.file).read_text()
        assert ast.dump(ast.parse(mutant.mutated(ROOT / "ancestral"))) != ast.dump(ast.parse(source)), str(mutant)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_mistakes_are_noticed() -> None:
    verdicts = run(MUTANTS)
    assert not any(verdict.invalid for verdict in verdicts), table(verdicts)
    contract, both = rates(verdicts)
    assert contract >= 0.85, table(verdicts)
    assert both >= 0.97, table(verdicts)
