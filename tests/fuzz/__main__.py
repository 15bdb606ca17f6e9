"""`python -m tests.fuzz [--count N] [--seed S] [--only TEXT]`: how many cases ended how, and what went wrong."""

import argparse
import sys

from .case import Verdict
from .running import run, table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="how many cases")
    parser.add_argument("--seed", type=int, default=0, help="draws other cases")
    parser.add_argument("--only", default="", help="only the cases whose kind or name holds this text")
    parser.add_argument("--all", action="store_true", help="say what came of each case")
    arguments = parser.parse_args()

    def say(verdict: Verdict) -> None:
        if verdict.wrong or arguments.all:
            case = verdict.case
            print(f"{verdict.outcome}: {case.kind}: {case.name}\n    {verdict.detail.strip()}", flush=True)

    verdicts = run(arguments.count, arguments.seed, say, arguments.only)
    print(table(verdicts))
    return int(any(verdict.wrong for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
