"""Saved runs that were changed: every field of the configuration, bytes, lengths, weights of another run."""

import json
import pickle
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ancestral.persistence import CONFIG, WEIGHTS, _digest

from .case import Case
from .good import SCORED, Trap

_VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 3, 7, 10**6, 2**31, 2**63, 10**30, -0.5, 0.25, 1e308, "", "x", "vae", "os.system",
    "../../etc/passwd", "é\n☃", "x" * 10_000, [], [0], [-1], [3], [60_000, 20_000], [[[]]], ["a"], {}, {"a": 1},
    [1] * 500,
)  # fmt: skip
_MISSING = object()


def folder_cases(draw: random.Random, good: Path, count: int) -> Iterator[Case]:
    """`count` changed folders: three in four are configurations, half of them with a checksum that fits."""
    for i in range(count):
        run = draw.choice(SCORED)
        arguments = ("score", run, "-o", f"{run}.csv")
        if i % 4 < 3:
            path, value = _edit(draw, json.loads((good / run / CONFIG).read_text()))
            signed = i % 2 == 0
            where = f"{run}: {'.'.join(map(str, path))} = {'(gone)' if value is _MISSING else repr(value)[:60]}"
            kind = f"configuration{', signed' if signed else ''}"
            prepare = _configured(run, path, value, signed)
            yield Case(kind, where, arguments, prepare, not signed, f"{run}.csv")
        else:
            name, prepare = _bytes_changed(draw, good, run)
            yield Case("bytes of a folder", f"{run}: {name}", arguments, prepare, True, f"{run}.csv")


def _edit(draw: random.Random, config: dict[str, Any]) -> tuple[list[Any], Any]:
    path: list[Any] = []
    node: Any = config
    while isinstance(node, dict | list) and node and (not path or draw.random() < 0.85):
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        path.append(draw.choice([key for key in keys if key != "config_sha256"]))
        node = node[path[-1]]
    near = [node + 1, node - 1, node * 2, -node] if isinstance(node, int | float) else []
    return path, draw.choice([*_VALUES, *near, *near, _MISSING])


def _configured(run: str, path: list[Any], value: Any, signed: bool) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        file = folder / run / CONFIG
        config = json.loads(file.read_text())
        node = config
        for key in path[:-1]:
            node = node[key]
        if value is _MISSING:
            del node[path[-1]]
        else:
            node[path[-1]] = value
        if signed:
            config["config_sha256"] = _digest(config)
        file.write_text(json.dumps(config))

    return prepare


def _bytes_changed(draw: random.Random, good: Path, run: str) -> tuple[str, Callable[[Path], None]]:
    file, place, bit = draw.choice((CONFIG, WEIGHTS)), draw.random(), 1 << draw.randrange(8)
    other = draw.choice([name for name in SCORED if name != run])

    def flip(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[int(place * len(data))] ^= bit
        path.write_bytes(data)

    changes: dict[str, Callable[[Path], object]] = {
        f"bit {bit} of {file} at {place:.3f}": flip,
        f"{file} cut at {place:.3f}": lambda path: path.write_bytes(
            path.read_bytes()[: int(place * path.stat().st_size)]
        ),
        f"{file} of {other}": lambda path: path.write_bytes((good / other / file).read_bytes()),
        f"a pickle as {file}": lambda path: path.write_bytes(pickle.dumps(Trap())),
        f"no {file}": lambda path: path.unlink(),
        f"a folder as {file}": lambda path: (path.unlink(), path.mkdir()),
    }
    name = draw.choices(list(changes), weights=[6, 2, 2, 1, 1, 1])[0]
    return name, lambda folder: changes[name](folder / run / file) and None
