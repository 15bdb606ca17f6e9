"""Video Pixel Network: what each conditional sees of which frame, exact probabilities, and the cached sampler."""

import itertools
from collections.abc import Iterable

import pytest
import torch
from conditional_cases import (
    assert_cached_samples_are_the_naive_ones,
    assert_probabilities_sum_to_one,
    by_turn,
    seed,
    some,
    stirred,
)

from ancestral.interface import Binary, Categories, Event, InputError, Levels, Real
from ancestral.models.autoregressive.video_pixel_network import VideoPixelNetwork

GREY, COLOUR = Event((3, 1, 3, 4), Binary()), Event((3, 3, 2, 2), Levels(3))
Place = tuple[int, int, int]


def build(event: Event, context_event: Event | None = None, **settings: object) -> VideoPixelNetwork:
    """A small one in double precision whose conditionals differ much."""
    settings = {"channels": 5, "dilations": [1, 2], "blocks": 2, **settings}
    model = VideoPixelNetwork(event, context_event=context_event, **settings)
    return stirred(model)


# -- What a conditional sees -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [GREY, COLOUR])
def test_the_pixelcnn_decoder_sees_no_value_before_its_turn(event: Event) -> None:
    seen = by_turn(build(event, channels=6), points=1)
    assert not seen.triu().any()
    # Deep enough for all earlier frames, and for all that comes before in its own row.
    _, colours, height, width = event.shape
    row = torch.arange(event.size) // (colours * width)
    frame = row // height
    assert seen[(frame[:, None] > frame) | (row[:, None] == row).tril(-1)].all()


@pytest.mark.parametrize("event", [GREY, COLOUR])
def test_the_independent_decoder_sees_past_frames_alone(event: Event) -> None:
    frame = torch.arange(event.size) // (event.size // event.shape[0])
    assert torch.equal(by_turn(build(event, channels=6, decoder="independent"), points=1), frame[:, None] > frame)


def around(places: Iterable[Place], reach: int, *, time: int = 0) -> set[Place]:
    steps = range(-reach, reach + 1)
    return {(t - time, i + di, j + dj) for t, i, j in places for di in steps for dj in steps}


def before(places: Iterable[Place], *, strict: bool) -> set[Place]:
    """What one 3x3 raster-masked convolution sees of each place."""
    taps = [(-1, -1), (-1, 0), (-1, 1), (0, -1)] + ([] if strict else [(0, 0)])
    return {(t, i + di, j + dj) for t, i, j in places for di, dj in taps}


@pytest.mark.parametrize(("dilations", "blocks"), [([1], 1), ([2], 1), ([1], 2)])
def test_the_receptive_field_is_the_documented_one(dilations: list[int], blocks: int) -> None:
    """The fields of the layers one after another, in which the places of a clip larger than them are looked for."""
    frames, side = 3, 13
    event, place = Event((frames, 1, side, side), Binary()), (2, 9, 6)
    model = build(event, dilations=dilations, blocks=blocks)
    decoder = {place}
    for _ in range(2 * blocks):
        decoder = before(decoder, strict=False)
    # One frame back: the LSTM's input convolution, two for each block of the encoder, and the one that it begins with.
    reach = 2 + 2 * sum(dilations)
    expected = before(decoder, strict=True) | around(decoder, reach, time=1) | around(decoder, reach + 1, time=2)
    index = (place[0] * side + place[1]) * side + place[2]
    found = torch.zeros(frames, side, side, dtype=torch.bool)
    for _ in range(2):
        x = torch.randn(1, *event.shape, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(model._conditionals(x, None, 0).flatten()[index], x)
        found |= gradient[0, :, 0].ne(0)
    wanted = {at for at in expected if min(at) >= 0 and max(at[1:]) < side}
    assert {tuple(at) for at in found.nonzero().tolist()} == wanted
    # In words: R = 1 + 2 b to the left and up, and dy rows up min(R, dy) to the right.
    most = 1 + 2 * blocks
    own = {(place[1] - i, j - place[2]) for t, i, j in expected if t == place[0]}
    assert {up for up, _ in own} == set(range(most + 1))
    assert {min(right for dy, right in own if dy == up) for up in range(most + 1)} == {-most}
    assert [max(right for dy, right in own if dy == up) for up in range(most + 1)] == [-1, *range(1, most + 1)]


@pytest.mark.parametrize(
    ("event", "decoder"),
    [
        (Event((3, 1, 2, 2), Binary()), "pixelcnn"),
        (Event((2, 2, 1, 2), Levels(3)), "pixelcnn"),
        (Event((3, 2, 1, 2), Binary()), "independent"),
    ],
)
def test_probabilities_sum_to_one(event: Event, decoder: str) -> None:
    assert_probabilities_sum_to_one(build(event, decoder=decoder))


# -- Sampling, and going on with a clip --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "context_event", "settings"),
    [
        (GREY, None, {"kernel_size": 5}),
        (COLOUR, None, {}),
        (COLOUR, Event((), Levels(3)), {}),
        (GREY, Event((4,), Binary()), {"decoder": "independent"}),
        (COLOUR, None, {"decoder": "independent", "dilations": []}),
    ],
)
def test_cached_samples_are_the_naive_ones(event: Event, context_event: Event | None, settings: dict) -> None:
    model = build(event, context_event, **settings)
    assert_cached_samples_are_the_naive_ones(model, 5)
    if context_event is not None:
        x, context = some(event, 5), some(context_event, 5)
        other = (context + 1) % (context_event.values or 2)
        assert (model.log_prob(x, context=context) - model.log_prob(x, context=other)).abs().min() > 1e-6


def test_a_clip_goes_on_after_its_first_frames_by_the_conditionals_given_them() -> None:
    """The frequencies of all last frames against their probabilities given the first two."""
    event, n = Event((3, 1, 1, 2), Binary()), 4000
    model = build(event)
    clip, known = some(event, 1), torch.zeros(event.shape, dtype=torch.bool)
    known[:2] = True
    drawn = model.complete(clip.expand(n, *event.shape), known, generator=seed())
    assert torch.equal(drawn[:, :2], clip[:, :2].expand(n, 2, 1, 1, 2))
    every = clip.repeat(4, 1, 1, 1, 1)
    every[:, 2] = torch.tensor(list(itertools.product(range(2), repeat=2))).view(4, 1, 1, 2)
    expected = model.conditional_log_probs(every)[0, :, 2].flatten(1).sum(1).exp()
    found = (drawn[:, 2].flatten(1).long() @ torch.tensor([2, 1])).bincount(minlength=4) / n
    assert expected.sum().item() == pytest.approx(1, abs=1e-12)
    assert (found - expected).abs().max() < 4 * 0.5 / n**0.5


def test_a_context_adds_before_the_gates_of_each_unit_of_the_decoder() -> None:
    """A context of (1, 0) shifts every gate by a column of the map: the same as so much in the biases of the units."""
    event = Event((4,), Real())
    model = build(GREY, event)
    x, context = some(GREY, 3), torch.tensor([0.5, -1.0, 2.0, 0.3], dtype=torch.float64)
    expected = model.log_prob(x, context=context)
    shifts = (model.context.maps.weight[:, :, 0, 0] @ context).split(4 * 5)
    units = [unit for block in model.decoder for unit in block.units]
    with torch.no_grad():
        for unit, shift in zip(units, shifts, strict=True):
            unit.bias += shift
    torch.testing.assert_close(model.log_prob(x, context=0 * context), expected)


def test_events_and_settings_that_cannot_be() -> None:
    with pytest.raises(InputError, match="videos"):
        VideoPixelNetwork(Event((1, 3, 3), Binary()))
    with pytest.raises(InputError, match="at least 2 frames"):
        VideoPixelNetwork(Event((1, 1, 3, 3), Binary()))
    with pytest.raises(InputError, match="discrete"):
        VideoPixelNetwork(Event((2, 1, 3, 3), Real()))
    with pytest.raises(InputError, match="numbers"):
        VideoPixelNetwork(Event((2, 1, 3, 3), Categories(4)))
    with pytest.raises(InputError, match="kernel_size"):
        VideoPixelNetwork(GREY, kernel_size=4)
    with pytest.raises(InputError, match="the 3 colours"):
        VideoPixelNetwork(COLOUR, channels=2)
    with pytest.raises(InputError, match="decoder must be one of pixelcnn, independent"):
        VideoPixelNetwork(GREY, decoder="pixelrnn")
