"""Runs mutants: each on a copy of the package and in a process of its own.

The processes fork from a server that has imported torch, and not the package. A first pass over the unchanged package
tells what each case of the contract suite costs and which functions it runs: a mutant meets only the cases that run the
function that it changes, the quickest first.
"""

import ast
import contextlib
import itertools
import multiprocessing
import os
import runpy
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from .mutant import HERE, Mutant

ROOT = HERE.parents[1]
#: Seconds for one process; a mutant that takes longer hangs.
LIMIT = 600
#: What tests the interface and the modules at the package's root, the quick ones first.
_OF_THE_ROOT = (
    "tests/test_interface.py",
    "tests/test_registry.py",
    "tests/test_dequantization.py",
    "tests/layers/test_autoregressive.py",
    "tests/test_sticking_points.py",
    "tests/test_building.py",
)
#: Processes that share the first pass.
_SLICES = 8

_SERVER = multiprocessing.get_context("forkserver")
# What the checks and the tests import slowly, torch's compiler (which its optimizers import) above all.
_SERVER.set_forkserver_preload(["torch._dynamo", "torch.utils.flop_counter", "sklearn.mixture", "pytest"])


class NotRun(Exception):
    """A check could not be made, or fails on the package as it is."""


class _Gone(Exception):
    """A process ended without an answer."""


@dataclass(frozen=True)
class Verdict:
    """What noticed a mutant: the property of the contract or the test that failed first, None where nothing did.

    One is `invalid`, for the reason given, where no model can be built with it: nobody would overlook it.
    """

    mutant: Mutant
    contract: str | None = None
    tests: str | None = None
    invalid: str | None = None

    @property
    def lives(self) -> bool:
        return self.contract is None and self.tests is None


@dataclass
class _Case:
    """One model of the contract suite: what it costs, and the functions that it runs, (file, first, last line)."""

    name: str
    module: str
    seconds: float
    functions: set[tuple[str, int, int]] = field(default_factory=set)

    def runs(self, file: str, first: int, last: int) -> bool:
        return any(name == file and start <= last and first <= end for name, start, end in self.functions)


def run(
    mutants: Sequence[Mutant], workers: int | None = None, report: Callable[[Verdict], None] = lambda verdict: None
) -> list[Verdict]:
    """The verdict on each mutant, in their order; `report` is called as they are reached.

    Raises:
        NotRun: where a check fails on the package as it is.
        StaleMutant: for a mutant whose lines are not in the source.
    """
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        whole = Path(scratch) / "whole"
        for part in ("ancestral", "tests"):
            shutil.copytree(ROOT / part, whole / part)
        shutil.copy(ROOT / "pyproject.toml", whole)
        slices = pool.map(lambda index: _elsewhere(_survey, whole, index), range(_SLICES))
        cases = sorted((case for part in slices for case in part), key=lambda case: case.seconds)
        # Beforehand, since the parser of Python 3.11 is not safe in threads.
        concerned = [_concerned(mutant, cases, whole) for mutant in mutants]
        tried = {path for mutant, theirs in zip(mutants, concerned) for path in _test_files(mutant, theirs)}
        found = pool.map(lambda path: _elsewhere(_run_tests, whole, [path]), tried)
        if failed := [name for name in found if name]:
            raise NotRun(f"these tests fail without any mutant: {', '.join(failed)}")

        def judge(mutant: Mutant, theirs: list[_Case], index: int) -> Verdict:
            verdict = _judge(mutant, theirs, shutil.copytree(whole, Path(scratch) / str(index)))
            report(verdict)
            return verdict

        return list(pool.map(judge, mutants, concerned, range(len(mutants))))


def _judge(mutant: Mutant, concerned: list[_Case], root: Path) -> Verdict:
    (root / "ancestral" / mutant.file).write_text(mutant.mutated(root / "ancestral"))
    try:
        contract = _failure(_check, root, [case.name for case in concerned])
        tests = None if contract else _failure(_run_tests, root, _test_files(mutant, concerned))
    except NotRun as error:
        return Verdict(mutant, invalid=str(error))
    finally:
        shutil.rmtree(root)
    return Verdict(mutant, contract, tests)


def _concerned(mutant: Mutant, cases: list[_Case], root: Path) -> list[_Case]:
    """The cases that run the function that it changes, or its file where it changes what is in no function."""
    if mutant.tests:
        return []
    first, last = mutant.place(root / "ancestral")
    if not _in_a_function((root / "ancestral" / mutant.file).read_text(), first, last):
        first, last = 0, sys.maxsize
    return [case for case in cases if case.runs(mutant.file, first, last)]


def _in_a_function(source: str, first: int, last: int) -> bool:
    functions = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))
    return any(node.body[0].lineno <= first and last <= (node.end_lineno or 0) for node in functions)


def _test_files(mutant: Mutant, concerned: list[_Case]) -> list[str]:
    """Its own, or those that mirror its file and its folder, and those of the models concerned."""
    if mutant.tests:
        return [*mutant.tests]
    files = _mirror(mutant.file)
    for case in concerned:
        files += [path for path in _mirror(case.module)[:1] if path not in files]
    return files


def _mirror(file: str) -> list[str]:
    folder = Path("tests") / Path(file).parent
    if folder == Path("tests") or not (ROOT / folder).exists():
        return [*_OF_THE_ROOT]
    exact = folder / f"test_{Path(file).stem}.py"
    return [str(path) for path in (exact, folder) if (ROOT / path).exists()]


def _failure(work: Callable[..., str | None], *arguments: Any) -> str | None:
    try:
        return _elsewhere(work, *arguments)
    except _Gone as gone:
        return str(gone)


# -- In a process of its own ------------------------------------------------------------------------------------------


def _elsewhere(work: Callable[..., Any], *arguments: Any) -> Any:
    """What `work` returns in a new process."""
    receiver, sender = _SERVER.Pipe(duplex=False)
    process = _SERVER.Process(target=_send, args=(sender, work, arguments), daemon=True)
    process.start()
    sender.close()
    try:
        if not receiver.poll(LIMIT):
            raise _Gone(f"no answer in {LIMIT} s")
        result = receiver.recv()
    except EOFError as error:
        raise _Gone("the process died") from error
    finally:
        process.kill()
        process.join()
    if isinstance(result, BaseException):
        raise result
    return result


def _send(sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        try:
            result = work(*arguments)
        except Exception as error:
            result = NotRun(f"{type(error).__name__}: {error}")
    sender.send(result)


def _cases(root: Path) -> dict[str, Callable[[], Any]]:
    """The cases of the contract suite by name, of the package in that folder."""
    import torch

    torch.set_num_threads(1)
    sys.path.insert(0, str(root))
    os.chdir(root)
    cases: dict[str, Callable[[], Any]] = runpy.run_path(str(root / "tests/contract/test_contract.py"))["CASES"]
    loaded = Path(sys.modules["ancestral"].__file__ or "")
    assert loaded.is_relative_to(root), f"{loaded} was imported in place of the copy in {root}"
    return cases


def _survey(root: Path, index: int) -> list[_Case]:
    cases, found = dict(itertools.islice(_cases(root).items(), index, None, _SLICES)), []
    from ancestral.checks import check_model

    package = str(root / "ancestral") + os.sep
    for name, make in cases.items():
        start = time.perf_counter()
        with _called() as codes:
            model = make()
            check_model(model, verbose=False)
        seconds = time.perf_counter() - start
        inner = getattr(model, "inner", model)
        module = type(inner).__module__.removeprefix("ancestral.").replace(".", "/") + ".py"
        case = _Case(name, module, seconds)
        for code in codes:
            if code.co_filename.startswith(package):
                lines = [line for *_, line in code.co_lines() if line]
                case.functions.add((code.co_filename.removeprefix(package), min(lines), max(lines)))
        found.append(case)
    return found


@contextlib.contextmanager
def _called() -> Iterator[set[CodeType]]:
    """The code of every Python function that is called inside the block."""
    codes: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            codes.add(frame.f_code)

    sys.setprofile(note)
    try:
        yield codes
    finally:
        sys.setprofile(None)


def _check(root: Path, names: list[str]) -> str | None:
    """The first failure of the contract among these cases; None where they hold."""
    cases = _cases(root)
    models = {name: cases[name]() for name in names}
    from ancestral.checks import CheckFailure, check_model

    for name, model in models.items():
        try:
            check_model(model, verbose=False)
        except CheckFailure as failure:
            return f"{name}: {failure.property}"
        except Exception as error:
            return f"{name}: {type(error).__name__}"
    return None


def _run_tests(root: Path, files: list[str]) -> str | None:
    """The first test that fails among those of these files; None where they pass."""
    import pytest

    sys.path.insert(0, str(root))
    os.chdir(root)
    first = _FirstFailure()
    code = pytest.main(["-x", "-n", "0", "-p", "no:cacheprovider", *files], plugins=[first])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f"pytest ended with {code} for {', '.join(files)}")
    return first.name


class _FirstFailure:
    """A plugin of pytest that notes the first test that fails."""

    name: str | None = None

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and self.name is None:
            self.name = report.nodeid
