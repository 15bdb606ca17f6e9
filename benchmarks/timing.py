"""Timing as ratios in one run: repetitions of all contestants interleaved, medians compared."""

import statistics
import time
from collections.abc import Callable, Mapping

import torch


def interleave(contestants: Mapping[str, Callable[[], object]], repetitions: int, warm_up: int = 1) -> dict[str, float]:
    """The median seconds of one call of each contestant, over `repetitions` rounds in which each is called once.

    Whatever else the machine does in the meantime hits all contestants alike. `warm_up` rounds go untimed. The order
    turns by one each round, so that none always follows the same neighbour's cache.
    """
    names = list(contestants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for round_ in range(-warm_up, repetitions):
        turn = round_ % len(names)
        for name in names[turn:] + names[:turn]:
            start = time.perf_counter()
            contestants[name]()
            elapsed = time.perf_counter() - start
            if round_ >= 0:
                seconds[name].append(elapsed)
    return {name: statistics.median(values) for name, values in seconds.items()}


def gemm_rate(m: int = 1024, n: int = 1024, k: int = 1024, *, seconds: float = 0.5) -> float:
    """Floating-point operations per second of a float32 matrix product (m, k) @ (k, n): the best of many calls."""
    a, b = torch.randn(m, k), torch.randn(k, n)
    best, stop = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < stop:
        start = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - start)
    return 2 * m * n * k / best


def machine() -> str:
    """What the figures were taken on, for the first line of a benchmark's output."""
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads"
