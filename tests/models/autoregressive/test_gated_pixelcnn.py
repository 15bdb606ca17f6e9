"""Gated PixelCNN: what each conditional sees, exact probabilities, and the cached sampler against the naive one."""

import pytest
import torch
from conditional_cases import (
    assert_cached_parameters_are_the_teacher_forced_ones,
    assert_cached_samples_are_the_naive_ones,
    assert_probabilities_sum_to_one,
    assert_samples_can_be_trained_on,
    by_turn,
    some,
    stirred,
)

from ancestral.interface import Binary, Categories, Event, InputError, Levels, Real
from ancestral.models.autoregressive.gated_pixelcnn import GatedPixelCNN

GREY, COLOUR = Event((1, 5, 6), Binary()), Event((3, 4, 3), Levels(4))


def build(
    event: Event, context_event: Event | None = None, *, channels: int = 7, kernel_size: int = 3
) -> GatedPixelCNN:
    """A small one in double precision whose conditionals differ much."""
    model = GatedPixelCNN(
        event, context_event=context_event, channels=channels, blocks=3, kernel_size=kernel_size, head=channels + 1
    )
    return stirred(model)


@pytest.mark.parametrize("event", [GREY, COLOUR])
def test_every_conditional_sees_all_earlier_values_and_no_other(event: Event) -> None:
    # Deep enough for every earlier pixel of so small an image to be in reach: there is no blind spot.
    seen = by_turn(build(event, channels=36))
    assert torch.equal(seen, torch.ones_like(seen).tril(-1))


@pytest.mark.parametrize("event", [Event((1, 3, 3), Binary()), Event((3, 1, 2), Levels(3))])
def test_probabilities_sum_to_one(event: Event) -> None:
    assert_probabilities_sum_to_one(build(event))


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
    assert_cached_samples_are_the_naive_ones(build(event, context_event, kernel_size=kernel_size))


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
    assert_cached_parameters_are_the_teacher_forced_ones(build(event))


def test_samples_can_be_trained_on_and_threads_are_restored() -> None:
    assert_samples_can_be_trained_on(build(GREY))


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
