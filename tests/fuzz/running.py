"""All cases of a seed, one after another in this process."""

import random
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from .case import Case, Verdict, judge
from .checkpoints import checkpoint_cases
from .commands import command_cases
from .folders import folder_cases
from .good import make_good


def run(count: int, seed: int = 0, say: Callable[[Verdict], None] | None = None, only: str = "") -> list[Verdict]:
    """Judge `count` cases drawn by `seed`: two in five changed folders, one changed checkpoints, two command lines."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("default")
        good = Path(scratch) / "good"
        make_good(good)
        folders, checkpoints = 2 * count // 5, count // 5
        cases: list[Case] = [
            *folder_cases(draw, good, folders),
            *checkpoint_cases(draw, checkpoints),
            *command_cases(draw, good, count - folders - checkpoints),
        ]
        verdicts = []
        for case in cases:
            if only in f"{case.kind}: {case.name}":
                torch.manual_seed(0)
                verdicts.append(judge(case, good, Path(scratch) / "case"))
                if say is not None:
                    say(verdicts[-1])
        return verdicts


def table(verdicts: Sequence[Verdict]) -> str:
    """How many cases of each kind ended in each way, and those that ended wrongly."""
    counts = Counter((verdict.case.kind, verdict.outcome) for verdict in verdicts)
    lines = [f"{kind:24}{outcome:28}{number:6}" for (kind, outcome), number in sorted(counts.items())]
    wrong = [f"{verdict.outcome}: {verdict.case.kind}: {verdict.case.name}" for verdict in verdicts if verdict.wrong]
    return "\n".join([*lines, f"{len(verdicts)} cases, {len(wrong)} wrong", *wrong])
