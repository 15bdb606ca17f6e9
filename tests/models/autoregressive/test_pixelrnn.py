"""Row LSTM and Diagonal BiLSTM: the paper's equations as loops, what each conditional sees, and the cached sampler."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import pytest
import torch
from conditional_cases import (
    assert_cached_parameters_are_the_teacher_forced_ones,
    assert_cached_samples_are_the_naive_ones,
    assert_probabilities_sum_to_one,
    assert_samples_can_be_trained_on,
    dependence,
    seed,
    some,
    stirred,
)
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from ancestral.interface import Batch, Binary, Categories, Event, InputError, Levels, Real
from ancestral.layers.masked import channel_groups, raster_mask
from ancestral.models.autoregressive.pixelrnn import DiagonalBiLSTM, RowLSTM

PixelRNN: TypeAlias = RowLSTM | DiagonalBiLSTM
GREY, COLOUR = Event((1, 5, 6), Binary()), Event((3, 4, 3), Levels(4))
BOTH = pytest.mark.parametrize("kind", [RowLSTM, DiagonalBiLSTM])


def build(
    kind: type[PixelRNN],
    event: Event,
    context_event: Event | None = None,
    *,
    channels: int = 5,
    blocks: int = 2,
    **settings: int,
) -> PixelRNN:
    """A small one in double precision whose conditionals differ much."""
    model = kind(
        event, context_event=context_event, channels=channels, blocks=blocks, head=2 * channels + 1, **settings
    )
    return stirred(model)


# -- What a conditional sees -------------------------------------------------------------------------------------------


def within_a_pixel(field: Tensor) -> Tensor:
    """The field with earlier colours at each pixel itself, and no later ones."""
    colours, height, width = field.shape[:3]
    for row, column in itertools.product(range(height), range(width)):
        field[:, row, column, :, row, column] = torch.ones(colours, colours).tril(-1).bool()
    return field


@pytest.mark.parametrize(
    ("event", "blocks", "kernel_size"),
    [
        (Event((1, 4, 14), Binary()), 1, 3),
        (Event((1, 3, 13), Binary()), 3, 3),
        (Event((1, 3, 14), Levels(3)), 1, 5),
        (Event((1, 3, 18), Binary()), 1, 9),
        (Event((1, 3, 9), Binary()), 2, 1),
        (Event((3, 3, 9), Binary()), 1, 3),
    ],
)
def test_row_lstm_sees_the_documented_triangle_and_nothing_else(event: Event, blocks: int, kernel_size: int) -> None:
    colours, height, width = event.shape
    reach = kernel_size // 2
    field = torch.zeros(colours, height, width, colours, height, width, dtype=torch.bool)
    for row, column, other, at in itertools.product(range(height), range(width), range(height), range(width)):
        up, right = row - other, at - column
        if up >= 0:
            most = 3 + reach * (up - 1) if up else -1
            field[:, row, column, :, other, at] = -3 - reach * (blocks + up) <= right <= most
    model = build(RowLSTM, event, channels=9, blocks=blocks, kernel_size=kernel_size)
    assert torch.equal(dependence(model), within_a_pixel(field))


@pytest.mark.parametrize(
    ("event", "blocks"),
    [(Event((1, 5, 9), Binary()), 1), (Event((1, 4, 9), Levels(3)), 3), (Event((3, 3, 6), Binary()), 1), (COLOUR, 1)],
)
def test_diagonal_bilstm_sees_all_earlier_values_but_the_last_of_the_row_above(event: Event, blocks: int) -> None:
    """The last colour of its last pixel is seen through the 7x7 convolution alone, however deep the network is."""
    colours, height, width = event.shape
    pixels = torch.ones(height * width, height * width).tril().bool().view(height, width, height, width)
    field = pixels[None, :, :, None].repeat(colours, 1, 1, colours, 1, 1)
    for row in range(1, height):
        field[:, row, : max(0, width - 4), -1, row - 1, -1] = False
    model = build(DiagonalBiLSTM, event, channels=9, blocks=blocks)
    assert torch.equal(dependence(model), within_a_pixel(field))


# -- The network of the paper ------------------------------------------------------------------------------------------


def gates(state: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Equation 3 after its convolutions: o, f, i, g and the cell before to the next state and cell."""
    o, f, i, g = state.chunk(4, dim=1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


def rows_in_turn(incoming: Tensor, weight: Tensor) -> Tensor:
    """The states of Row LSTM: (batch, 4h, height, width) and the state-to-state weight (4h, h, 1, k)."""
    hidden = cell = incoming.new_zeros(len(incoming), weight.shape[1], 1, incoming.shape[3])
    states = []
    for row in incoming.split(1, dim=2):
        hidden, cell = gates(row + F.conv2d(hidden, weight, padding=(0, weight.shape[3] // 2)), cell)
        states.append(hidden)
    return torch.cat(states, dim=2)


def diagonals_in_turn(incoming: Tensor, weight: Tensor) -> Tensor:
    """The states of one direction of Diagonal BiLSTM, a pixel at a time: (batch, 4h, height, width) and (4h, h, 2, 1).

    In the skewed map a pixel's column is that of its diagonal: the column before holds, in the same row, the pixel to
    its left, and in the row above the one above.
    """
    _, _, height, width = incoming.shape
    outside = incoming.new_zeros(len(incoming), weight.shape[1])
    hidden, cell = {}, {}
    for at in itertools.product(range(height), range(width)):
        left, above = (at[0], at[1] - 1), (at[0] - 1, at[1])
        before = hidden.get(above, outside) @ weight[:, :, 0, 0].T + hidden.get(left, outside) @ weight[:, :, 1, 0].T
        hidden[at], cell[at] = gates(incoming[:, :, at[0], at[1]] + before, cell.get(left, outside))
    return torch.stack([*hidden.values()], dim=2).unflatten(2, (height, width))


def masked(layer: nn.Conv2d, to: Tensor, of: Tensor, size: int = 1, *, strict: bool = False) -> Tensor:
    """The layer's weight, which leaves out rows and columns that are hidden for all colours, under a mask of `size`."""
    height, width = layer.weight.shape[2:]
    last = size // 2 + 1
    return layer.weight * raster_mask(to, of, size, strict=strict)[:, :, last - height : last, :width]


def paper(model: PixelRNN, image: Tensor, context: Tensor | None) -> Tensor:
    """Table 1 and figure 5 with the model's weights: the logits, (batch, colours * values, height, width)."""
    colours, h = model.event.shape[0], model.blocks[0].channels
    inner, outer = channel_groups(h, colours), channel_groups(2 * h, colours)
    first = masked(model.first, outer, channel_groups(colours, colours), 7, strict=True)
    maps = F.conv2d(F.pad(image, (3, 3, 3, 0)), first, model.first.bias)
    for number, block in enumerate(model.blocks):
        to_state, recurrent = block.input_to_state, block.state_to_state.weight
        k = recurrent.shape[3]
        weight = masked(to_state, inner.repeat(len(to_state.weight) // h), outer, k)
        incoming = F.conv2d(F.pad(maps, (k // 2, 0)), weight, to_state.bias)
        if context is not None:
            incoming = incoming + shifts(model, context)[number]
        if isinstance(model, RowLSTM):
            states = rows_in_turn(incoming, recurrent)
        else:
            left = diagonals_in_turn(incoming[:, : 4 * h], recurrent[: 4 * h])
            right = diagonals_in_turn(incoming[:, 4 * h :].flip(3), recurrent[4 * h :]).flip(3)
            states = left + F.pad(right, (0, 0, 1, 0))[:, :, :-1]
        maps = maps + F.conv2d(states, masked(block.output, outer, inner))
    hidden, outputs = (channel_groups(len(layer.weight), colours) for layer in (model.hidden, model.output))
    maps = F.conv2d(maps.relu(), masked(model.hidden, hidden, outer), model.hidden.bias)
    return F.conv2d(maps.relu(), masked(model.output, outputs, hidden), model.output.bias)


def shifts(model: PixelRNN, context: Tensor) -> list[Tensor]:
    """What a context adds to the gates of each layer: linear maps of its numbers, or of an image's at each pixel."""
    if context.dim() == 4:
        features = F.conv2d(context.double(), *model.context.features.parameters(), padding=1).relu()
    else:
        features = F.one_hot(context, 3).double()[:, :, None, None]
    each = torch.einsum("oi,bihw->bohw", model.context.maps.weight[:, :, 0, 0], features)
    return list(each.chunk(len(model.blocks), dim=1))


@BOTH
@pytest.mark.parametrize(
    ("event", "context_event"),
    [
        (GREY, None),
        (COLOUR, None),
        (Event((1, 4, 1), Binary()), None),
        (Event((1, 1, 4), Binary()), None),
        (COLOUR, Event((), Levels(3))),
        (GREY, Event((2, 5, 6), Real())),
    ],
)
def test_the_network_and_its_gradient_are_those_of_the_paper(
    kind: type[PixelRNN], event: Event, context_event: Event | None
) -> None:
    model, top = build(kind, event, context_event), (event.values or 0) - 1
    context = None if context_event is None else some(context_event, 3)
    x = some(event, 3).double().requires_grad_()
    expected = paper(model, x * 2 / top - 1, context).unflatten(1, (event.shape[0], -1)).transpose(1, 2)
    found = model._conditionals(x, context, 0)
    torch.testing.assert_close(found, expected)
    direction, of = torch.randn_like(expected), [x, *model.parameters()]
    own, theirs = (
        torch.autograd.grad((out * direction).sum(), of, allow_unused=True, materialize_grads=True)
        for out in (found, expected)
    )
    torch.testing.assert_close(own, theirs)


@BOTH
@pytest.mark.parametrize("event", [Event((1, 3, 3), Binary()), Event((3, 1, 2), Levels(3))])
def test_probabilities_sum_to_one(kind: type[PixelRNN], event: Event) -> None:
    assert_probabilities_sum_to_one(build(kind, event))


# -- Samples -----------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("event", "context_event"),
    [
        (GREY, None),
        (Event((1, 4, 5), Levels(9)), None),
        (COLOUR, None),
        (Event((1, 4, 1), Binary()), None),
        (COLOUR, Event((), Levels(3))),
        (GREY, Event((4,), Real())),
        (COLOUR, Event((1, 4, 3), Levels(4))),
    ],
)
def test_cached_samples_are_the_naive_ones(kind: type[PixelRNN], event: Event, context_event: Event | None) -> None:
    assert_cached_samples_are_the_naive_ones(build(kind, event, context_event))


@pytest.mark.parametrize("kernel_size", [1, 5, 9])
def test_cached_samples_are_the_naive_ones_for_other_kernels(kernel_size: int) -> None:
    """Also where a kernel is wider than the image."""
    model = build(RowLSTM, GREY, kernel_size=kernel_size)
    naive = model.sample(4, generator=seed(), naively=True)
    assert torch.equal(model.sample(4, generator=seed()), naive)


@BOTH
@pytest.mark.parametrize("event", [Event((1, 10, 10), Binary()), Event((3, 6, 6), Levels(256))])
def test_cached_parameters_are_the_teacher_forced_ones_in_single_precision(kind: type[PixelRNN], event: Event) -> None:
    assert_cached_parameters_are_the_teacher_forced_ones(build(kind, event))


# -- Work --------------------------------------------------------------------------------------------------------------


def multiply_adds(work: Callable[[], object]) -> int:
    """Those of all matrix products and convolutions, in place and into given tensors too."""

    def product(_: object, a: Sequence[int], b: Sequence[int], *__: object, **___: object) -> int:
        return 2 * math.prod(a) * b[-1]

    in_place = dict.fromkeys((torch.ops.aten.addmm_, torch.ops.aten.baddbmm_), product)
    with FlopCounterMode(display=False, custom_mapping=in_place) as counter:
        work()
    return counter.get_total_flops() // 2


@BOTH
@pytest.mark.parametrize("event", [Event((1, 8, 8), Binary()), Event((3, 4, 5), Levels(8))])
def test_a_sample_costs_the_operations_of_one_forward_pass(kind: type[PixelRNN], event: Event) -> None:
    model, x = build(kind, event, channels=12), some(event, 2)
    ratio = multiply_adds(lambda: model.sample(2)) / multiply_adds(lambda: model.log_prob(x))
    # Fewer for colours, whose masked zeros the forward pass multiplies; more for the zeros beyond the borders of rows.
    assert 0.5 < ratio < 1.1


@BOTH
def test_a_pass_computes_each_state_once_and_nothing_beyond_the_border(kind: type[PixelRNN]) -> None:
    """Every pixel has h states of four gates, each from 2h maps at a pixel and h states at a neighbour in the image."""
    n, height, width, h, head = 2, 5, 7, 6, 13
    model = build(kind, Event((1, height, width), Binary()), channels=h, blocks=1)
    pixels, above = height * width, (height - 1) * width
    if kind is RowLSTM:  # two taps of its input; above, and above to the left and right
        states = 4 * h * (2 * 2 * h * pixels + h * (above + 2 * (height - 1) * (width - 1)))
    else:
        states = 2 * 4 * h * (2 * h * pixels + h * (above + height * (width - 1)))
    others = pixels * (25 * 2 * h + h * 2 * h + 2 * h * head + head)
    found = multiply_adds(lambda: model.log_prob(some(model.event, n)))
    assert found == n * (states + others)


@BOTH
def test_half_precision_trains_on_the_gradient_of_single_precision(kind: type[PixelRNN]) -> None:
    model = build(kind, GREY, Event((), Levels(3))).float()
    batch = Batch(some(GREY, 8).float(), context=some(Event((), Levels(3)), 8))
    gradients = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss = model.phases()[0].loss(batch).total
        parts = torch.autograd.grad(loss, list(model.parameters()))
        gradients.append(torch.cat([part.flatten() for part in parts]))
    assert F.cosine_similarity(*gradients, dim=0) > 0.999


@BOTH
def test_samples_can_be_trained_on_and_threads_are_restored(kind: type[PixelRNN]) -> None:
    assert_samples_can_be_trained_on(build(kind, GREY))


def test_events_and_settings_that_cannot_be() -> None:
    with pytest.raises(InputError, match="discrete"):
        RowLSTM(Event((1, 3, 3), Real()))
    with pytest.raises(InputError, match="numbers"):
        DiagonalBiLSTM(Event((1, 3, 3), Categories(4)))
    with pytest.raises(InputError, match="images"):
        DiagonalBiLSTM(Event((9,), Binary()))
    with pytest.raises(InputError, match="kernel_size"):
        RowLSTM(GREY, kernel_size=4)
    with pytest.raises(InputError, match="channels"):
        DiagonalBiLSTM(COLOUR, channels=2)
