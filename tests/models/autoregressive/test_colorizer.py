"""The colorizer: what its conditionals see of the image and of the grey view, the embedding as its authors write it,
and the cached sampler against the naive one."""

import pytest
import torch
from conditional_cases import (
    assert_cached_parameters_are_the_teacher_forced_ones,
    assert_cached_samples_are_the_naive_ones,
    assert_probabilities_sum_to_one,
    by_turn,
    some,
    stirred,
)
from torch import Tensor
from torch.nn import functional as F

from ancestral.interface import Categories, Event, InputError, Levels, Real
from ancestral.layers.image_embedding import GatedBlock, ImageEmbedding
from ancestral.layers.shifted import NormalisedWeight, concat_elu
from ancestral.models.autoregressive.colorizer import Colorizer

COLOUR, GREY = Event((3, 4, 5), Levels(4)), Event((1, 4, 5), Levels(8))


def build(event: Event = COLOUR, context_event: Event | None = GREY, dilations: tuple[int, ...] = (1, 2)) -> Colorizer:
    model = Colorizer(event, context_event=context_event, channels=4, blocks=2, dilations=list(dilations), components=2)
    return stirred(model)


def test_each_conditional_sees_what_comes_before_it_alone() -> None:
    torch.manual_seed(0)
    seen = by_turn(build(context_event=None))
    assert not seen.triu().any()
    assert seen[-1, -4]  # the pixel to the left


@pytest.mark.parametrize(("dilations", "reach"), [((), 1), ((1,), 3), ((1, 2), 7)])
def test_it_sees_the_whole_of_the_grey_view_within_reach(dilations: tuple[int, ...], reach: int) -> None:
    """The first pixel, which sees no other, sees the view around it, 1 + 2 sum of dilations away; and further to the
    right, as the vertical stream's convolutions after the first layer's short-cut reach a column further each."""
    torch.manual_seed(0)
    side = 9
    model = build(Event((3, side, side), Levels(4)), Event((1, side, side), Real()), dilations)
    x = some(model.event, 1).double()
    grey = torch.randn(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    seen = torch.autograd.grad(model._conditionals(x, grey, 0)[:, :, :, 0, 0].sum(), grey)[0][0, 0] != 0
    rows, columns = torch.arange(side) <= reach, torch.arange(side) <= reach + 3
    assert torch.equal(seen, rows[:, None] & columns)


def test_the_embedding_is_gated_convolutions_with_a_channel_of_ones() -> None:
    torch.manual_seed(0)
    embedding = ImageEmbedding(GREY, 4, [2]).double()
    for layer in embedding.modules():
        if isinstance(layer, NormalisedWeight):
            torch.nn.init.normal_(layer.bias)

    def convolved(layer: NormalisedWeight, x: Tensor, dilation: int) -> Tensor:
        weight = torch.stack([g * v / v.square().sum().sqrt() for g, v in zip(layer.scale, layer.direction)])
        return F.conv2d(x, weight, layer.bias, padding=dilation, dilation=dilation)

    grey = some(GREY, 2)
    image = torch.cat((2 * grey.double() / 7 - 1, torch.ones(2, 1, 4, 5, dtype=torch.float64)), 1)
    x = convolved(embedding.first, image, 1)
    (block,) = embedding.blocks
    assert isinstance(block, GatedBlock)
    a, b = convolved(block.second, concat_elu(convolved(block.first, concat_elu(x), 2)), 2).chunk(2, 1)
    torch.testing.assert_close(embedding(grey), x + a * b.sigmoid())


def test_the_embedding_s_blocks_begin_near_the_identity_and_both_networks_drop_out_in_training() -> None:
    torch.manual_seed(0)
    x, block = torch.randn(2, 4, 6, 6), GatedBlock(4, 1, 0.0)
    assert (block(x) - x).std() < 0.2 * x.std()
    model = Colorizer(COLOUR, context_event=GREY, channels=4, blocks=1, dilations=[1], components=2, dropout=0.5)
    assert model.embedding is not None
    grey, image = some(GREY, 2), model.first(some(COLOUR, 2).float())
    for training in (True, False):
        model.train(training)
        given = [model.embedding(grey) for _ in range(2)]
        streams = [model.network(image, given[0]).horizontal.value for _ in range(2)]
        assert torch.equal(given[0], given[1]) != training
        assert torch.equal(streams[0], streams[1]) != training


def test_the_embedding_enters_each_layer_by_a_1x1_convolution() -> None:
    """One layer of each stream by hand, the embedding in the place of a short-cut."""
    torch.manual_seed(0)
    model = build()
    assert model.embedding is not None
    x, given = some(COLOUR, 2).double() / 1.5 - 1, model.embedding(some(GREY, 2))
    streams = model.first(x)
    found = model.network(streams, given)
    for one in model.network.layers:
        vertical, horizontal = one.vertical, one.horizontal
        hidden = vertical.first(streams.vertical.active) + vertical.short_cut(concat_elu(given))
        out = streams.vertical.value + F.glu(vertical.second(concat_elu(hidden)), 1)
        both = torch.cat((concat_elu(out), concat_elu(given)), 1)
        hidden = horizontal.first(streams.horizontal.active) + horizontal.short_cut(both)
        across = streams.horizontal.value + F.glu(horizontal.second(concat_elu(hidden)), 1)
        streams = type(streams)(type(streams.vertical).of(out), type(streams.vertical).of(across))
    torch.testing.assert_close(found.horizontal.value, streams.horizontal.value)


def test_probabilities_sum_to_one() -> None:
    torch.manual_seed(0)
    assert_probabilities_sum_to_one(build(Event((3, 1, 2), Levels(3)), None))


def test_log_prob_is_the_sum_of_conditionals() -> None:
    torch.manual_seed(0)
    model, x, grey = build(), some(COLOUR, 5), some(GREY, 5)
    each = model.conditional_log_probs(x, context=grey)[0].flatten(1).sum(1)
    torch.testing.assert_close(model.log_prob(x, context=grey), each)


def test_cached_samples_are_the_naive_ones() -> None:
    torch.manual_seed(0)
    assert_cached_samples_are_the_naive_ones(build())
    assert_cached_samples_are_the_naive_ones(build(context_event=None))


def test_cached_parameters_are_the_teacher_forced_ones() -> None:
    torch.manual_seed(0)
    assert_cached_parameters_are_the_teacher_forced_ones(build(context_event=None))


def test_draws_of_one_view_differ() -> None:
    torch.manual_seed(0)
    model = build()
    draws = model.sample(8, context=some(GREY, 1)[0], generator=torch.Generator().manual_seed(0))
    assert len(draws.unique(dim=0)) == 8


def test_refusals_say_what_to_do() -> None:
    for event, context_event, words in (
        (Event((1, 4, 4), Levels(4)), None, "several channels"),
        (COLOUR, Event((1, 4, 4), Levels(4)), r"context='grey'"),
        (COLOUR, Event((), Categories(3)), r"context='grey'"),
        (COLOUR, Event((1, 4, 5), Categories(3)), "which have an order"),
    ):
        with pytest.raises(InputError, match=words):
            Colorizer(event, context_event=context_event)
    with pytest.raises(InputError, match="dilations must be at least 1"):
        Colorizer(COLOUR, context_event=GREY, dilations=[1, 0])
