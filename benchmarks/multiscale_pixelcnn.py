"""Samples of a parallel multiscale PixelCNN and of a Gated PixelCNN of the same size: 28x28 binary images, batch 16.

Run: python -m benchmarks.multiscale_pixelcnn. Aim: at least 50 times as fast as the naive draw of Gated PixelCNN; the
paper reports about 100 times. Both have as many parameters, to 5 %; the naive draw is timed once.
"""

import argparse
import time

import torch

from ancestral.interface import Binary, Event
from ancestral.models.autoregressive.gated_pixelcnn import GatedPixelCNN
from ancestral.models.autoregressive.multiscale_pixelcnn import MultiscalePixelCNN
from benchmarks.timing import interleave, machine

BATCH = 16
EVENT = Event((1, 28, 28), Binary())
#: By how much the numbers of parameters may differ.
SAME_SIZE = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--no-naive", action="store_true", help="leave out naive sampling, which takes a minute")
    arguments = parser.parse_args()
    print(machine())
    ours, gated = pair()
    seconds = interleave(
        {
            "sample": lambda: ours.sample(BATCH),
            "gated": lambda: gated.sample(BATCH),
            "pass": lambda: ours.log_prob(torch.zeros(BATCH, *EVENT.shape)),
            "base": lambda: ours.base.sample(BATCH),
        },
        arguments.repetitions,
    )
    sample = seconds["sample"]
    print(
        f"multiscale: {1e3 * sample / BATCH:.2f} ms a sample, {sample / seconds['pass']:.2f} passes of its own"
        f" ({seconds['base'] / sample:.0%} of it for the base of {ours.stages[0]} pixels)"
    )
    cached = seconds["gated"]
    print(f"Gated PixelCNN, cached: {1e3 * cached / BATCH:.2f} ms a sample, {cached / sample:.1f} times as long")
    if not arguments.no_naive:
        start = time.perf_counter()
        gated.sample(BATCH, naively=True)
        naive = time.perf_counter() - start
        print(
            f"Gated PixelCNN, naive: {1e3 * naive / BATCH:.0f} ms a sample, {naive / sample:.0f} times as long"
            " (at least 50)"
        )


def pair() -> tuple[MultiscalePixelCNN, GatedPixelCNN]:
    """The models of the recipes multiscale-pixelcnn-mnist and gated-pixelcnn-mnist-stat, which are of one size."""
    torch.manual_seed(0)
    ours = MultiscalePixelCNN(EVENT, scales=2, channels=24, blocks=3, base_channels=24, base_blocks=2, head=32).eval()
    gated = GatedPixelCNN(EVENT, channels=32, blocks=5, kernel_size=5, head=64).eval()
    sizes = [sum(parameter.numel() for parameter in model.parameters()) for model in (ours, gated)]
    if abs(sizes[1] / sizes[0] - 1) > SAME_SIZE:
        raise SystemExit(f"the networks are not of one size: {sizes[0]:,} and {sizes[1]:,} parameters")
    print(f"multiscale PixelCNN of {sizes[0]:,} and Gated PixelCNN of {sizes[1]:,} parameters")
    return ours, gated


if __name__ == "__main__":
    main()
