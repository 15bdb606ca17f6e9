"""Twins: two styles of the same images, whose pairs are hidden from training and known where it is judged."""

import pytest
import torch

from ancestral.data import Data, load_data
from ancestral.interface import InputError, Levels


def sides(data: Data, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    rows = data.splits[split]
    assert rows.y is not None
    return rows.x[rows.y == 0], rows.x[rows.y == 1]


def test_training_meets_no_pair_and_held_out_rows_know_theirs() -> None:
    plain, data = load_data("digits"), load_data("digits", twin="rotated")
    assert data.domains == ("original", "rotated")
    assert data.classes is None
    assert "pair" not in data.train.factors
    first, second = sides(data, "train")
    halves = [*first, *second.flip(2, 3)]
    assert abs(len(first) - len(second)) <= 1
    # All training images are there, each in one of the two styles alone.
    key = lambda x: tuple(x.flatten().tolist())  # noqa: E731
    assert sorted(map(key, halves)) == sorted(map(key, plain.train.x))
    for split in ("valid", "test"):
        rows = data.splits[split]
        n = len(plain.splits[split])
        one, other = sides(data, split)
        assert torch.equal(one, plain.splits[split].x)
        assert torch.equal(one, other.flip(2, 3))
        assert torch.equal(rows.factors["pair"], torch.arange(n).repeat(2))
        assert torch.equal(rows.factors["label"][:n], plain.splits[split].y)
    again, elsewhere = load_data("digits", twin="rotated"), load_data("digits", twin="rotated", seed=1)
    assert again.train.digest == data.train.digest != elsewhere.train.digest


def test_each_twin_is_what_it_says() -> None:
    x = load_data("digits").test.x
    _, inverted = sides(load_data("digits", twin="inverted"), "test")
    assert torch.equal(inverted, 16 - x)
    _, thick = sides(load_data("digits", twin="thick"), "test")
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
    around = torch.stack([padded[..., i : i + 8, j : j + 8] for i in range(3) for j in range(3)])
    assert torch.equal(thick, around.amax(0))
    data = load_data("digits", twin="thick+inverted")
    assert torch.equal(sides(data, "test")[1], 16 - thick)
    assert data.domains == ("original", "thick+inverted")


def test_a_coloured_twin_is_a_line_between_two_colours_and_makes_both_domains_three_channels() -> None:
    data = load_data("digits", twin="coloured")
    grey, coloured = sides(data, "test")
    assert data.event.shape == (3, 8, 8)
    assert torch.equal(grey[:, 0], grey[:, 2])
    for level in (0, 16):
        colours = coloured.movedim(1, 3)[grey[:, 0] == level].unique(dim=0)
        assert len(colours) == 1
    assert not torch.equal(coloured[:, 0], coloured[:, 1])


def test_shapes_in_two_styles() -> None:
    data = load_data("shapes", n=60, twin="outlined")
    filled, outlined = sides(data, "test")
    assert data.domains == ("filled", "outlined")
    plain = load_data("shapes", n=60).test
    assert torch.equal(filled, plain.x)
    # The ground is light, lines are where shapes are, and less of the picture is line than was shape.
    ground = outlined[:, :, :1, :1]
    lines, shape = (outlined != ground).any(1), (filled != filled[:, :, :1, :1]).any(1)
    assert not bool((lines & ~shape).any())
    assert 0 < int(lines.sum()) < int(shape.sum())
    assert data.test.factors["colour"].tolist() == plain.factors["colour"].tolist() * 2


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(InputError, match="no twin 'rotate' .did you mean 'rotated'"):
        load_data("digits", twin="rotate")
    with pytest.raises(InputError, match="has colours already"):
        load_data("shapes", n=20, twin="coloured")
    assert load_data("digits", twin="thick").event.support == Levels(17)
