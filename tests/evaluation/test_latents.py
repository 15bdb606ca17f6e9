"""What the pictures of latent spaces show."""

from collections.abc import Mapping
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from ancestral.evaluation import decoded, resampled, walks
from ancestral.interface import Decoder, Event, Real
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
        shares, shown = resampled(model, z, generator=torch.Generator().manual_seed(0))
        assert shares == [Fraction(1, 2), Fraction(1, 4)]
        again = model.encode(shown).mean.view(2, 3, 64)
    torch.testing.assert_close(again[:, 0], z, rtol=1e-3, atol=1e-3)
    for column, share in enumerate(shares, start=1):
        kept = int(share * 64)
        torch.testing.assert_close(again[:, column, :kept], z[:, :kept], rtol=1e-3, atol=1e-3)
        assert (again[:, column, kept:] - z[:, kept:]).abs().mean() > 0.5


class Chain(Decoder):
    """z_2 lies near its parent z_1, which lies near the context; an observation is both, with noise of its own."""

    def phases(self) -> list:
        return []

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"parent": (1,), "child": (1,)}

    def _sample_latent(self, name: str, parents: Mapping[str, Tensor], n: int, context: Tensor | None) -> Tensor:
        centre = parents["parent"] if name == "child" else context
        return centre + 0.01 * torch.randn(n, 1)

    def _decode(self, z: Tensor, context: Tensor | None) -> Tensor:
        return z + context + 0.01 * torch.randn_like(z)


@pytest.fixture
def chain() -> Chain:
    return Chain(Event((2,), Real()), context_event=Event((1,), Real()))


def test_a_latent_that_is_drawn_anew_follows_the_parent_that_is_kept(chain: Chain) -> None:
    context = 100 * torch.randn(6, 1)
    z = 10 * torch.randn(6, 1).expand(6, 2)
    shares, shown = resampled(chain, z, context, torch.Generator().manual_seed(0))
    assert shares == [Fraction(1, 2)]
    expected = (z + context).repeat_interleave(2, 0)
    torch.testing.assert_close(shown, expected, atol=0.1, rtol=0)
    assert (shown[1::2, 1] - shown[1::2, 0] != 0).all()


def test_a_decoder_that_draws_is_shown_by_draws_from_the_generator(chain: Chain) -> None:
    z, context = torch.zeros(700, 2), torch.arange(700.0)[:, None]
    first, again = (decoded(chain, z, context, torch.Generator().manual_seed(s)) for s in (0, 0))
    torch.testing.assert_close(first, again)
    torch.testing.assert_close(first, context.expand(700, 2), atol=0.1, rtol=0)
    assert not torch.equal(first, decoded(chain, z, context, torch.Generator().manual_seed(1)))
