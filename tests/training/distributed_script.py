"""Trains toys on several processes and writes their weights: `python distributed_script.py DEVICES FILE RUN_DIR`."""

import sys
from pathlib import Path

import torch
from torch import nn
from training_toys import PLANE, Gaussian, points

from ancestral.data import Data, Split
from ancestral.interface import SGD, Batch, Binary, Event, Losses, Model, Phase
from ancestral.registry import build
from ancestral.training import Cosine, fit

BITS = Event((4,), Binary())


class Pair(Model):
    """Two phases without noise, the second on every other batch."""

    monitor = None

    def __init__(self, ends: float = 1.0, event: Event = PLANE) -> None:
        super().__init__(event)
        self.ends = ends
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)

    def phases(self) -> list[Phase]:
        return [
            Phase("first", list(self.first.parameters()), self._first, optimizer=SGD(0.05), ends=self.ends),
            Phase("second", list(self.second.parameters()), self._second, every=2, optimizer=SGD(0.05)),
        ]

    def _first(self, batch: Batch) -> Losses:
        return Losses((self.second(self.first(batch.x)) - batch.x).square().mean())

    def _second(self, batch: Batch) -> Losses:
        return Losses((self.second(self.first(batch.x)) + batch.x).square().mean())


def main(devices: int, file: Path, run_dir: Path) -> None:
    torch.set_num_threads(1)
    data = Data("points", PLANE, *(Split(points(n, n), PLANE) for n in (50, 20, 10)))
    shared = {"accelerator": "cpu", "devices": devices, "progress": False}
    gaussian, pair, staged = Gaussian(), Pair(), Pair(ends=0.4)
    report = fit(
        gaussian, data, epochs=3, batch_size=16, schedule=Cosine(), ema=0.9, run_dir=run_dir, log_every=2, **shared
    )
    # The library's own that draw no noise in training.
    torch.manual_seed(0)
    flow, made = build("realnvp", PLANE, blocks=2, hidden=[6]), build("made", BITS, hidden=[6])
    bits = Split((points(40, 3).repeat(1, 2) > 0).byte(), BITS)
    # Actnorm starts where gradients vanish: Adam would make steps of their rounding.
    fit(flow, data, epochs=2, batch_size=13, optimizer=SGD(0.05), **shared)
    fit(made, bits, epochs=2, batch_size=13, **shared)
    # Batches of 13 and 12 rows: the processes' shares are uneven.
    fit(pair, data, epochs=3, batch_size=13, accumulate=2, clip_gradient=1.0, **shared)
    fit(staged, data, epochs=3, batch_size=13, minutes=60.0, log_every=1, **shared)
    if devices == 1 or torch.distributed.get_rank() == 0:
        models = {"gaussian": gaussian, "pair": pair, "staged": staged, "flow": flow, "made": made}
        weights = {f"{kind}.{name}": value for kind in models for name, value in models[kind].state_dict().items()}
        torch.save({"weights": weights, "history": report.history}, file)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
