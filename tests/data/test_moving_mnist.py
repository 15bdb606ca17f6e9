"""Moving MNIST: how digits move and meet, what is drawn of them, and how much a frame's pixels leave open."""

import math

import pytest
import torch
from torch import Tensor

from ancestral.data import Data, load_data
from ancestral.data.moving_mnist import DIRECTIONS, bouncing, moving, quantised
from ancestral.evaluation import entropy_bound
from ancestral.interface import Binary, Event, InputError, Levels


def small(**options: object) -> Data:
    return load_data("moving-mnist", **{"source": "digits", "n": 100, "frames": 6, "side": 16, **options})


def seed(value: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(value)


def test_a_digit_goes_straight_on_and_is_thrown_back_by_the_walls() -> None:
    start, velocity = torch.rand(20, 2, 2, dtype=torch.float64), 0.8 * torch.rand(20, 2, 2, dtype=torch.float64) - 0.4
    found = bouncing(start, velocity, 50)
    place, way = start.flatten().tolist(), velocity.flatten().tolist()
    for time in range(50):
        torch.testing.assert_close(found[:, :, time].flatten(), torch.tensor(place, dtype=torch.float64))
        for i in range(len(place)):
            place[i] += way[i]
            if not 0 <= place[i] <= 1:  # what lies behind the wall is the way back
                place[i] = 2 * (place[i] > 1) - place[i]
                way[i] = -way[i]


def test_digits_keep_their_shape_and_the_brighter_one_is_seen() -> None:
    images = torch.randint(1, 256, (30, 2, 4, 4), dtype=torch.uint8, generator=seed())
    both = moving(images, 5, 9, 0.3, seed(1))
    # The same paths, one digit at a time.
    parts = [
        moving(torch.stack([images[:, 0], 0 * images[:, 0]], 1), 5, 9, 0.3, seed(1)),
        moving(torch.stack([0 * images[:, 1], images[:, 1]], 1), 5, 9, 0.3, seed(1)),
    ]
    assert torch.equal(both, torch.maximum(*parts))
    for k, part in enumerate(parts):
        for clip, image in zip(part[:, :, 0], images[:, k]):
            for frame in clip:
                rows, columns = frame.nonzero()[0].tolist()
                assert torch.equal(frame[rows : rows + 4, columns : columns + 4], image)
                assert frame.count_nonzero() == 16


def places(clips: Tensor) -> Tensor:
    """The rows and columns of the upper left corner of what is not black, (n, frames, 2), of one solid digit."""
    frames = clips[:, :, 0] > 0
    return torch.stack([frames.any(3).int().argmax(2), frames.any(2).int().argmax(2)], -1)


def test_starts_and_directions_are_uniform_and_the_speed_is_constant() -> None:
    n, frames, side = 2000, 3, 101
    path = places(moving(torch.full((n, 1, 1, 1), 255, dtype=torch.uint8), frames, side, 0.1, seed())) / 100
    first, step = path[:, 0], path[:, 1] - path[:, 0]
    assert (first.mean(0) - 0.5).abs().max() < 4 * math.sqrt(1 / 12 / n)
    assert (first.var(0) - 1 / 12).abs().max() < 0.01
    free = ((path > 0.1) & (path < 0.9)).all(-1).all(-1)
    step = step[free]
    assert (step.norm(dim=1) - 0.1).abs().max() < 0.0142  # rounded to whole pixels
    direction = torch.atan2(step[:, 0], step[:, 1])
    for k in (1, 2, 3):
        moments = torch.stack([(k * direction).cos().mean(), (k * direction).sin().mean()])
        assert moments.abs().max() < 4 * math.sqrt(0.5 / len(step))
    torch.testing.assert_close(path[free][:, 2], path[free][:, 1] + step, atol=0.0201, rtol=0)


def test_pixels_are_drawn_with_the_probability_of_their_grey_value() -> None:
    grey = torch.tensor([0, 1, 100, 254, 255], dtype=torch.uint8)
    drawn = quantised(grey.expand(20_000, 5), 2, seed()).double().mean(0)
    p = grey.double() / 255
    assert ((drawn - p).abs() <= 4 * (p * (1 - p) / 20_000).sqrt()).all()
    assert quantised(grey, 4).tolist() == [0, 0, 1, 3, 3]
    assert torch.equal(quantised(grey, 256), grey)


def test_the_splits_are_of_their_own_digits_and_the_same_for_a_seed() -> None:
    data, again, other = small(), small(), small(seed=1)
    assert data.event == Event((6, 1, 16, 16), Binary())
    assert [len(split) for split in data.splits.values()] == [80, 10, 10]
    assert data.digests == again.digests
    assert data.digests["test"] != other.digests["test"]
    assert torch.equal(data.test.x, data.test.x)
    assert not torch.equal(data.train.x, data.train.x)  # drawn anew each time
    torch.manual_seed(5)
    first = data.train.__getitems__([3, 4]).x
    torch.manual_seed(5)
    assert torch.equal(first, again.train.__getitems__([3, 4]).x)
    ink = data.test.factors["intensity"]
    assert ink.shape == (10, 6, 1, 16, 16)
    assert (data.test.x[ink == 0] == 0).all()
    assert (data.test.x[ink == 255] == 1).all()


def test_one_digit_is_its_label_and_levels_are_grey() -> None:
    """In a frame of its own size it cannot move: the image itself."""
    data = small(digits=1, levels=17, side=8, digit_side=8).conditioned_on("labels")
    assert data.event.support == Levels(17)
    assert data.classes == tuple("0123456789")
    still = load_data("digits").test
    for clip, label in zip(data.test.x, data.test.context):
        same = (still.x[:, None] == clip).flatten(1).all(1)
        assert still.y[same].tolist() == [label]


def test_the_entropy_of_pixels_given_their_grey_values() -> None:
    """Of frames of known probabilities, and against the mean of -ln p over draws of them."""
    p = torch.tensor([0.0, 0.2, 0.5, 1.0])
    grey = (255 * p).round().to(torch.uint8).view(1, 2, 1, 1, 2)
    h = -0.2 * math.log(0.2) - 0.8 * math.log(0.8)
    assert entropy_bound(grey, 0).item() == pytest.approx((h + math.log(2)) / 2, rel=1e-4)
    assert entropy_bound(grey, 1).item() == pytest.approx(math.log(2), rel=1e-4)
    data = small(n=1000)
    z, x = data.test.factors["intensity"].double() / 255, data.test.x.double()
    seen = -(x * z.log().clamp(min=-99) + (1 - x) * (1 - z).log().clamp(min=-99)).flatten(1).sum(1) / 6
    expected = entropy_bound(data.test.factors["intensity"], 0)
    assert (seen - expected).mean().abs() < 4 * (seen - expected).std() / math.sqrt(len(seen))


def test_the_bound_of_the_published_benchmark(data_root: str) -> None:
    """20 frames of 64 x 64, two digits: 86.3 nats per frame on other clips (Kalchbrenner et al. 2017, table 1)."""
    data = load_data("moving-mnist", source="mnist", data_root=data_root, n=1500)
    found = entropy_bound(data.test.factors["intensity"], 10)
    assert found.mean().item() == pytest.approx(86.3, abs=4 * found.std().item() / math.sqrt(len(found)))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n": 5}, "n must be at least 10"),
        ({"digit_side": 17}, "at most as large as a frame"),
        ({"frames": 0}, "frames"),
        ({"levels": 1}, "levels must be 2 to 256"),
        ({"source": "letters"}, "source must be mnist or digits, got 'letters'"),
        ({"digit": 1}, "no option 'digit'"),
    ],
)
def test_options_that_cannot_be(options: dict[str, object], match: str) -> None:
    with pytest.raises(InputError, match=match):
        small(**options)


def test_without_mnist_it_is_of_the_built_in_digits(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("ANCESTRAL_CACHE", str(tmp_path))
    assert "2 of digits" in load_data("moving-mnist", data_root=tmp_path, n=10, side=16, frames=2).note


def test_the_label_is_the_direction_in_which_the_digit_sets_out() -> None:
    data = small(digits=1, label="direction", n=500, frames=4, side=64, digit_side=4, speed=0.1, levels=256)
    assert data.classes == DIRECTIONS
    assert torch.equal(data.train.x, data.train.x)
    ways = [(0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)]  # rows go down
    for split in data.splits.values():
        path = places(torch.as_tensor(split.x)).double()
        free = ((path > 8) & (path < 52)).flatten(1).all(1)  # no wall comes near
        way = (path[:, 3] - path[:, 0])[free]
        expected = torch.tensor(ways, dtype=torch.float64)[split.y[free]]
        cosine = (way * expected).sum(1) / (way.norm(dim=1) * expected.norm(dim=1))
        assert len(cosine) > 5
        assert bool((cosine > math.cos(math.radians(22.5 + 9))).all())  # whole pixels
    with pytest.raises(InputError, match="of the direction of one digit"):
        small(digits=2, label="direction")
