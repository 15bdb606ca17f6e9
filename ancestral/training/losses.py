"""Losses gathered without waiting for the device: read only where they are logged."""

import math
from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor


class LossRecord:
    """The losses of the steps since the last reading, and their means over the epoch."""

    def __init__(self) -> None:
        self._unread: defaultdict[str, list[Tensor]] = defaultdict(list)
        self._steps: defaultdict[str, list[int]] = defaultdict(list)
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, step: int, phase: str, total: Tensor, parts: Mapping[str, Tensor]) -> None:
        self._unread[phase].append(total.detach())
        self._steps[phase].append(step)
        for name, part in parts.items():
            self._unread[f"{phase}/{name}"].append(part.detach())

    def read(self) -> tuple[dict[str, float], tuple[str, int] | None]:
        """The means since the last reading, and the first (phase, step) whose loss is not finite."""
        means: dict[str, float] = {}
        bad: list[tuple[int, str]] = []
        for name, losses in self._unread.items():
            values = torch.stack(losses).double().tolist()
            means[name] = sum(values) / len(values)
            total = self._sums.get(name, 0.0)
            for value in values:
                # One by one: the epoch's mean must not depend on where a run was interrupted.
                total += value
            self._sums[name] = total
            self._counts[name] = self._counts.get(name, 0) + len(values)
            if name in self._steps and not math.isfinite(means[name]):
                steps = zip(self._steps[name], values, strict=True)
                bad.append(next((step, name) for step, value in steps if not math.isfinite(value)))
        self._unread.clear()
        self._steps.clear()
        if not bad:
            return means, None
        step, phase = min(bad)
        return means, (phase, step)

    def epoch_means(self) -> dict[str, float]:
        return {name: self._sums[name] / self._counts[name] for name in self._sums}

    def next_epoch(self) -> None:
        self._sums, self._counts = {}, {}

    def state_dict(self) -> dict[str, dict[str, float]]:
        return {"sums": dict(self._sums), "counts": dict(self._counts)}

    def load_state_dict(self, state: Mapping[str, Mapping[str, float]]) -> None:
        self._sums = dict(state["sums"])
        self._counts = {name: int(count) for name, count in state["counts"].items()}
