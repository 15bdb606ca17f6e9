"""A training step of an IWAE and of a flow posterior over the same network's without them.

    python -m benchmarks.variational

IWAE: 784-200-200-50 and back, batch 100, k = 5, each gradient, over the VAE's step. Flow posterior: 40 planar maps,
amortized, on 784-400-400-40 and back, batch 100, over the step without a flow. Beside each ratio its floor, that of
the multiply-adds, forward and backward, of the matrix products of the two steps.
"""

import argparse
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ancestral.interface import Batch, Binary, Event, Model
from ancestral.registry import build
from benchmarks.timing import interleave, machine

PIXELS, BATCH = 784, 100


def step(model: Model, x: Tensor) -> Callable[[], None]:
    model.train()
    (phase,) = model.phases()
    optimizer = phase.optimizer.build(phase.parameters)

    def take() -> None:
        for parameter in phase.parameters:
            parameter.grad = None
        phase.loss(Batch(x)).total.backward()
        optimizer.step()

    return take


def multiply_adds(widths: Sequence[int], *, inputs_need_gradients: bool) -> int:
    """Of one row through a perceptron: forward, for the weights, and for the inputs of every layer but the first."""
    products = [a * b for a, b in pairwise(widths)]
    return 3 * sum(products) - (0 if inputs_need_gradients else products[0])


def compare(title: str, ours: dict[str, tuple[Model, float, float]], base: Model, x: Tensor, repetitions: int) -> None:
    """Each model's step over the base's: (model, floor of the ratio, the most that it may be)."""
    seconds = interleave(
        {"base": step(base, x), **{name: step(model, x) for name, (model, _, _) in ours.items()}}, repetitions, 10
    )
    print(f"{title}: {1e3 * seconds['base']:.2f} ms, median of {repetitions}")
    for name, (_, floor, most) in ours.items():
        ratio = seconds[name] / seconds["base"]
        met = "met" if ratio <= most else "NOT MET"
        print(f"  {name:<24} {ratio:5.2f} times this (multiply-adds {floor:.2f} times), at most {most}: {met}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repetitions", type=int, default=200)
    repetitions = parser.parse_args().repetitions
    torch.manual_seed(0)
    x, event = (torch.rand(BATCH, PIXELS) > 0.8).float(), Event((PIXELS,), Binary())
    print(machine())

    encoder = multiply_adds([784, 200, 200, 100], inputs_need_gradients=False)
    decoder = multiply_adds([50, 200, 200, 784], inputs_need_gradients=True)
    both, full = encoder + decoder, encoder + 5 * decoder
    # Five decodings without gradients, and one with.
    single = encoder + 5 * decoder // 3 + decoder
    made = {
        name: (build("iwae", event, importance_samples=5, gradient=name), floor / both, 2.2)
        for name, floor in (("importance_weighted", full), ("doubly_reparametrized", full), ("single_sample", single))
    }
    compare("VAE 784-200-200-50", made, build("vae", event), x, repetitions)

    settings = {"latent_dim": 40, "hidden": [400, 400]}
    both = multiply_adds([784, 400, 400, 80], inputs_need_gradients=False)
    both += multiply_adds([40, 400, 400, 784], inputs_need_gradients=True)
    # The context, the maps' parameters of it, and the products of all their w and u, w and z, u and tanh.
    more = 3 * (400 * 40 + 40 * 40 * 81 + 40 * 40 * 40 + 2 * 40 * 40)
    flow = build("flow_vae", event, posterior="planar", length=40, **settings)
    compare(
        "VAE 784-400-400-40",
        {"40 planar maps": (flow, (both + more) / both, 1.6)},
        build("flow_vae", event, posterior="gaussian", **settings),
        x,
        repetitions,
    )


if __name__ == "__main__":
    main()
