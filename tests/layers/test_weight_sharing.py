"""The network of NADE: the loop of its equations, its gradient by automatic differentiation, its cost and memory."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ancestral.layers import weight_sharing
from ancestral.layers.weight_sharing import StepwiseWeightSharingNetwork, WeightSharingNetwork

#: One number for each dimension, or as many as a one-hot has; their outputs; the presence of dimensions; a context.
NETWORKS: dict[str, Callable[[], WeightSharingNetwork]] = {
    "binary": lambda: WeightSharingNetwork([1] * 11, [1] * 11, 5),
    "one-hot": lambda: WeightSharingNetwork([4] * 6, [4] * 6, 5, context=3),
    "mixed": lambda: WeightSharingNetwork([1, 3, 1, 2], [2, 3, 1, 1], 5, presence=True, context=3),
}


def build(name: str) -> WeightSharingNetwork:
    torch.manual_seed(0)
    network = NETWORKS[name]().double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    return network


def paper(network: WeightSharingNetwork, x: Tensor, order: Tensor, context: Tensor | None) -> list[Tensor]:
    """Equations 2 and 3 as they stand, W x_(o_<d) anew for every d: for each dimension (batch, its size)."""
    weights, inputs = network.weight.split(network.widths), x.split(network.widths, 1)
    output, belongs = network.output, network.outputs.dimensions
    found = [x.new_empty(0)] * len(order)
    for d, dimension in enumerate(order.tolist()):
        a = network.bias
        for earlier in order[:d].tolist():
            a = a + inputs[earlier] @ weights[earlier]
            if network.presence is not None:
                a = a + network.presence[earlier]
        own = belongs == dimension
        b = output.bias[own]
        if context is not None and network.context_hidden is not None and network.context_output is not None:
            a, b = a + network.context_hidden(context), b + network.context_output(context)[:, own]
        found[dimension] = (1 / (1 + torch.exp(-a))).expand(len(x), -1) @ output.weight[own].T + b
    return found


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("block", [1, 3, 100])
def test_outputs_and_gradients_are_those_of_the_equations(
    name: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, batch = build(name), 4
    monkeypatch.setattr(weight_sharing, "_MOST_ACTIVATIONS", block * batch * network.units)
    order = torch.randperm(len(network.widths))
    x = torch.randn(batch, sum(network.widths)).double().requires_grad_()
    context = None if network.context_hidden is None else torch.randn(batch, 3).double().requires_grad_()
    sources = [x, *network.parameters()] + ([] if context is None else [context])

    whole = network(x, order, context)
    expected = paper(network, x, order, context)
    found = [whole[:, : own.shape[1], dimension] for dimension, own in enumerate(expected)]
    weights = [torch.randn_like(own) for own in expected]
    gradients = [
        torch.autograd.grad(sum((w * own).sum() for w, own in zip(weights, each)), sources)
        for each in (found, expected)
    ]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-11)


def test_two_dimensions_by_hand() -> None:
    network = WeightSharingNetwork([1, 1], [1, 1], 1)
    with torch.no_grad():
        for parameter, values in (
            (network.weight, [2.0, 3.0]),
            (network.bias, [-1.0]),
            (network.output.weight, [5.0, 7.0]),
            (network.output.bias, [0.5, 0.25]),
        ):
            parameter.copy_(torch.tensor(values).view_as(parameter))
    x = torch.ones(1, 2)
    at_minus_one, at_one, at_two = (1 / (1 + torch.tensor(-a).exp()) for a in (-1.0, 1.0, 2.0))
    forwards, backwards = network(x, torch.tensor([0, 1])), network(x, torch.tensor([1, 0]))
    torch.testing.assert_close(forwards[0, 0], torch.stack([5 * at_minus_one + 0.5, 7 * at_one + 0.25]))
    torch.testing.assert_close(backwards[0, 0], torch.stack([5 * at_two + 0.5, 7 * at_minus_one + 0.25]))


@pytest.mark.parametrize("name", NETWORKS)
def test_steps_are_those_of_one_pass(name: str) -> None:
    network, order = build(name), torch.randperm(len(NETWORKS[name]().widths))
    x, context = torch.randn(6, sum(network.widths)).double(), torch.randn(6, 3).double()
    inputs = x.split(network.widths, 1)
    expected = network(x, order, context)
    steps = StepwiseWeightSharingNetwork(network, order, 6, context, encode=lambda dimension, _: inputs[dimension])
    with steps.walked():
        for step, dimension in enumerate(order.tolist()):
            size = int((network.outputs.dimensions == dimension).sum())
            found = steps.parameters(step)[:, :size].clone()
            torch.testing.assert_close(found, expected[:, :size, dimension].detach(), rtol=1e-12, atol=1e-12)
            steps.write(step, x[:, 0])


class Counted(TorchDispatchMode):
    """Counts the numbers that operations write, views left out."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        found = function(*args, **(kwargs or {}))
        if not function.is_view and "split" not in str(function):
            self.numbers += sum(leaf.numel() for leaf in tree_leaves(found) if isinstance(leaf, Tensor))
        return found


def written(call: Callable[[], object]) -> int:
    with Counted() as counted:
        call()
    return counted.numbers


def training_step(dimensions: int, units: int, batch: int) -> Callable[[], None]:
    network = WeightSharingNetwork([1] * dimensions, [1] * dimensions, units)
    x, order = torch.ones(batch, dimensions), torch.randperm(dimensions)
    return lambda: network(x, order).sum().backward()


def test_the_cost_of_density_and_gradient_is_linear_in_dimensions_and_in_units() -> None:
    base = written(training_step(64, 64, 32))
    assert base < 12 * 64 * 64 * 32  # each activation is written a few times
    assert written(training_step(128, 64, 32)) == pytest.approx(2 * base, rel=0.02)
    assert written(training_step(64, 128, 32)) == pytest.approx(2 * base, rel=0.1)


def test_a_sample_costs_about_one_pass() -> None:
    dimensions, units, n = 100, 64, 16
    network, order = WeightSharingNetwork([1] * dimensions, [1] * dimensions, units), torch.randperm(dimensions)
    x = torch.ones(n, dimensions)

    def sample() -> None:
        steps = StepwiseWeightSharingNetwork(network, order, n, encode=lambda _, values: values[:, None])
        for step in range(dimensions):
            steps.parameters(step)
            steps.write(step, x[:, step])

    with torch.no_grad():
        assert written(sample) < 1.5 * written(lambda: network(x, order))


@contextmanager
def saved_numbers() -> Iterator[list[int]]:
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield kept


def test_nothing_that_grows_with_observations_times_dimensions_times_units_is_kept_for_the_gradient() -> None:
    dimensions, units, batch = 64, 50, 40
    network = WeightSharingNetwork([1] * dimensions, [1] * dimensions, units)
    with saved_numbers() as kept:
        network(torch.ones(batch, dimensions), torch.arange(dimensions))
    weights, observations = dimensions * units, batch * (dimensions + units)
    assert sum(kept) < 4 * (weights + observations) < batch * dimensions * units / 4


def test_sums_keep_their_digits_in_bf16_training() -> None:
    network, x, order = build("binary").float(), torch.ones(2, 11), torch.arange(11)
    with torch.autocast("cpu", torch.bfloat16):
        found = network(x, order)
    assert torch.equal(found, network(x, order))
