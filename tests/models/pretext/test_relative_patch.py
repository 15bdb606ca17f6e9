"""Relative patch position: where patches are cut, what is taken from them, and that the task is learned."""

import math

import pytest
import torch
from torch import Tensor

from ancestral.interface import Batch, Event, InputError, Levels, Real
from ancestral.models.pretext.relative_patch import NEIGHBOURS, RelativePatch

SIDES = (26, 30)


def model(depth: int = 2, **settings: object) -> RelativePatch:
    arguments = {"patch": 4, "gap": 4, "jitter": 2, "channels": 4, "features": 8, "hidden": [16], **settings}
    return RelativePatch(Event((depth, *SIDES), Real()), **arguments).eval()  # type: ignore[arg-type]


def coordinates(n: int) -> Tensor:
    """Images whose colours are the row and the column of a pixel."""
    return torch.stack(torch.meshgrid(*map(torch.arange, SIDES), indexing="ij")).float().expand(n, -1, -1, -1)


def corners(patches: Tensor) -> Tensor:
    return patches[:, :, 0, 0]


def test_the_second_patch_lies_where_the_answer_says_and_shares_no_pixel_with_the_first() -> None:
    task = model()
    first, second, answers = task.draw_pairs(coordinates(3000))
    # Four pairs of each image, one after another, each at a place of its own.
    still = corners(model(jitter=0).draw_pairs(coordinates(50))[0])
    assert not bool((still.view(50, 4, 2).diff(dim=1) == 0).all(2).all(0).any())
    numbered = torch.arange(9.0)[:, None, None, None].expand(9, 2, *SIDES)
    for patches in task.draw_pairs(numbered)[:2]:
        assert patches[:, 0, 0, 0].tolist() == [image for image in range(9) for _ in range(4)]
    steps = torch.arange(4.0)
    torch.testing.assert_close(first[:, 0] - first[:, 0, :1, :1], steps[:, None].expand(len(first), 4, 4))
    torch.testing.assert_close(second[:, 1] - second[:, 1, :1, :1], steps.expand(len(first), 4, 4))
    way = torch.tensor(NEIGHBOURS)[answers]
    moved = corners(second) - corners(first) - 8 * way
    # The jitter of either patch, each of -2 .. 2.
    assert moved.unique().tolist() == [-4, -3, -2, -1, 0, 1, 2, 3, 4]
    assert moved.square().mean().item() == pytest.approx(2 * 2, rel=0.05)
    assert bool(((corners(second) - corners(first)).abs().amax(1) >= 4).all())


def test_the_place_of_the_first_patch_says_nothing_of_the_answer() -> None:
    first, _, answers = model().draw_pairs(coordinates(8000))
    assert bool((answers.bincount() > 0.9 * len(answers) / 8).all())
    places = [corners(first)[answers == answer] for answer in range(8)]
    for place in places:
        # 26 and 30 pixels leave 2 and 6 more than three patches, two gaps and the jitter at both ends.
        assert (place.amin(0).tolist(), place.amax(0).tolist()) == ([8, 8], [14, 18])
        torch.testing.assert_close(place.mean(0), torch.tensor([11.0, 13.0]), atol=0.2, rtol=0)


def test_borders_tell_the_side_where_there_is_no_gap_and_nothing_where_there_is() -> None:
    """In images of smooth noise, where nothing but the run of lines could answer."""
    noise = torch.randn(1000, 1, *SIDES)
    smooth = torch.nn.functional.avg_pool2d(noise, 3, stride=1, padding=1)

    def agreement(**layout: int) -> float:
        """How often, of patches side by side, the borders that face each other are more alike than the others."""
        first, second, answers = model(depth=1, **layout).draw_pairs(smooth)
        beside = [NEIGHBOURS.index((0, -1)), NEIGHBOURS.index((0, 1))]
        rows = torch.isin(answers, torch.tensor(beside))
        a, b = first[rows, 0], second[rows, 0]
        on_right = (a[:, :, -1] - b[:, :, 0]).square().sum(1) < (a[:, :, 0] - b[:, :, -1]).square().sum(1)
        return float((on_right == (answers[rows] == beside[1])).double().mean())

    assert agreement(gap=0, jitter=0) > 0.7
    assert agreement(gap=4, jitter=1) == pytest.approx(0.5, abs=0.08)


def test_projection_takes_the_axis_of_green_and_magenta_and_nothing_else() -> None:
    task, x = model(depth=3, colours="project"), torch.randn(4, 3, *SIDES)
    along = torch.randn(4, 1, *SIDES) * torch.tensor([-1.0, 2.0, -1.0])[:, None, None]
    torch.testing.assert_close(task.features(x + along), task.features(x), atol=1e-5, rtol=1e-4)
    for across in ([1.0, 0.0, -1.0], [1.0, 1.0, 1.0]):
        moved = x + torch.tensor(across)[:, None, None]
        torch.testing.assert_close(task._on_scale(moved) - task._on_scale(x), moved - x)
    assert RelativePatch(Event((3, *SIDES), Levels(256))).colours == "project"
    assert RelativePatch(Event((1, *SIDES), Levels(256))).colours == "keep"


def test_of_dropped_colours_one_is_left_and_the_others_are_faint_noise() -> None:
    task, patches = model(depth=3, colours="drop"), 5 + 2 * torch.randn(3000, 3, 4, 4)
    dropped = task._drawn_colours(patches)
    same = (dropped == patches).flatten(2).all(2)
    assert same.sum(1).unique().tolist() == [1]
    assert bool((same.sum(0) > 900).all())
    assert dropped[~same].std().item() == pytest.approx(0.02, rel=0.05)
    assert dropped[~same].mean().item() == pytest.approx(0, abs=1e-3)
    noise = dropped[~same].view(3000, 2, 16)
    assert abs((noise[:, 0] * noise[:, 1]).mean().item()) < 4 * 0.02**2 / 48_000**0.5
    # A representation is the mean over the colours that may be kept, each without noise.
    x = torch.randn(2, 3, *SIDES)
    kept = model(depth=3, colours="keep")
    kept.load_state_dict(task.state_dict())
    expected = torch.stack([kept.features(x * one[:, None, None]) for one in torch.eye(3)]).mean(0)
    torch.testing.assert_close(task.features(x), expected)


def test_a_patch_of_the_grid_moves_its_own_numbers_alone() -> None:
    task, x = model(depth=1), torch.randn(2, 1, *SIDES)
    for row, column, block in ((0, 0, 0), (0, 13, 1), (0, 29, 2), (11, 0, 3), (12, 14, 4), (25, 29, 8), (6, 6, None)):
        changed = x.clone()
        changed[0, 0, row, column] += 10
        moved = (task.features(changed) != task.features(x)).view(2, 9, 8).any(2)
        assert moved.nonzero().tolist() == ([] if block is None else [[0, block]])


def test_the_task_is_learned_where_places_show() -> None:
    """A slope in both directions, from a random height: nothing but the two patches' differences can answer."""
    torch.manual_seed(0)
    task = model(depth=2).train()
    (phase,) = task.phases()
    optimizer = torch.optim.Adam(phase.parameters, lr=1e-2)
    for _ in range(150):
        x = (coordinates(32) + 10 * torch.randn(32, 2, 1, 1)) / 10
        losses = phase.loss(Batch(x))
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
    assert losses.total.item() < 0.3 * math.log(8)
    assert losses.parts["accuracy"].item() > 0.8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patch": 7, "gap": 3, "jitter": 1}, "need images of at least 29 pixels"),
        ({"gap": 2, "jitter": 2}, "at least twice the jitter"),
        ({"colours": "drop"}, "three colours"),
        ({"patch": 3}, "at least 4 pixels"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        model(depth=1, **settings)


def test_an_image_too_small_is_refused_by_the_least_size() -> None:
    assert "at least 14 pixels" in (RelativePatch.supports(Event((1, 13, 40), Levels(2))) or "")
