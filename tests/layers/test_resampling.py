"""Up- and down-sampling keep their promises about sides, and conditioning about widths."""

import pytest
import torch

from ancestral.interface import Categories, Event, InputError, Levels, Real
from ancestral.layers.conditioning import FlatContext
from ancestral.layers.resampling import UPSAMPLINGS, Downsample, Upsample, half


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 7), (8, 5)])
@pytest.mark.parametrize("how", UPSAMPLINGS)
def test_up_undoes_down_in_sides(size: tuple[int, int], how: str) -> None:
    small = Downsample(2, 3)(torch.randn(4, 2, *size))
    assert small.shape == (4, 3, *half(size))
    assert Upsample(3, 2, size, how)(small).shape == (4, 2, *size)


def test_nearest_repeats_pixels() -> None:
    layer = Upsample(1, 1, (4, 3), "nearest", bias=False)
    with torch.no_grad():
        layer.convolution.weight.zero_()[0, 0, 1, 1] = 1  # the identity
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
    expected = torch.tensor([[1.0, 1, 2], [1, 1, 2], [3, 3, 4], [3, 3, 4]])
    torch.testing.assert_close(layer(x)[0, 0], expected)


def test_unknown_upsampling() -> None:
    with pytest.raises(InputError, match="upsampling must be one of nearest, bilinear, transposed, got 'cubic'"):
        Upsample(1, 1, (4, 4), "cubic")


def test_context_is_one_hot_or_flat() -> None:
    x = torch.zeros(2, 1)
    labels = FlatContext(Event((), Levels(3)))
    assert labels(x, torch.tensor([2, 0])).tolist() == [[0, 0, 0, 1], [0, 1, 0, 0]]
    assert labels(x, None).tolist() == [[0, 0, 0, 0]] * 2
    grey = FlatContext(Event((1, 1, 2), Levels(5)))
    assert grey(x, torch.tensor([[[[0, 4]]], [[[2, 3]]]])).tolist() == [[0, -1, 1], [0, 0, 0.5]]
    real = FlatContext(Event((), Real()))
    assert real(x, torch.tensor([1.5, 2.5])).tolist() == [[0, 1.5], [0, 2.5]]
    assert FlatContext(None)(x, None) is x


def test_token_ids_as_context_keep_their_order() -> None:
    tokens = FlatContext(Event((2,), Categories(4)), embedding=3)
    first, second = tokens.vector(2, torch.tensor([[1, 3], [3, 1]]), like=torch.zeros(1)).unflatten(1, (2, 3))
    assert torch.equal(first, second.flip(0))
    assert not torch.equal(first, second)
