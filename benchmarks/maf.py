"""Masked autoregressive flow on 64-dimensional vectors against zuko and nflows: training, density and samples.

    python -m benchmarks.maf

Five transforms, two hidden layers of 128, batch 512, float32, fused Adam, the same number of parameters in each. Aims:
training step and density faster than either, samples at least twice as fast. Sampling in passes: its time over that of
a density, and the same of the inverse autoregressive flow, whose samples are single passes.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ancestral.interface import Batch, Event, Real
from ancestral.models.flow.masked_autoregressive_flow import InverseAutoregressiveFlow, MaskedAutoregressiveFlow
from benchmarks.realnvp import trained_by
from benchmarks.timing import interleave, machine

FEATURES, TRANSFORMS, HIDDEN, BATCH = 64, 5, 128, 512


@dataclass(frozen=True)
class Contestant:
    """A flow, ln p of a batch, and how it draws a batch."""

    flow: nn.Module
    log_prob: Callable[[Tensor], Tensor]
    sample: Callable[[], Tensor]

    def training_step(self, x: Tensor) -> Callable[[], None]:
        return trained_by(self.flow, lambda: -self.log_prob(x).mean())

    def density(self, x: Tensor) -> Callable[[], Tensor]:
        return torch.no_grad()(lambda: self.log_prob(x))


def ours(kind: type[MaskedAutoregressiveFlow] | type[InverseAutoregressiveFlow]) -> Contestant:
    flow = kind(Event((FEATURES,), Real()), blocks=TRANSFORMS, hidden=(HIDDEN, HIDDEN), normalization="none")
    (phase,) = flow.phases()
    return Contestant(flow.train(), lambda x: -phase.loss(Batch(x)).total, lambda: flow.sample(BATCH))


def zuko() -> Contestant:
    from zuko.flows import MAF

    flow = MAF(FEATURES, transforms=TRANSFORMS, hidden_features=(HIDDEN, HIDDEN))
    return Contestant(flow, lambda x: flow().log_prob(x).mean(), lambda: flow().sample((BATCH,)))


def nflows() -> Contestant:
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.transforms import CompositeTransform, MaskedAffineAutoregressiveTransform, ReversePermutation

    steps = []
    for _ in range(TRANSFORMS):
        # The first hidden layer is no block there, the second one is.
        made = MaskedAffineAutoregressiveTransform(FEATURES, HIDDEN, num_blocks=1, use_residual_blocks=False)
        steps += [ReversePermutation(FEATURES), made]
    flow = Flow(CompositeTransform(steps), StandardNormal([FEATURES]))
    return Contestant(flow, lambda x: flow.log_prob(x).mean(), lambda: flow.sample(BATCH))


def contestants() -> Iterator[tuple[str, Contestant]]:
    """Those that are installed, each with as many parameters as ours."""
    own = ours(MaskedAutoregressiveFlow)
    yield "ancestral", own
    for name, make in (("zuko", zuko), ("nflows", nflows)):
        try:
            other = make()
        except ImportError:
            print(f"{name:<10} not installed")
            continue
        if _size(other.flow) != _size(own.flow):
            raise AssertionError(f"{name} has {_size(other.flow)} parameters, ours {_size(own.flow)}")
        yield name, other


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--sampled", type=int, default=5, help="repetitions of the samples")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    x, found = torch.randn(BATCH, FEATURES), dict(contestants())
    print(f"{_size(found['ancestral'].flow)} parameters; {machine()}")

    def timed(what: str, calls: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
        seconds = interleave(calls, repetitions, warm_up=2)
        for name, value in seconds.items():
            ratio = seconds["ancestral"] / value
            print(f"{what:<14} {name:<10} {1000 * value:8.2f} ms   ours is {ratio:5.2f} times this")
        return seconds

    timed("training step", {name: one.training_step(x) for name, one in found.items()}, arguments.repetitions)
    density = timed("density", {name: one.density(x) for name, one in found.items()}, arguments.repetitions)
    drawn = timed("samples", {name: one.sample for name, one in found.items()}, arguments.sampled)
    print(f"samples in density passes: {drawn['ancestral'] / density['ancestral']:.1f}")

    inverse = ours(InverseAutoregressiveFlow)
    calls = {"samples": inverse.sample, "density": inverse.density(x), "training step": inverse.training_step(x)}
    seconds = interleave(calls, max(arguments.repetitions // 5, 1))
    passes = seconds["samples"] / density["ancestral"]
    print(f"inverse autoregressive: samples in density passes of the masked one {passes:.2f}")
    print(f"  density {seconds['density'] * 1e3:.1f} ms, training step {seconds['training step'] * 1e3:.1f} ms")


def _size(flow: nn.Module) -> int:
    return sum(parameter.numel() for parameter in flow.parameters())


if __name__ == "__main__":
    main()
