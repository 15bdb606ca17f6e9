"""Gated PixelCNN: what each conditional sees, exact probabilities, and the cached sampler against the naive one."""

import itertools

import pytest
import torch
from torch import Tensor

from ancestral.interface import Batch, Binary, Categories, Event, InputError, Levels, Real, Support
from ancestral.models.autoregressive.gated_pixelcnn import GatedPixelCNN

GREY, COLOUR = Event((1, 5, 6), Binary()), Event((3, 4, 3), Levels(4))


def seed(value: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(value)


def build(
    event: Event, context_event: Event | None = None, *, channels: int = 7, kernel_size: int = 3
) -> GatedPixelCNN:
    """A small one in double precision whose conditionals differ much."""
    model = GatedPixelCNN(
        event, context_event=context_event, channels=channels, blocks=3, kernel_size=kernel_size, head=channels + 1
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.double().eval()


def some(event: Event, n: int) -> Tensor:
    support: Support = event.support
    if isinstance(support, Real):
        return torch.randn(n, *event.shape)
    return torch.randint(support.levels if isinstance(support, Levels) else 2, (n, *event.shape))


def dependence(model: GatedPixelCNN) -> Tensor:
    """Whether a conditional's parameters change with a value, (outputs, inputs), both in the order of generation."""
    order, weights = model.orders[0], torch.arange(1.0, 1 + model.observation.size).double()

    def outputs(x: Tensor) -> Tensor:
        return torch.einsum("bs...,s->b...", model._conditionals(x, None, 0), weights).flatten()

    # At one point alone, rectifiers that are off may hide what is seen; with few features at all points.
    points = some(model.event, 4).double().split(1)
    seen = sum(torch.autograd.functional.jacobian(outputs, x).flatten(1).ne(0).int() for x in points)
    assert isinstance(seen, Tensor)
    return seen.bool()[order][:, order]


@pytest.mark.parametrize("event", [GREY, COLOUR])
def test_every_conditional_sees_all_earlier_values_and_no_other(event: Event) -> None:
    # Deep enough for every earlier pixel of so small an image to be in reach: there is no blind spot.
    seen = dependence(build(event, channels=36))
    assert torch.equal(seen, torch.ones_like(seen).tril(-1))


@pytest.mark.parametrize("event", [Event((1, 3, 3), Binary()), Event((3, 1, 2), Levels(3))])
def test_probabilities_sum_to_one(event: Event) -> None:
    levels = event.support.levels if isinstance(event.support, Levels) else 2
    x = torch.tensor(list(itertools.product(range(levels), repeat=event.size))).view(-1, *event.shape)
    assert build(event).log_prob(x).exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("event", "context_event", "kernel_size"),
    [
        (GREY, None, 3),
        (Event((1, 4, 5), Levels(9)), None, 5),
        (COLOUR, None, 3),
        (COLOUR, Event((), Levels(3)), 3),
        (GREY, Event((4,), Real()), 3),
        (COLOUR, Event((1, 4, 3), Levels(4)), 1),
    ],
)
def test_cached_samples_are_the_naive_ones(event: Event, context_event: Event | None, kernel_size: int) -> None:
    model = build(event, context_event, kernel_size=kernel_size)
    context = None if context_event is None else some(context_event, 6)
    cached = model.sample(6, context=context, generator=seed(1))
    assert torch.equal(cached, model.sample(6, context=context, generator=seed(1), naively=True))
    assert not torch.equal(cached, model.sample(6, context=context, generator=seed(2)))
    if context is not None:
        assert not torch.allclose(
            model.log_prob(cached, context=context), model.log_prob(cached, context=context.flip(0))
        )


def test_the_context_has_a_map_of_its_own_for_each_stack_of_each_layer() -> None:
    """Equation 4 of van den Oord et al. 2016."""
    context_event = Event((4,), Real())
    model = build(GREY, context_event)
    model.log_prob(some(GREY, 8), context=some(context_event, 8)).sum().backward()
    gradient = model.context.maps.weight.grad
    assert gradient.shape == (4 * 2 * 2 * 7, 4, 1, 1)
    assert gradient.ne(0).all()


@pytest.mark.parametrize("event", [Event((1, 10, 10), Binary()), Event((3, 6, 6), Levels(256))])
def test_cached_parameters_are_the_teacher_forced_ones_in_single_precision(event: Event) -> None:
    model = build(event).float()
    x = model.sample(4, generator=seed())
    expected = model._conditionals(x, None, 0).flatten(2)
    network = model._stepwise(4, None, 0)
    with torch.no_grad():
        for step, dimension in enumerate(model.orders[0].tolist()):
            parameters = network.parameters(step)
            torch.testing.assert_close(parameters, expected[:, :, dimension], atol=1e-4, rtol=1e-4)
            network.write(step, x.flatten(1)[:, dimension])


def test_samples_can_be_trained_on_and_threads_are_restored() -> None:
    model = build(GREY).train()
    threads = torch.get_num_threads()
    x = model.sample(3)
    assert torch.get_num_threads() == threads
    model.phases()[0].loss(Batch(x)).total.backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


def test_events_and_settings_that_cannot_be() -> None:
    with pytest.raises(InputError, match="discrete"):
        GatedPixelCNN(Event((1, 3, 3), Real()))
    with pytest.raises(InputError, match="numbers"):
        GatedPixelCNN(Event((1, 3, 3), Categories(4)))
    with pytest.raises(InputError, match="images"):
        GatedPixelCNN(Event((9,), Binary()))
    with pytest.raises(InputError, match="kernel_size"):
        GatedPixelCNN(GREY, kernel_size=4)
    with pytest.raises(InputError, match="channels"):
        GatedPixelCNN(COLOUR, channels=2)
