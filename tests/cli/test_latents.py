"""What the pictures of latent spaces show."""

from fractions import Fraction

import torch

from ancestral.cli.latents import resampled, walks
from ancestral.interface import Event, Real
from ancestral.models.flow.realnvp import RealNVP


def test_walks_are_straight_and_keep_their_ends() -> None:
    first, second = torch.randn(2, 3, 5)
    way = walks(first, second, steps=4).view(3, 4, 5)
    torch.testing.assert_close(way[:, 0], first)
    torch.testing.assert_close(way[:, -1], second)
    torch.testing.assert_close(way[:, 1] - way[:, 0], way[:, 3] - way[:, 2])


def test_resampling_keeps_the_coarse_latents_of_every_observation() -> None:
    model = RealNVP(Event((1, 8, 8), Real()), channels=4, scales=3)
    x = torch.randn(2, 1, 8, 8)
    with torch.no_grad():
        z = model.encode(x).mean
        shares, shown = resampled(model, z, torch.Generator().manual_seed(0))
        assert shares == [Fraction(1, 2), Fraction(1, 4)]
        again = model.encode(shown).mean.view(2, 3, 64)
    torch.testing.assert_close(again[:, 0], z, rtol=1e-3, atol=1e-3)
    for column, share in enumerate(shares, start=1):
        kept = int(share * 64)
        torch.testing.assert_close(again[:, column, :kept], z[:, :kept], rtol=1e-3, atol=1e-3)
        assert (again[:, column, kept:] - z[:, kept:]).abs().mean() > 0.5
