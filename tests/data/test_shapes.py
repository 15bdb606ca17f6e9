"""The pictures show what their factors and captions say."""

import math

import pytest
import torch

from ancestral.data import Data, load_data
from ancestral.data.shapes import COLOURS, SHAPES, captions, render
from ancestral.interface import Event, Levels


@pytest.fixture(scope="module")
def data() -> Data:
    return load_data("shapes", n=1000)


def factors(n: int = 1, **values: float) -> dict[str, torch.Tensor]:
    given = {"shape": 0, "colour": 0, "size": 8.0, "x": 16.0, "y": 16.0, "rotation": 0.0} | values
    return {key: torch.full((n,), value) for key, value in given.items()}


def ink(x: torch.Tensor) -> torch.Tensor:
    """How much of each pixel is covered, by the channel that differs most from the ground."""
    spread = (x.float() - torch.tensor([24.0, 24.0, 32.0]).view(3, 1, 1)).abs().amax(1)
    return spread / spread.amax((1, 2), keepdim=True)


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        ("circle", math.pi),
        ("square", 2.0),
        ("triangle", 3 * math.sqrt(3) / 4),
        ("cross", 4 * 0.95 * 0.3 * 2 - 0.6**2),
        ("ring", math.pi * (1 - 0.55**2)),
    ],
)
@pytest.mark.parametrize("rotation", [0.0, 0.3])
def test_anti_aliased_areas_are_the_areas_of_the_shapes(shape: str, area: float, rotation: float) -> None:
    x = render(factors(shape=SHAPES.index(shape), size=9.0, x=15.7, y=16.2, rotation=rotation))
    assert ink(x).sum().item() == pytest.approx(area * 81, rel=0.03)


def test_centres_of_mass_are_the_positions(data: Data) -> None:
    centres = torch.arange(32) + 0.5
    weight = ink(data.train.x)
    total = weight.sum((1, 2))
    assert ((weight.sum(1) * centres).sum(1) / total - data.train.factors["x"]).abs().max() < 0.2
    assert ((weight.sum(2) * centres).sum(1) / total - data.train.factors["y"]).abs().max() < 0.2


def test_colours_are_the_colours(data: Data) -> None:
    solid = data.train.take((data.train.factors["shape"] < 2).nonzero()[:, 0])
    ij = torch.stack([solid.factors["y"], solid.factors["x"]]).long()
    found = solid.x[torch.arange(len(solid)), :, ij[0], ij[1]]
    assert torch.equal(found.long(), torch.tensor(list(COLOURS.values()))[solid.factors["colour"]])


def test_a_turn_by_the_period_gives_the_same_picture() -> None:
    for shape, period in (("square", math.pi / 2), ("cross", math.pi / 2), ("triangle", 2 * math.pi / 3)):
        start = factors(shape=SHAPES.index(shape), rotation=0.2)
        turned = start | {"rotation": start["rotation"] + period}
        assert (render(start).int() - render(turned).int()).abs().max() <= 1
        assert (render(start).int() - render(start | {"rotation": start["rotation"] + 0.4}).int()).abs().max() > 20


def test_captions_say_what_is_there(data: Data) -> None:
    said = factors(shape=1, colour=0, size=5.0, x=11.0, y=12.0, rotation=0.5)
    assert data.text(captions(said)[0]) == "a small red square at the top left, rotated"
    said = factors(shape=4, colour=2, size=9.5, x=21.5, y=16.0)
    assert data.text(captions(said)[0]) == "a large blue ring at the middle right"
    words = [data.text(tokens).split() for tokens in data.train.captions]
    assert all(SHAPES[y] == text[3] for y, text in zip(data.train.y, words))
    assert not any("rotated" in text for y, text in zip(data.train.y, words) if SHAPES[y] in ("circle", "ring"))


def test_the_set_is_made_by_its_seed(data: Data) -> None:
    assert data.event == Event((3, 32, 32), Levels(256))
    assert data.classes == SHAPES
    assert torch.equal(load_data("shapes", n=1000).train.x, data.train.x)
    assert not torch.equal(load_data("shapes", n=1000, seed=1).train.x, data.train.x)
    assert data.train.y.bincount().min() > 100
