"""Gated PixelCNN on 28x28 binary images, batch 16: sampling in forward passes, and a training step, of a bare network.

Run: python -m benchmarks.gated_pixelcnn. Aims: cached sampling of 5 blocks of 32 channels in at most 6 (4) forward
passes and 100 times faster than naive, of 10 blocks of 128 channels in at most 3 (1.5); a training step at most 1.1
times the bare network's. The floor of sampling is its useful operations at the machine's rate of matrix products.
"""

import argparse
import time
from collections.abc import Callable
from unittest.mock import patch

import torch
from torch import nn

from ancestral.interface import Batch, Binary, Event
from ancestral.models.autoregressive.gated_pixelcnn import GatedPixelCNN
from benchmarks.bare_gated_pixelcnn import BareGatedPixelCNN, nats
from benchmarks.plain_gates import sigmoid_gate, tanh_gate
from benchmarks.timing import gemm_rate, interleave, machine

BATCH = 16
EVENT = Event((1, 28, 28), Binary())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--no-naive", action="store_true", help="leave out naive sampling, which takes a minute")
    arguments = parser.parse_args()
    rate = gemm_rate()
    print(f"{machine()}, {rate / 1e9:.0f} GFLOP/s in matrix products")
    small, bare = pair(channels=32, blocks=5)
    seconds = sampling(small, bare, rate, arguments.repetitions, "at most 6, aim 4")
    if not arguments.no_naive:
        start = time.perf_counter()
        small.sample(BATCH, naively=True)
        naive = time.perf_counter() - start
        print(f"  naive sampling {naive:.1f} s: {naive / seconds:.0f} times the cached (at least 100)")
    training(small, bare, rate, 3 * arguments.repetitions)
    gates(small, 3 * arguments.repetitions)
    large, bare = pair(channels=128, blocks=10)
    sampling(large, bare, rate, arguments.repetitions, "at most 3, aim 1.5")
    gates(large, arguments.repetitions)


def sampling(model: GatedPixelCNN, bare: BareGatedPixelCNN, rate: float, repetitions: int, goal: str) -> float:
    """Prints the cost of cached sampling in forward passes; its seconds."""
    x = images()

    @torch.inference_mode()
    def forward() -> torch.Tensor:
        return bare(x)

    seconds = interleave({"forward": forward, "sample": lambda: model.sample(BATCH)}, repetitions)
    sample, floor = seconds["sample"], operations(bare) * BATCH / rate
    print(
        f"{len(bare.layers) - 1} blocks of {bare.hidden.in_channels}: sampling {sample * 1e3:.0f} ms, a bare forward"
        f" pass {seconds['forward'] * 1e3:.1f} ms: {sample / seconds['forward']:.2f} passes ({goal});"
        f" floor {floor * 1e3:.1f} ms, {sample / floor:.1f} times it"
    )
    return sample


def training(model: GatedPixelCNN, bare: BareGatedPixelCNN, rate: float, repetitions: int) -> None:
    """Prints the cost of a training step against the bare network's, in the same loop."""
    x = images()
    steps = {
        "ours": training_step(model, lambda: model.phases()[0].loss(Batch(x)).total),
        "bare": training_step(bare, lambda: nats(bare, x)),
    }
    seconds = interleave(steps, repetitions)
    floor = 3 * operations(bare) * BATCH / rate
    print(
        f"  training step {seconds['ours'] * 1e3:.1f} ms, bare {seconds['bare'] * 1e3:.1f} ms:"
        f" {seconds['ours'] / seconds['bare']:.2f} times (at most 1.1);"
        f" floor {floor * 1e3:.1f} ms, {seconds['ours'] / floor:.1f} times it"
    )


def gates(model: GatedPixelCNN, repetitions: int) -> None:
    """Prints what a training step costs with gates whose weights are not scaled, against ours."""
    x = images()
    step = training_step(model, lambda: model.phases()[0].loss(Batch(x)).total)

    def using(gate: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], None]:
        def run() -> None:
            with patch("ancestral.layers.gated.gate", gate):
                step()

        return run

    others = {"tanh and sigmoid": using(tanh_gate), "sigmoids alone": using(sigmoid_gate)}
    seconds = interleave({"ours": step, **others}, repetitions)
    found = ", ".join(f"{seconds[name] / seconds['ours']:.3f} ({name})" for name in others)
    print(f"  training step with a gate of unscaled weights over ours: {found} times")


def images() -> torch.Tensor:
    return (torch.rand(BATCH, *EVENT.shape) < 0.2).float()


def pair(channels: int, blocks: int) -> tuple[GatedPixelCNN, BareGatedPixelCNN]:
    """Our model and the bare network with the same weights, which are one function."""
    torch.manual_seed(0)
    model = GatedPixelCNN(EVENT, channels=channels, blocks=blocks, kernel_size=3, head=64).eval()
    bare = BareGatedPixelCNN(channels, blocks).eval()
    bare.load_state_dict(model.state_dict())
    x = images()
    ours, theirs = -model.log_prob(x).mean(), nats(bare, x)
    counts = [sum(p.numel() for p in net.parameters()) for net in (model, bare)]
    if counts[0] != counts[1] or not torch.allclose(ours, theirs, rtol=1e-4):
        raise SystemExit(f"the networks differ: {counts} parameters, {ours.item()} and {theirs.item()} nats")
    return model, bare


def training_step(net: nn.Module, loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        net.train()
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()

    return step


def operations(bare: BareGatedPixelCNN) -> int:
    """Useful floating-point operations of one image: two for each weight at each pixel."""
    weights = sum(p.numel() for p in bare.parameters() if p.dim() == 4)
    return 2 * weights * EVENT.size


if __name__ == "__main__":
    main()
