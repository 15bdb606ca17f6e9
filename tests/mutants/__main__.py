"""`python -m tests.mutants [--only NAME] [--workers N]`: the table of kill rates, and the mutants that live."""

import argparse

from .mutant import read_mutants
from .running import Verdict, run
from .table import table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="only the mutants whose file, part or name holds this text")
    parser.add_argument("--workers", type=int, help="processes at once; by default one for each core")
    arguments = parser.parse_args()
    chosen = [mutant for mutant in read_mutants() if arguments.only in str(mutant)]
    print(table(run(chosen, arguments.workers, _say)))


def _say(verdict: Verdict) -> None:
    by = verdict.contract or verdict.tests or (f"invalid, {verdict.invalid}" if verdict.invalid else "nothing")
    print(f"{verdict.mutant}\n    {by}", flush=True)


if __name__ == "__main__":
    main()
