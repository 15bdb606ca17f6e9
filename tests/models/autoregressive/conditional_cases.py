"""What the tests of models of discrete conditionals share: small models, what a conditional sees, the naive oracle."""

import itertools
from typing import TypeVar

import pytest
import torch
from torch import Tensor

from ancestral.interface import Batch, Columns, Event, Real
from ancestral.layers.autoregressive import AutoregressiveModel

Model = TypeVar("Model", bound=AutoregressiveModel)


def seed(value: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(value)


def stirred(model: Model) -> Model:
    """The model in double precision, with weights far from where they start, so that its conditionals differ much."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.double().eval()


def some(event: Event, n: int) -> Tensor:
    """Any observations or contexts, (n, *event)."""
    if isinstance(event.support, Columns):
        return torch.stack([torch.randint(kind.values or 0, (n,)) for kind in event.supports], 1)
    if isinstance(event.support, Real):
        return torch.randn(n, *event.shape)
    return torch.randint(event.values or 0, (n, *event.shape))


def dependence(model: AutoregressiveModel, *, points: int = 6) -> Tensor:
    """Whether a conditional's parameters change with a value, (*event, *event): outputs, then inputs.

    At one point alone, rectifiers that are off may hide what is seen.
    """
    shape, size = model.event.shape, model.event.size
    weights = torch.arange(1.0, 1 + model.observation.size).double()
    seen = torch.zeros(size, *shape, dtype=torch.bool)
    for point in some(model.event, points):
        # The Jacobian in one pass: a copy of the point for each output.
        copies = point.double().expand(size, *shape).clone().requires_grad_()
        outputs = torch.einsum("bs...,s->b...", model._conditionals(copies, None, 0), weights).flatten(1)
        seen |= torch.autograd.grad(outputs.diagonal().sum(), copies)[0].ne(0)
    return seen.view(*shape, *shape)


def by_turn(model: AutoregressiveModel, *, points: int = 6) -> Tensor:
    """`dependence` in the order of generation, (size, size)."""
    order, size = model.orders[0], model.event.size
    return dependence(model, points=points).view(size, size)[order][:, order]


def assert_probabilities_sum_to_one(model: AutoregressiveModel) -> None:
    event = model.event
    x = torch.tensor(list(itertools.product(range(event.values or 0), repeat=event.size))).view(-1, *event.shape)
    assert model.log_prob(x).exp().sum().item() == pytest.approx(1, abs=1e-12)


def assert_cached_samples_are_the_naive_ones(model: AutoregressiveModel, n: int = 6) -> None:
    """In double precision the same ones; and they follow the generator and the context."""
    context = None if model.context_event is None else some(model.context_event, n)
    cached = model.sample(n, context=context, generator=seed(1))
    assert torch.equal(cached, model.sample(n, context=context, generator=seed(1), naively=True))
    assert not torch.equal(cached, model.sample(n, context=context, generator=seed(2)))
    if context is not None:
        others = model.log_prob(cached, context=context.roll(1, 0))
        assert not torch.allclose(model.log_prob(cached, context=context), others)


def assert_cached_parameters_are_the_teacher_forced_ones(model: AutoregressiveModel, n: int = 4) -> None:
    """In single precision, where what rounds differently could grow from step to step."""
    model = model.float()
    x = model.sample(n, generator=seed())
    expected = model._conditionals(x, None, 0).flatten(2)
    network = model._stepwise(n, None, 0)
    with torch.no_grad():
        for step, dimension in enumerate(model.orders[0].tolist()):
            torch.testing.assert_close(network.parameters(step), expected[:, :, dimension], atol=1e-4, rtol=1e-4)
            network.write(step, x.flatten(1)[:, dimension])


def assert_samples_can_be_trained_on(model: AutoregressiveModel) -> None:
    """They are no inference tensors, and as many threads run as before."""
    model, threads = model.train(), torch.get_num_threads()
    x = model.sample(3)
    assert torch.get_num_threads() == threads
    model.phases()[0].loss(Batch(x)).total.backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())
