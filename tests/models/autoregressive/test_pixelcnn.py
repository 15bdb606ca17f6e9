"""PixelCNN: the network of the paper, what each conditional sees, exact probabilities, and the cached sampler."""

import itertools

import pytest
import torch
from conditional_cases import (
    assert_cached_parameters_are_the_teacher_forced_ones,
    assert_cached_samples_are_the_naive_ones,
    assert_probabilities_sum_to_one,
    assert_samples_can_be_trained_on,
    dependence,
    some,
    stirred,
)
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from ancestral.interface import Binary, Categories, Event, InputError, Levels, Real
from ancestral.layers.masked import channel_groups, raster_mask
from ancestral.models.autoregressive.pixelcnn import PixelCNN

GREY, COLOUR = Event((1, 5, 6), Binary()), Event((3, 4, 3), Levels(4))


def build(
    event: Event, context_event: Event | None = None, *, channels: int = 5, blocks: int = 2, kernel_size: int = 3
) -> PixelCNN:
    """A small one in double precision whose conditionals differ much."""
    model = PixelCNN(
        event,
        context_event=context_event,
        channels=channels,
        blocks=blocks,
        kernel_size=kernel_size,
        head=2 * channels + 1,
    )
    return stirred(model)


# -- What a conditional sees -------------------------------------------------------------------------------------------


def documented(event: Event, blocks: int, reach: int) -> Tensor:
    """The receptive field that the module's docstring states."""
    colours, height, width = event.shape
    field = torch.zeros(colours, height, width, colours, height, width, dtype=torch.bool)
    far = 3 + reach * blocks
    for row, column, other, at in itertools.product(range(height), range(width), range(height), range(width)):
        up, right = row - other, at - column
        if up == 0:
            field[:, row, column, :, other, at] = -far <= right < 0
        elif 0 < up <= far:
            field[:, row, column, :, other, at] = -far <= right <= 3 + reach * min(blocks, up - 1)
    for row, column in itertools.product(range(height), range(width)):
        field[:, row, column, :, row, column] = torch.ones(colours, colours).tril(-1).bool()
    return field


@pytest.mark.parametrize(
    ("event", "blocks", "kernel_size"),
    [
        (Event((1, 5, 9), Binary()), 0, 3),
        (Event((1, 7, 14), Binary()), 2, 3),
        (Event((1, 7, 13), Levels(3)), 1, 5),
        (Event((1, 5, 9), Binary()), 2, 1),
        (Event((3, 5, 6), Binary()), 1, 3),
    ],
)
def test_every_conditional_sees_the_documented_receptive_field_and_nothing_else(
    event: Event, blocks: int, kernel_size: int
) -> None:
    model = build(event, channels=24, blocks=blocks, kernel_size=kernel_size)
    assert torch.equal(dependence(model), documented(event, blocks, kernel_size // 2))


def test_depth_does_not_heal_the_blind_spot() -> None:
    seen = dependence(build(Event((1, 6, 12), Binary()), channels=16, blocks=5))[0, 5, 1, 0]
    # All rows above are in reach; the border of what is seen runs off to the right above by one pixel a row.
    assert [int(row.sum()) for row in seen] == [9, 8, 7, 6, 5, 1]


# -- The network of the paper ------------------------------------------------------------------------------------------


def whole(convolution: nn.Module, mask: Tensor) -> Tensor:
    """The weight with the rows that its kernel leaves out, under a mask."""
    rows = mask.shape[2] - convolution.weight.shape[2]
    return F.pad(convolution.weight, (0, 0, 0, rows)) * mask


def shifts(model: PixelCNN, context: Tensor | None, sizes: list[int]) -> list[Tensor | float]:
    """What a context adds in each layer: linear maps of its numbers, or of an image's features at each pixel."""
    if context is None:
        return [0.0] * len(sizes)
    if context.dim() == 4:
        features = F.conv2d(context.double(), *model.context.features.parameters(), padding=1).relu()
    else:
        features = F.one_hot(context, 3).double()[:, :, None, None]
    return list(torch.einsum("oi,bihw->bohw", model.context.maps.weight[:, :, 0, 0], features).split(sizes, dim=1))


@pytest.mark.parametrize(
    ("event", "context_event"),
    [(GREY, None), (COLOUR, None), (COLOUR, Event((), Levels(3))), (GREY, Event((2, 5, 6), Real()))],
)
def test_the_network_is_table_1_with_the_blocks_of_figure_5(event: Event, context_event: Event | None) -> None:
    """A context adds to the outputs of the masked convolution of each layer, as in section 3.6."""
    model, colours, h = build(event, context_event), event.shape[0], 5
    x, context = some(event, 2).double(), None if context_event is None else some(context_event, 2)
    first, *added = shifts(model, context, [2 * h, h, h])

    def convolve(features: Tensor, convolution: nn.Module, size: int, inputs: int, outputs: int, kind: str) -> Tensor:
        groups = channel_groups(outputs, colours), channel_groups(inputs, colours)
        weight = whole(convolution, raster_mask(*groups, size, strict=kind == "A"))
        return F.conv2d(features, weight, convolution.bias, padding=size // 2)

    features = convolve(2 * x / ((event.values or 0) - 1) - 1, model.first, 7, colours, 2 * h, "A") + first
    for block, shift in zip(model.blocks, added):
        inner = convolve(features.relu(), block.reduce, 1, 2 * h, h, "B")
        inner = convolve(inner.relu(), block.convolution, 3, h, h, "B") + shift
        features = features + convolve(inner.relu(), block.expand, 1, h, 2 * h, "B")
    hidden = convolve(features.relu(), model.hidden, 1, 2 * h, 2 * h + 1, "B")
    logits = convolve(hidden.relu(), model.output, 1, 2 * h + 1, colours * model.observation.size, "B")
    # A softmax (of a binary pixel between a logit and 0) of each colour's own outputs.
    logits = logits.unflatten(1, (colours, -1)).transpose(1, 2)
    logits = logits if logits.shape[1] > 1 else torch.cat((torch.zeros_like(logits), logits), dim=1)
    expected = logits.log_softmax(1).gather(1, x.long()[:, None])[:, 0]
    torch.testing.assert_close(model.conditional_log_probs(x, context=context)[0], expected)


@pytest.mark.parametrize("event", [Event((1, 3, 3), Binary()), Event((3, 1, 2), Levels(3))])
def test_probabilities_sum_to_one(event: Event) -> None:
    assert_probabilities_sum_to_one(build(event))


# -- The cached sampler ------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("event", [Event((1, 10, 10), Binary()), Event((3, 6, 6), Levels(256))])
def test_cached_parameters_are_the_teacher_forced_ones_in_single_precision(event: Event) -> None:
    assert_cached_parameters_are_the_teacher_forced_ones(build(event))


@pytest.mark.parametrize("event", [Event((1, 8, 8), Binary()), Event((3, 4, 4), Levels(8))])
def test_a_sample_costs_the_operations_of_one_forward_pass(event: Event) -> None:
    model, x = build(event, channels=12, kernel_size=5), some(event, 2)
    with FlopCounterMode(display=False) as forward:
        model.log_prob(x)
    with FlopCounterMode(display=False) as sampling:
        model.sample(2)
    # Fewer for colours, whose masked zeros the forward pass multiplies; some more for biases as weights of a one.
    assert 0.5 < sampling.get_total_flops() / forward.get_total_flops() < 1.05


def test_samples_can_be_trained_on() -> None:
    assert_samples_can_be_trained_on(build(GREY))


def test_events_and_settings_that_cannot_be() -> None:
    with pytest.raises(InputError, match="discrete"):
        PixelCNN(Event((1, 3, 3), Real()))
    with pytest.raises(InputError, match="numbers"):
        PixelCNN(Event((1, 3, 3), Categories(4)))
    with pytest.raises(InputError, match="images"):
        PixelCNN(Event((9,), Binary()))
    with pytest.raises(InputError, match="kernel_size"):
        PixelCNN(GREY, kernel_size=4)
    with pytest.raises(InputError, match="channels"):
        PixelCNN(COLOUR, channels=2)
