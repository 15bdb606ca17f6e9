"""RealNVP on 64-dimensional vectors: a training step against a bare loop, zuko, nflows and normflows.

    python -m benchmarks.realnvp

Eight couplings, two hidden layers of 128, batch 512, float32, fused Adam, the same number of parameters in each. The
floor is the time of the matrix products alone, at the rate that this machine's matrix product reaches.
"""

import argparse
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from ancestral.interface import Batch, Event, Real
from ancestral.models.flow.realnvp import RealNVP
from benchmarks import bare_realnvp
from benchmarks.timing import gemm_rate, interleave, machine

FEATURES, COUPLINGS, HIDDEN, BATCH = 64, 8, 128, 512
Step = Callable[[], None]


def trained_by(model: nn.Module, loss: Callable[[], Tensor]) -> Step:
    """One training step of `model` on `loss`."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        value = loss()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()

    return step


def ours(x: Tensor) -> tuple[Step, nn.Module]:
    event = Event((FEATURES,), Real())
    model = RealNVP(event, blocks=COUPLINGS, hidden=(HIDDEN, HIDDEN), normalization="none").train()
    (phase,) = model.phases()
    return trained_by(model, lambda: phase.loss(Batch(x)).total), model


def zuko(x: Tensor) -> tuple[Step, nn.Module]:
    from zuko.flows import NICE

    flow = NICE(FEATURES, transforms=COUPLINGS, hidden_features=(HIDDEN, HIDDEN))
    return trained_by(flow, lambda: -flow().log_prob(x).mean()), flow


def nflows(x: Tensor) -> tuple[Step, nn.Module]:
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.transforms import AffineCouplingTransform, CompositeTransform

    mask = torch.where(torch.arange(FEATURES) < FEATURES // 2, -1.0, 1.0)
    transforms = [AffineCouplingTransform(mask * (-1) ** i, _NflowsMLP) for i in range(COUPLINGS)]
    flow = Flow(CompositeTransform(transforms), StandardNormal([FEATURES]))
    return trained_by(flow, lambda: -flow.log_prob(x).mean()), flow


class _NflowsMLP(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outputs)
        )

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.network(x)


def normflows(x: Tensor) -> tuple[Step, nn.Module]:
    import normflows as nf

    flows = []
    for _ in range(COUPLINGS):
        network = nf.nets.MLP([FEATURES // 2, HIDDEN, HIDDEN, FEATURES], init_zeros=True)
        flows += [nf.flows.AffineCouplingBlock(network), nf.flows.Permute(FEATURES, mode="swap")]
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(FEATURES, trainable=False), flows)
    return trained_by(flow, lambda: flow.forward_kld(x)), flow


def contestants(x: Tensor) -> Iterator[tuple[str, Step]]:
    """Those that are installed, each with as many parameters as ours."""
    step, model = ours(x)
    expected = _size(model)
    yield "ancestral", step
    for name, make in (("bare", bare_realnvp.make_step), ("zuko", zuko), ("nflows", nflows), ("normflows", normflows)):
        try:
            step, model = make(x)
        except ImportError:
            print(f"{name:<10} not installed")
            continue
        if _size(model) != expected:
            raise AssertionError(f"{name} has {_size(model)} parameters, ours {expected}")
        yield name, step


def floor_seconds() -> float:
    """The matrix products of one step at the measured rate: forward, and two backward, the first layer's one less."""
    widths = [FEATURES // 2, HIDDEN, HIDDEN, FEATURES]
    products = [2 * BATCH * a * b for a, b in pairwise(widths)]
    operations = COUPLINGS * 3 * sum(products) - products[0]
    return operations / gemm_rate(BATCH, HIDDEN, HIDDEN)


def _size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repetitions", type=int, default=200)
    torch.manual_seed(0)
    x = torch.randn(BATCH, FEATURES)
    repetitions = parser.parse_args().repetitions
    seconds = interleave(dict(contestants(x)), repetitions, warm_up=10)
    print(f"training step, median of {repetitions}; {machine()}")
    for name, value in seconds.items():
        print(f"{name:<10} {1000 * value:7.2f} ms   ours is {seconds['ancestral'] / value:5.2f} times this")
    floor = floor_seconds()
    print(f"{'floor':<10} {1000 * floor:7.2f} ms   ours is {seconds['ancestral'] / floor:5.2f} times this")


if __name__ == "__main__":
    main()
