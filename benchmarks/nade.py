"""NADE's training step over the loop of its equations, and how its cost grows.

    python -m benchmarks.nade

500 units on 784 binary dimensions, batch 100, float32. The loop takes unbound rows of W and V, and leaves the gradient
to automatic differentiation. Aims: a step at least 1.5 times as fast, better 3 times; twice the dimensions or twice the
units cost at most 2.2 times as much; a sample of the batch at most twice a density.

Beside them the floor: the sigmoids of a step alone, two for each activation since the backward pass computes them anew;
and the multiply-adds and bytes of one activation.
"""

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from ancestral.interface import Batch, Binary, Event
from ancestral.models.autoregressive.nade import NADE
from benchmarks.timing import interleave, machine

DIMENSIONS, UNITS, BATCH = 784, 500, 100


def some(dimensions: int) -> Tensor:
    return (torch.rand(BATCH, dimensions) > 0.8).float()


def step(model: NADE, x: Tensor, loss: Callable[[], Tensor]) -> Callable[[], None]:
    (phase,) = model.phases()
    optimizer = phase.optimizer.build(phase.parameters)

    def take() -> None:
        for parameter in phase.parameters:
            parameter.grad = None
        loss().backward()
        optimizer.step()

    return take


def ours(dimensions: int, units: int) -> Callable[[], None]:
    model, x = NADE(Event((dimensions,), Binary()), units=units).train(), some(dimensions)
    (phase,) = model.phases()
    return step(model, x, lambda: phase.loss(Batch(x)).total)


def loop(dimensions: int, units: int) -> Callable[[], None]:
    """The same parameters and the same loss, a dimension at a time."""
    model, x = NADE(Event((dimensions,), Binary()), units=units).train(), some(dimensions)
    network = model.network

    def loss() -> Tensor:
        a, logits = network.bias.expand(BATCH, -1), []
        rows = network.weight.unbind(0), network.output.weight.unbind(0), network.output.bias.unbind(0), x.unbind(1)
        for w, v, b, value in zip(*rows):
            logits.append(torch.sigmoid(a) @ v + b)
            a = a + value[:, None] * w
        return -model.observation.log_prob(torch.stack(logits, 1)[:, None], x).sum(1).mean()

    return step(model, x, loss)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repetitions", type=int, default=20)
    repetitions = parser.parse_args().repetitions
    torch.manual_seed(0)
    print(machine())

    few = torch.randn(8, BATCH, UNITS)  # as many activations as a processor's own cache holds

    def sigmoids() -> None:
        for _ in range(2 * DIMENSIONS // len(few)):
            torch.sigmoid(few)

    seconds = interleave(
        {
            "step": ours(DIMENSIONS, UNITS),
            "loop": loop(DIMENSIONS, UNITS),
            "half the dimensions": ours(DIMENSIONS // 2, UNITS),
            "half the units": ours(DIMENSIONS, UNITS // 2),
            "sigmoids": sigmoids,
        },
        repetitions,
    )
    own = seconds["step"]
    print(f"training step {1e3 * own:.0f} ms, {1e9 * own / (DIMENSIONS * UNITS * BATCH):.2f} ns an activation")
    _say("the loop in our steps", seconds["loop"] / own, least=1.5)
    _say("twice the dimensions", own / seconds["half the dimensions"], most=2.2)
    _say("twice the units", own / seconds["half the units"], most=2.2)
    print(f"  {'in times its sigmoids':<24} {own / seconds['sigmoids']:5.2f}")
    # Forward x W and V h, backward x W again and the gradients of h, V and W. Only one block is ever in memory.
    print("  an activation is 6 multiply-adds, 2 sigmoids and about 12 passes of 8 bytes each, in a core's cache")

    model, x = NADE(Event((DIMENSIONS,), Binary()), units=UNITS).eval(), some(DIMENSIONS)
    density = torch.no_grad()(lambda: model.log_prob(x))
    seconds = interleave({"density": density, "sample": lambda: model.sample(BATCH)}, max(1, repetitions // 4))
    _say("a sample in densities", seconds["sample"] / seconds["density"], most=2.0)


def _say(what: str, ratio: float, *, least: float = 0.0, most: float = float("inf")) -> None:
    aim = f"at least {least}" if least else f"at most {most}"
    print(f"  {what:<24} {ratio:5.2f} times, {aim}: {'met' if least <= ratio <= most else 'NOT MET'}")


if __name__ == "__main__":
    main()
