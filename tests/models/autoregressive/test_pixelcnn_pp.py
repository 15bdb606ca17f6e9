"""PixelCNN++: what each conditional sees, the network as the authors write it, and the cached sampler against the
naive one."""

import itertools
from collections.abc import Callable, Iterable
from typing import TypeAlias

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
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from ancestral.interface import Binary, Categories, Event, InputError, Levels, Real
from ancestral.layers.shifted import GatedResidual, NormalisedWeight, ShiftedScale, concat_elu
from ancestral.models.autoregressive.pixelcnn_pp import PixelCNNPlusPlus

GREY, COLOUR = Event((1, 5, 6), Binary()), Event((3, 4, 3), Levels(4))


def build(
    event: Event,
    context_event: Event | None = None,
    *,
    channels: int = 4,
    blocks: int = 1,
    scales: int = 2,
    components: int = 2,
) -> PixelCNNPlusPlus:
    """A small one in double precision whose conditionals differ much."""
    model = PixelCNNPlusPlus(
        event, context_event=context_event, channels=channels, blocks=blocks, scales=scales, components=components
    )
    return stirred(model)


# -- What is seen ------------------------------------------------------------------------------------------------------

Seen: TypeAlias = dict[tuple[int, int], frozenset[tuple[int, int]]]


def union(*maps: Seen) -> Seen:
    return {place: frozenset().union(*(seen[place] for seen in maps)) for place in maps[0]}


def through(seen: Seen, rows: Iterable[int], columns: Iterable[int], height: int, width: int, stride: int = 1) -> Seen:
    """What a convolution's outputs see, by its taps' offsets."""
    taps = list(itertools.product(rows, columns))
    return {
        (i, j): frozenset().union(*(seen.get((stride * i + di, stride * j + dj), frozenset()) for di, dj in taps))
        for i, j in itertools.product(range(height), range(width))
    }


def back(seen: Seen, columns: Iterable[int], height: int, width: int) -> Seen:
    """What a transposed convolution's outputs see: a feature goes to two rows and to these columns of its place."""
    found: Seen = {place: frozenset() for place in itertools.product(range(height), range(width))}
    for (h, w), di, dj in itertools.product(seen, (0, 1), columns):
        if (place := (2 * h + di, 2 * w + dj)) in found:
            found[place] |= seen[h, w]
    return found


def receptive_field(height: int, width: int, blocks: int, scales: int) -> Seen:
    """The pixels that each pixel's conditionals see, from the authors' lists of layers of the two streams."""
    image: Seen = {(i, j): frozenset({(i, j)}) for i, j in itertools.product(range(height), range(width))}
    sizes = [(height, width)]
    v = [through(image, (-2, -1), (-1, 0, 1), height, width)]
    h = [union(through(image, (-1,), (-1, 0, 1), height, width), through(image, (-1, 0), (-1,), height, width))]

    def vertical(x: Seen, *others: Seen) -> Seen:
        once = union(through(x, (-1, 0), (-1, 0, 1), *sizes[-1]), *others)
        return union(x, through(once, (-1, 0), (-1, 0, 1), *sizes[-1]))

    def horizontal(x: Seen, *others: Seen) -> Seen:
        once = union(through(x, (-1, 0), (-1, 0), *sizes[-1]), *others)
        return union(x, through(once, (-1, 0), (-1, 0), *sizes[-1]))

    for scale in range(scales):
        if scale:
            sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
            v.append(through(v[-1], (-1, 0), (-1, 0, 1), *sizes[-1], stride=2))
            h.append(through(h[-1], (-1, 0), (-1, 0), *sizes[-1], stride=2))
        for _ in range(blocks):
            v.append(vertical(v[-1]))
            h.append(horizontal(h[-1], v[-1]))
    top_v, top_h = v.pop(), h.pop()
    for scale in reversed(range(scales)):
        for _ in range(blocks + (scale < scales - 1)):
            top_v = vertical(top_v, v.pop())
            top_h = horizontal(top_h, top_v, h.pop())
        if scale:
            sizes.pop()
            top_v, top_h = back(top_v, (-1, 0, 1), *sizes[-1]), back(top_h, (0, 1), *sizes[-1])
    assert not v
    return top_h


@pytest.mark.parametrize(
    ("shape", "scales"), [((1, 5, 6), 2), ((1, 6, 9), 3), ((3, 4, 3), 2), ((2, 3, 5), 1), ((2, 1, 7), 4)]
)
def test_every_conditional_sees_all_earlier_values_and_no_other(shape: tuple[int, int, int], scales: int) -> None:
    # Deep enough for every earlier pixel of so small an image to be in reach: there is no blind spot.
    seen = by_turn(build(Event(shape, Levels(5)), blocks=2, scales=scales), points=1)
    assert torch.equal(seen, torch.ones_like(seen).tril(-1))


@pytest.mark.parametrize(
    ("height", "width", "blocks", "scales"), [(9, 12, 1, 1), (13, 8, 1, 1), (5, 24, 1, 2), (21, 3, 1, 2)]
)
def test_the_receptive_field_is_the_authors(height: int, width: int, blocks: int, scales: int) -> None:
    seen = by_turn(build(Event((1, height, width), Levels(5)), channels=3, blocks=blocks, scales=scales), points=1)
    expected, limited = receptive_field(height, width, blocks, scales), False
    for i, j in itertools.product(range(height), range(width)):
        row = torch.zeros(height, width, dtype=torch.bool)
        for place in expected[i, j]:
            row[place] = True
        assert torch.equal(seen[i * width + j], row.flatten())
        limited = limited or len(expected[i, j]) < i * width + j
    assert limited


def test_at_one_resolution_the_receptive_field_is_the_documented_rectangle() -> None:
    height, width, layers = 9, 16, 2
    reach = 1 + 2 * layers
    expected = receptive_field(height, width, layers // 2, 1)
    for i, j in itertools.product(range(height), range(width)):
        above = itertools.product(range(i - reach - 2, i), range(j - reach - 1, j + reach + 1))
        left = ((i, column) for column in range(j - reach, j))
        inside = {place for place in (*above, *left) if place[0] >= 0 and 0 <= place[1] < width}
        assert expected[i, j] == inside


# -- The network and its density ---------------------------------------------------------------------------------------


def authors_outputs(model: PixelCNNPlusPlus, image: Tensor, h: Tensor | None) -> Tensor:
    """The network as the authors write it: lists of the features of both streams, taken from their ends on the way
    back; shifted outputs of the first layer but for its biases."""

    def convolved(layer: NormalisedWeight, x: Tensor, left: int, right: int, top: int, stride: int = 1) -> Tensor:
        weight = layer.scale[:, None, None, None] * F.normalize(layer.direction.flatten(1)).view_as(layer.direction)
        return F.conv2d(F.pad(x, (left, right, top, 0)), weight, layer.bias, stride)

    def down_shifted(layer: NormalisedWeight, x: Tensor, stride: int = 1) -> Tensor:
        return convolved(layer, x, 1, 1, 1, stride)

    def down_right_shifted(layer: NormalisedWeight, x: Tensor, stride: int = 1) -> Tensor:
        return convolved(layer, x, 1, 0, 1, stride)

    def gated(layer, convolution: Callable[[NormalisedWeight, Tensor], Tensor], x: Tensor, a: Tensor | None) -> Tensor:
        hidden = convolution(layer.first, concat_elu(x))
        if a is not None:
            hidden = hidden + convolved(layer.short_cut, a, 0, 0, 0)
        gates = convolution(layer.second, concat_elu(hidden))
        if h is not None:
            gates = gates + layer.context(h)[:, :, None, None]
        a, b = gates.chunk(2, dim=1)
        return x + a * b.sigmoid()

    def wide(layer: NormalisedWeight, x: Tensor, crop: int, height: int, width: int) -> Tensor:
        norm = F.normalize(layer.direction.flatten(1)).view_as(layer.direction)
        weight = (layer.scale[:, None, None, None] * norm).transpose(0, 1)
        out = F.conv_transpose2d(x, weight, layer.bias, stride=2, output_padding=1)
        return out[:, :, :height, crop : crop + width]

    ones = torch.cat((image, torch.ones_like(image[:, :1])), dim=1)
    down, right = F.pad(ones, (0, 0, 1, 0))[:, :, :-1], F.pad(ones, (1, 0))[:, :, :, :-1]
    u_list = [down_shifted(model.first.vertical, down)]
    ul_list = [convolved(model.first.above, down, 1, 1, 0) + convolved(model.first.left, right, 0, 0, 1)]
    scales: list[ShiftedScale] = [model.network]
    while (lower := scales[-1].lower) is not None:
        scales.append(lower.scale)
    for scale, above in zip(scales, [None, *scales]):
        if above is not None:
            assert above.lower is not None
            u_list.append(down_shifted(above.lower.vertical, u_list[-1], 2))
            ul_list.append(down_right_shifted(above.lower.horizontal, ul_list[-1], 2))
        for layer in scale.descent:
            u_list.append(gated(layer.vertical, down_shifted, u_list[-1], None))
            ul_list.append(gated(layer.horizontal, down_right_shifted, ul_list[-1], concat_elu(u_list[-1])))
    u, ul = u_list.pop(), ul_list.pop()
    for scale, above in reversed(list(zip(scales, [None, *scales]))):
        for layer in scale.ascent:
            u = gated(layer.vertical, down_shifted, u, concat_elu(u_list.pop()))
            both = torch.cat((concat_elu(u), concat_elu(ul_list.pop())), dim=1)
            ul = gated(layer.horizontal, down_right_shifted, ul, both)
        if above is not None:
            assert above.lower is not None
            size = u_list[-1].shape[2:]
            u, ul = wide(above.lower.vertical_back, u, 1, *size), wide(above.lower.horizontal_back, ul, 0, *size)
    assert not u_list
    return convolved(model.output, F.elu(ul), 0, 0, 0)


@pytest.mark.parametrize(
    ("event", "context_event", "blocks", "scales"),
    [
        (Event((3, 7, 6), Levels(256)), Event((), Levels(3)), 2, 3),
        (GREY, None, 1, 1),
        (COLOUR, Event((4,), Real()), 1, 2),
    ],
)
def test_the_network_is_the_authors(event: Event, context_event: Event | None, blocks: int, scales: int) -> None:
    model = build(event, context_event, blocks=blocks, scales=scales)
    x = some(event, 3).double()
    context = None if context_event is None else some(context_event, 3)
    h = None if context is None else model._given(3, context)
    expected = authors_outputs(model, 2 * x / ((event.values or 0) - 1) - 1, h)
    torch.testing.assert_close(model._outputs(x, context), expected)


@pytest.mark.parametrize(
    ("event", "components"),
    [(Event((1, 2, 2), Binary()), 1), (Event((2, 2, 2), Binary()), 3), (Event((1, 2, 2), Levels(4)), 3)],
)
def test_all_but_a_single_bit_has_every_component(event: Event, components: int) -> None:
    assert build(event, components=3).mixture.components == components


def test_dropout_is_in_every_gated_layer() -> None:
    model = PixelCNNPlusPlus(GREY, channels=4, blocks=1, scales=3, dropout=0.3)
    rates = [layer.dropout.p for layer in model.modules() if isinstance(layer, GatedResidual)]
    assert rates == [0.3] * 2 * (1 + 1 + 1 + 1 + 2 + 2)


def test_outputs_start_with_about_unit_size() -> None:
    event = Event((3, 8, 8), Levels(256))
    outputs = PixelCNNPlusPlus(event, channels=32)._outputs(some(event, 4).float(), None)
    assert 0.5 < outputs.square().mean().sqrt().item() < 2


@pytest.mark.parametrize("event", [Event((1, 3, 3), Binary()), Event((3, 1, 2), Levels(3)), Event((2, 2, 1), Binary())])
def test_probabilities_sum_to_one(event: Event) -> None:
    assert_probabilities_sum_to_one(build(event))


def test_the_density_is_the_product_of_its_conditionals() -> None:
    model = build(Event((3, 5, 4), Levels(256)), components=3)
    x = some(model.event, 5)
    torch.testing.assert_close(model.log_prob(x), model.conditional_log_probs(x)[0].flatten(1).sum(1))


# -- Samples -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "context_event", "blocks", "scales"),
    [
        (GREY, None, 1, 3),
        (Event((1, 4, 7), Levels(300)), None, 2, 2),
        (Event((3, 5, 3), Levels(256)), None, 1, 3),
        (COLOUR, Event((), Levels(3)), 1, 2),
        (Event((4, 2, 2), Binary()), Event((4,), Real()), 1, 1),
        (Event((2, 1, 5), Levels(3)), None, 1, 4),
    ],
)
def test_cached_samples_are_the_naive_ones(event: Event, context_event: Event | None, blocks: int, scales: int) -> None:
    assert_cached_samples_are_the_naive_ones(build(event, context_event, blocks=blocks, scales=scales))


@pytest.mark.parametrize("event", [Event((1, 10, 9), Binary()), Event((3, 5, 6), Levels(256))])
def test_cached_parameters_are_the_teacher_forced_ones_in_single_precision(event: Event) -> None:
    assert_cached_parameters_are_the_teacher_forced_ones(build(event, scales=3))


@pytest.mark.parametrize(("size", "scales"), [((8, 8), 3), ((5, 7), 2)])
def test_a_sample_costs_the_arithmetic_of_one_pass(size: tuple[int, int], scales: int) -> None:
    model = build(Event((2, *size), Levels(8)), channels=8, scales=scales)
    counts = []
    for work in (lambda: model.log_prob(some(model.event, 1)), lambda: model.sample(1)):
        with FlopCounterMode(display=False) as counter:
            work()
        counts.append(counter.get_total_flops())
    # What up-sampling makes beyond an odd side, to be cut off, is never made here.
    assert 0.9 * counts[0] < counts[1] <= 1.05 * counts[0]


# -- Context, training, refusals ---------------------------------------------------------------------------------------


def test_the_context_has_a_map_of_its_own_in_each_layer() -> None:
    context_event = Event((), Levels(3))
    model = build(GREY, context_event, blocks=2)
    model.log_prob(some(GREY, 8), context=torch.arange(8) % 3).sum().backward()
    maps = [parameter for name, parameter in model.named_parameters() if "context" in name]
    assert len(maps) == 2 * (2 + 3 + 2 + 2)
    assert all(parameter.shape == (8, 3) and parameter.grad is not None for parameter in maps)
    assert all(parameter.grad.ne(0).all() for parameter in maps)


def test_samples_can_be_trained_on_and_threads_are_restored() -> None:
    assert_samples_can_be_trained_on(build(GREY))


def test_events_and_settings_that_cannot_be() -> None:
    with pytest.raises(InputError, match="discrete"):
        PixelCNNPlusPlus(Event((1, 3, 3), Real()))
    with pytest.raises(InputError, match="numbers"):
        PixelCNNPlusPlus(Event((1, 3, 3), Categories(4)))
    with pytest.raises(InputError, match="images"):
        PixelCNNPlusPlus(Event((9,), Binary()))
    with pytest.raises(InputError, match="at least 1"):
        PixelCNNPlusPlus(COLOUR, blocks=0)
    with pytest.raises(InputError, match="dropout"):
        PixelCNNPlusPlus(COLOUR, dropout=1.0)
