"""Nothing that is damaged, and nothing that is typed, crashes, hangs, fills the memory, runs code or lies."""

import pytest

from .running import run, table


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nothing_goes_wrong() -> None:
    verdicts = run(1000)
    assert len(verdicts) == 1000
    assert not any(verdict.wrong for verdict in verdicts), table(verdicts)


def test_a_few_cases_and_they_are_the_same_each_time() -> None:
    verdicts = run(40, seed=1)
    assert not any(verdict.wrong for verdict in verdicts), table(verdicts)
    assert {verdict.outcome for verdict in verdicts} == {"refused", "went through", "as before"}
