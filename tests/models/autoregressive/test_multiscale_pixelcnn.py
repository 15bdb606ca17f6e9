"""Parallel multiscale PixelCNN: its groups, what each conditional sees, and group-wise draws against the naive ones."""

import math

import pytest
import torch
from conditional_cases import (
    assert_cached_samples_are_the_naive_ones,
    assert_probabilities_sum_to_one,
    assert_samples_can_be_trained_on,
    by_turn,
    seed,
    some,
    stirred,
)
from torch import nn

from ancestral.interface import Binary, Event, InputError, Levels, Real
from ancestral.models.autoregressive.gated_pixelcnn import GatedPixelCNN
from ancestral.models.autoregressive.multiscale_pixelcnn import MultiscalePixelCNN


def build(event: Event, context_event: Event | None = None, scales: int | None = None) -> MultiscalePixelCNN:
    """A small one in double precision whose conditionals differ much."""
    settings = {"channels": 6, "blocks": 2, "base_channels": 6, "base_blocks": 2, "head": 9}
    return stirred(MultiscalePixelCNN(event, context_event=context_event, scales=scales, **settings))


def test_the_order_is_the_base_then_the_corners_of_the_blocks_scale_by_scale() -> None:
    rank = torch.empty(16, dtype=torch.int64)
    rank[build(Event((1, 4, 4), Binary()), scales=1).orders[0]] = torch.arange(16)
    assert rank.view(4, 4).tolist() == [[0, 4, 1, 5], [8, 12, 9, 13], [2, 6, 3, 7], [10, 14, 11, 15]]
    two = build(Event((1, 8, 8), Binary()), scales=2).orders[0]
    assert torch.equal(two[:16] // 8 % 2 + two[:16] % 2, torch.zeros(16, dtype=torch.int64))
    assert torch.equal(two[:4], torch.tensor([0, 4, 32, 36]))


@pytest.mark.parametrize(("shape", "scales"), [((1, 6, 5), 1), ((2, 4, 3), 1), ((1, 7, 8), 2)])
def test_a_conditional_sees_every_earlier_group_on_all_sides_and_of_its_own_the_earlier_colours_of_its_pixel(
    shape: tuple[int, int, int], scales: int
) -> None:
    # Deep enough for all of so small an image to be in reach.
    model = build(Event(shape, Levels(5)), scales=scales)
    colours, base = shape[0], model.base.event.size
    expected = torch.ones(math.prod(shape), math.prod(shape), dtype=torch.bool).tril(-1)
    start = base
    for count in model.counts:
        own = expected[start : start + colours * count, start : start + colours * count]
        pixel, colour = torch.arange(colours * count) % count, torch.arange(colours * count) // count
        own.copy_((pixel[:, None] == pixel) & (colour[:, None] > colour))
        start += colours * count
    assert start == math.prod(shape)
    assert torch.equal(by_turn(model), expected)


@pytest.mark.parametrize("shape", [(1, 7, 8), (1, 6, 5)])
def test_a_single_convolution_sees_the_blocks_beside_a_pixel_s_own_and_tells_the_border_from_values(
    shape: tuple[int, int, int],
) -> None:
    model = stirred(MultiscalePixelCNN(Event(shape, Binary()), scales=1, channels=6, blocks=0, head=9))
    order, start = model.orders[0], model.base.event.size
    rows, columns = order // shape[2], order % shape[2]
    corner = 2 * (rows % 2) + columns % 2
    near = ((rows // 2)[:, None] - rows // 2).abs().maximum(((columns // 2)[:, None] - columns // 2).abs()) <= 1
    assert torch.equal(by_turn(model)[start:], (near & (corner[:, None] > corner))[start:])
    blank = model._conditionals(torch.zeros(1, *shape).double(), None, 0).flatten()
    for group in (1, 2, 3):
        assert len(blank[order[corner == group]].unique()) > 1


def test_the_base_is_a_gated_pixelcnn_of_the_sub_sampled_image() -> None:
    """Coarser images are single pixels, not averages, so that the density is exact."""
    model = build(Event((3, 7, 6), Levels(4)), scales=2)
    x = some(model.event, 4)
    assert type(model.base) is GatedPixelCNN
    torch.testing.assert_close(model.stage_log_probs(x)[0], model.base.log_prob(x[:, :, ::4, ::4]))
    assert model.stages == ("2x2", "4x3", "7x6")


def test_each_stage_is_the_density_of_an_image_given_its_half() -> None:
    model = build(Event((1, 6, 6), Levels(3)), scales=2)
    x = some(model.event, 3)
    other = x.clone()
    finest = torch.ones(6, 6, dtype=torch.bool)
    finest[::2, ::2] = False
    other[:, 0, finest] = some(Event((27,), Levels(3)), 3)
    ours, theirs = model.stage_log_probs(x), model.stage_log_probs(other)
    torch.testing.assert_close(ours[:2], theirs[:2])
    assert (ours[2] - theirs[2]).abs().min() > 1e-6
    torch.testing.assert_close(ours.sum(0), model.conditional_log_probs(x)[0].flatten(1).sum(1))


def test_probabilities_sum_to_one() -> None:
    assert_probabilities_sum_to_one(build(Event((1, 3, 3), Binary())))
    assert_probabilities_sum_to_one(build(Event((3, 2, 2), Binary())))


@pytest.mark.parametrize(
    ("event", "context_event", "scales"),
    [
        (Event((1, 8, 8), Binary()), None, 2),
        (Event((3, 5, 6), Levels(256)), None, 1),
        (Event((2, 4, 7), Levels(4)), Event((), Levels(3)), 2),
    ],
)
def test_group_wise_draws_are_the_naive_ones(event: Event, context_event: Event | None, scales: int) -> None:
    assert_cached_samples_are_the_naive_ones(build(event, context_event, scales))


def test_a_draw_takes_three_network_passes_a_scale() -> None:
    passes = {}
    for side in (8, 16, 32):
        model = MultiscalePixelCNN(Event((1, side, side), Binary()), channels=4, blocks=1, base_channels=4, head=4)
        calls: list[nn.Module] = []
        for network in model.networks:
            network.encoder.register_forward_hook(lambda module, *_: calls.append(module))  # noqa: B023
        model.sample(2)
        passes[side] = len(calls)
    assert passes == {8: 3, 16: 6, 32: 9}


def test_what_is_drawn_from_a_coarse_image_follows_its_conditional_distribution() -> None:
    """Completion from the coarse pixels is exact: these come first in the order."""
    model = build(Event((1, 3, 3), Binary()))
    coarse = torch.zeros(3, 3, dtype=torch.bool)
    coarse[::2, ::2] = True
    x = torch.tensor([[1, 0, 0], [0, 0, 0], [0, 0, 1]])[None, None].expand(20_000, -1, -1, -1)
    drawn = model.complete(x, coarse[None], generator=seed())
    assert torch.equal(drawn[:, :, coarse], x[:, :, coarse].to(drawn))
    powers = 2 ** torch.arange(5)
    cells = torch.cartesian_prod(*[torch.arange(2)] * 5)
    whole = x[: len(cells)].clone()
    whole[:, 0, ~coarse] = cells
    expected = model.stage_log_probs(whole)[1].exp()
    torch.testing.assert_close(expected.sum().item(), 1.0)
    counts = torch.bincount((drawn[:, 0, ~coarse].long() * powers).sum(1), minlength=32).double()
    found = counts[(cells * powers).sum(1)] / len(drawn)
    stderr = (expected * (1 - expected) / len(drawn)).sqrt()
    assert ((found - expected).abs() < 5 * stderr + 5 / len(drawn)).all()


def test_samples_can_be_trained_on_and_threads_are_restored() -> None:
    assert_samples_can_be_trained_on(build(Event((1, 6, 5), Binary()), scales=1))


def test_events_and_settings_that_cannot_be() -> None:
    with pytest.raises(InputError, match=r"1x28 pixels is too small for a pyramid"):
        MultiscalePixelCNN(Event((1, 1, 28), Binary()))
    with pytest.raises(InputError, match=r"halved 1 to 3 times, down to 1x1, got scales=4"):
        MultiscalePixelCNN(Event((1, 8, 8), Binary()), scales=4)
    with pytest.raises(InputError, match=r"got scales=0"):
        MultiscalePixelCNN(Event((1, 8, 8), Binary()), scales=0)
    with pytest.raises(InputError, match="discrete"):
        MultiscalePixelCNN(Event((1, 8, 8), Real()))
    with pytest.raises(InputError, match="head"):
        MultiscalePixelCNN(Event((3, 8, 8), Binary()), head=2)
    assert MultiscalePixelCNN(Event((1, 28, 28), Binary()), channels=4).stages == ("7x7", "14x14", "28x28")
    assert MultiscalePixelCNN(Event((3, 32, 32), Binary()), channels=4).stages[0] == "4x4"
