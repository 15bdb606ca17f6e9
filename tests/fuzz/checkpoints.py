"""Checkpoints that were changed, and then resumed from."""

import hashlib
import io
import pickle
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from .case import Case
from .good import RESUME, RESUMED, RESUMED_WEIGHTS, Trap


def checkpoint_cases(draw: random.Random, count: int) -> Iterator[Case]:
    """`count` checkpoints, the first as it is and the others changed; none may be resumed from into other weights."""
    yield Case("checkpoint", "as it is", RESUME, unchanged=True, output=RESUMED_WEIGHTS)
    for _ in range(count - 1):
        name, change = _change(draw)

        def prepare(folder: Path, change: Callable[[bytes], bytes] = change) -> None:
            path = folder / RESUMED / "checkpoint.pt"
            path.write_bytes(change(path.read_bytes()))

        yield Case("checkpoint", name, RESUME, prepare, True, RESUMED_WEIGHTS)


def _change(draw: random.Random) -> tuple[str, Callable[[bytes], bytes]]:
    place, bit, length = draw.random(), 1 << draw.randrange(8), draw.randrange(1, 200)
    trap = pickle.dumps(Trap())
    stored = io.BytesIO()
    torch.save(Trap(), stored)

    def flipped(data: bytes) -> bytes:
        at = int(place * len(data))
        return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]

    def zeroed(data: bytes) -> bytes:
        at = int(place * len(data))
        return data[:at] + bytes(length) + data[at + length :]

    changes: dict[str, Callable[[bytes], bytes]] = {
        f"bit {bit} at {place:.4f}": flipped,
        f"{length} bytes of 0 at {place:.4f}": zeroed,
        f"cut at {place:.4f}": lambda data: data[: int(place * len(data))],
        "without its checksum": lambda data: data[:-72],
        "more at its end": lambda data: data + b"\x00" * length,
        "a pickle": lambda data: trap,
        "a pickle, signed": lambda data: _signed(trap),
        "a pickle in torch's format, signed": lambda data: _signed(stored.getvalue()),
        "nothing, signed": lambda data: _signed(b""),
    }
    name = draw.choices(list(changes), weights=[8, 4, 4, 1, 1, 1, 1, 1, 1])[0]
    return name, changes[name]


def _signed(content: bytes) -> bytes:
    return content + b"\nsha256:" + hashlib.sha256(content).hexdigest().encode()
