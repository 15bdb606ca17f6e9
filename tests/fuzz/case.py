"""One thing to try, and what came of it."""

import contextlib
import io
import os
import resource
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from ancestral.cli.main import main

#: What a case may take before it counts as hanging, in seconds, and as filling the memory, in bytes.
SECONDS, BYTES = 40, 2 * 2**30
#: The file that forged pickles would make.
MARKER = "sprung"
#: The folder, in the good one, of what good runs give.
EXPECTED = "expected"


@dataclass(frozen=True)
class Case:
    """A command line in a copy of a folder of good runs and data, after `prepare` has damaged something in it."""

    kind: str
    name: str
    arguments: tuple[str, ...]
    prepare: Callable[[Path], None] = lambda folder: None
    #: Whether what the command gives must be refused, or be what it gives without the damage.
    unchanged: bool = False
    #: The file that the command writes, to be compared with the one of this name in the folder of what is expected.
    output: str | None = None


@dataclass(frozen=True)
class Verdict:
    """`outcome` is "refused", "as before", "went through" or what is wrong; `detail` says more."""

    case: Case
    outcome: str
    detail: str = ""

    @property
    def wrong(self) -> bool:
        return self.outcome not in ("refused", "as before", "went through")


class _Hanging(BaseException):
    """No `Exception`: nothing may catch it."""


def judge(case: Case, good: Path, folder: Path) -> Verdict:
    """Run the case in `folder`, which is made from `good` and removed again."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good, folder, symlinks=True)
    case.prepare(folder)
    begin = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    out, err = io.StringIO(), io.StringIO()
    code: int | None = None
    failure = ""
    with _in(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            with _time_limit():
                code = main(case.arguments)
        except _Hanging:
            failure = "hangs"
        except BaseException:
            failure = traceback.format_exc()
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    try:
        return _verdict(case, good, folder, code, failure, err.getvalue(), grown)
    finally:
        if time.perf_counter() - begin > SECONDS / 4:
            print(f"slow, {time.perf_counter() - begin:.0f} s: {case.name}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)


def _verdict(case: Case, good: Path, folder: Path, code: int | None, failure: str, err: str, grown: int) -> Verdict:
    lines = [line for line in err.splitlines() if not line.startswith("ancestral: warning: ")]
    if (folder / MARKER).exists() or (good / MARKER).exists():
        return Verdict(case, "ran code")
    if failure == "hangs":
        return Verdict(case, "hangs")
    if failure:
        return Verdict(case, "crashes", failure)
    if grown > BYTES:
        return Verdict(case, "fills the memory", f"{grown / 1e9:.1f} GB")
    if code == 0 and case.unchanged:
        return Verdict(case, "as before" if _as_expected(case, good, folder) else "gives other numbers")
    if code == 0:
        return Verdict(case, "went through")
    if len(lines) == 1 and lines[0].startswith("ancestral: error: "):
        return Verdict(case, "refused", lines[0])
    return Verdict(case, "is not refused in one line", err)


def _as_expected(case: Case, good: Path, folder: Path) -> bool:
    assert case.output is not None
    return (folder / case.output).read_bytes() == (good / EXPECTED / case.output).read_bytes()


@contextlib.contextmanager
def _in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise _Hanging

    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
