"""The rates as a table."""

import math
from collections.abc import Sequence

from .mutant import PARTS
from .running import Verdict


def rates(verdicts: Sequence[Verdict]) -> tuple[float, float]:
    """The shares that the contract kills, of what models run, and the contract with the tests, of all."""
    contract = [verdict.contract is not None for verdict in verdicts if not verdict.mutant.tests]
    both = sum(not verdict.lives for verdict in verdicts)
    return sum(contract) / len(contract) if contract else math.nan, both / len(verdicts)


def table(verdicts: Sequence[Verdict]) -> str:
    """Kill rates by part, and by name those that the contract does not notice."""
    lines = [f"{'part':<16} mutants  contract  with tests"]
    for part in (*PARTS, "all"):
        mine = [verdict for verdict in verdicts if part in ("all", verdict.mutant.part)]
        if mine:
            contract, both = rates(mine)
            shown = "-" if math.isnan(contract) else f"{contract:.1%}"
            lines.append(f"{part:<16} {len(mine):7d}  {shown:>8}  {both:10.1%}")
    for title, unnoticed in (
        ("killed by the tests alone", [v for v in verdicts if v.contract is None and not v.lives]),
        ("alive", [v for v in verdicts if v.lives and not v.invalid]),
        ("invalid, no model can be built with it", [v for v in verdicts if v.invalid]),
    ):
        lines += ["", f"{title}:", *(f"  {verdict.mutant}" for verdict in unnoticed)] if unnoticed else []
    return "\n".join(lines)
