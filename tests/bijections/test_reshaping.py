"""Squeezing, factoring out, permuting: where each entry goes."""

import pytest
import torch

from ancestral.bijections import FactorOut, Flatten, Permutation, Squeeze
from ancestral.interface import InputError


def test_squeeze_orders_channels_by_place_in_the_block_then_by_old_channel() -> None:
    x = torch.arange(2 * 4 * 4).reshape(1, 2, 4, 4).float()
    z, log_det = Squeeze()(x)
    assert z.shape == (1, 8, 2, 2)
    assert log_det.tolist() == [0]
    for row in range(2):
        for column in range(2):
            place = 2 * row + column
            assert torch.equal(z[:, 2 * place : 2 * place + 2], x[:, :, row::2, column::2])


def test_factor_out_puts_the_kept_half_first() -> None:
    x = torch.randn(3, 4, 2, 2)
    z, _ = FactorOut(Flatten((2, 2, 2)), (4, 2, 2))(x)
    assert torch.equal(z, x.flatten(1))


def test_a_permutation_must_be_one() -> None:
    with pytest.raises(InputError, match="permutation of 0 .. 2"):
        Permutation([0, 0, 2])
