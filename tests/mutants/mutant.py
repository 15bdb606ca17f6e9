"""The lists of mutants, and how one is applied to a copy of the package."""

import textwrap
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent

#: What a mutant may be about.
PARTS = (
    "density",
    "log-determinant",
    "bound",
    "sampler",
    "encoder",
    "decoder",
    "context",
    "rows",
    "loss",
    "backward",
    "fit",
    "mask",
    "order",
    "columns",
    "mean",
    "missing",
    "score",
    "table",
    "digest",
)


class StaleMutant(Exception):
    """The source no longer has the lines that a mutant changes, exactly once: bring the list up to date."""


@dataclass(frozen=True)
class Mutant:
    """One wrong change: in `file` of the package, the lines `old` become `new`; both without their indentation.

    `tests` are those that run for it. There are none for what models run, which have the contract and their own.
    """

    file: str
    part: str
    name: str
    old: str
    new: str
    tests: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.file}: {self.part}: {self.name}"

    def place(self, package: Path) -> tuple[int, int]:
        """The first and the last line that it changes, counted from 1."""
        lines = (package / self.file).read_text().splitlines()
        height = self.old.count("\n") + 1
        found = [i for i in range(len(lines) - height + 1) if _block(lines[i : i + height]) == self.old]
        if len(found) != 1:
            raise StaleMutant(f"{self}: its lines are found {len(found)} times in {self.file}, not once:\n{self.old}")
        return found[0] + 1, found[0] + height

    def mutated(self, package: Path) -> str:
        """The source of its file with the change."""
        first, last = self.place(package)
        lines = (package / self.file).read_text().splitlines()
        indentation = lines[first - 1][: len(lines[first - 1]) - len(lines[first - 1].lstrip())]
        lines[first - 1 : last] = textwrap.indent(self.new, indentation).splitlines()
        return "\n".join(lines) + "\n"


def read_mutants() -> list[Mutant]:
    """All mutants, in the order of the lists."""
    return [mutant for path in sorted(HERE.glob("*.diff")) for mutant in _parse(path.read_text())]


def _parse(text: str) -> list[Mutant]:
    """`# file tests...`, then for each mutant `## part: name` and lines as in a diff: removed -, added +, kept with a
    space."""
    mutants, file, title = [], "", ""
    tests: list[str] = []
    body: list[str] = []
    for line in [*text.splitlines(), "#"]:
        if not line.startswith("#"):
            body.append(line)
            continue
        if title:
            part, name = title.split(": ", 1)
            old, new = (_block([line[1:] for line in body if line[:1] in kinds]) for kinds in ((" ", "-"), (" ", "+")))
            mutants.append(Mutant(file, part, name, old, new, tuple(tests)))
        body, title = [], line.removeprefix("## ") if line.startswith("## ") else ""
        if line.startswith("# "):
            file, *tests = line.split()[1:]
    return mutants


def _block(lines: list[str]) -> str:
    """The lines less the indentation of the first one, without the empty ones."""
    kept = [line for line in lines if line.strip()]
    margin = len(kept[0]) - len(kept[0].lstrip()) if kept else 0
    return "\n".join(line[margin:] if not line[:margin].strip() else line.lstrip() for line in kept)
