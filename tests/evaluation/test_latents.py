"""What the pictures of latent spaces show."""

from collections.abc import Mapping
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from ancestral.evaluation import decoded, resampled, walks
from ancestral.interface import Decoder, Event, InputError, Real
from ancestral.models.flow.realnvp import RealNVP


def test_walks_are_straight_and_keep_their_ends() -> None:
    first, second = torch.randn(2, 3, 5)
    way = walks(first, second, steps=4).view(3, 4, 5)
    torch.testing.assert_close(way[:, 0], first)
    torch.testing.assert_close(way[:, -1], second)
    torch.testing.assert_close(way[:, 1] - way[:, 0], way[:, 3] - way[:, 2])


def test_a_spherical_walk_turns_evenly_between_its_ends_and_its_length_goes_evenly() -> None:
    first, second = torch.randn(2, 6, 9, dtype=torch.float64)
    second = 3 * second
    way = walks(first, second, 5, "spherical").view(6, 5, 9)
    torch.testing.assert_close(way[:, 0], first)
    torch.testing.assert_close(way[:, -1], second)
    lengths = way.norm(dim=2)
    torch.testing.assert_close(lengths.diff(dim=1), lengths.diff(dim=1)[:, :1].expand(6, 4))
    turned = torch.nn.functional.cosine_similarity(way[:, 1:], way[:, :-1], dim=2).acos()
    whole = torch.nn.functional.cosine_similarity(first, second, dim=1).acos()
    torch.testing.assert_close(turned, (whole / 4)[:, None].expand(6, 4))
    # All of it in the plane of its ends.
    for walk in way:
        assert torch.linalg.matrix_rank(walk, rtol=1e-9) == 2


def test_of_codes_of_one_length_a_spherical_walk_is_that_of_shoemake() -> None:
    first, second = torch.nn.functional.normalize(torch.randn(2, 4, 7, dtype=torch.float64), dim=2)
    angle = (first * second).sum(1, keepdim=True).acos()
    weight = torch.linspace(0, 1, 6, dtype=torch.float64)
    expected = [(((1 - t) * angle).sin() * first + (t * angle).sin() * second) / angle.sin() for t in weight]
    torch.testing.assert_close(walks(first, second, 6, "spherical").view(4, 6, 7), torch.stack(expected, 1))


def test_draws_of_many_dimensions_stay_as_long_on_a_sphere_and_not_on_a_line() -> None:
    """Two draws of N(0, I) are nearly orthogonal: half-way a straight line is shorter by the root of 2."""
    first, second = torch.randn(2, 50, 400)
    middle = {
        path: walks(first, second, 3, path).view(50, 3, 400)[:, 1].norm(dim=1) for path in ("linear", "spherical")
    }
    assert middle["spherical"].mean() == pytest.approx(20, rel=0.02)
    assert middle["linear"].mean() == pytest.approx(20 / 2**0.5, rel=0.02)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_spherical_walk_between_parallel_codes_is_straight_and_one_between_opposite_codes_turns(dtype) -> None:
    a = torch.randn(5, dtype=dtype)
    zero = torch.zeros(5, dtype=dtype)
    straight = {
        "itself": (a, a),
        "parallel": (a, 3 * a),
        "from zero": (zero, a),
        "to zero": (a, zero),
        "zeros": (zero, zero),
    }
    for first, second in straight.values():
        spherical, linear = (walks(first[None], second[None], 5, path) for path in ("spherical", "linear"))
        torch.testing.assert_close(spherical, linear, atol=1e-5, rtol=1e-5)
    for nearly in (0.0, 1e-7, 1e-5):
        b = -2 * (a + nearly * torch.randn_like(a))
        way = walks(a[None], b[None], 5, "spherical")
        torch.testing.assert_close(way[[0, -1]], torch.stack([a, b]), atol=1e-3, rtol=1e-3)
        expected = float(a.norm()) * torch.linspace(1, 2, 5, dtype=dtype)
        torch.testing.assert_close(way.norm(dim=1), expected, atol=1e-3, rtol=1e-3)
    # In one dimension there is nowhere to turn to.
    line = walks(torch.ones(1, 1), -torch.ones(1, 1), 3, "spherical")
    torch.testing.assert_close(line[:, 0], torch.tensor([1.0, 0.0, -1.0]), atol=1e-6, rtol=0)


def test_a_path_that_does_not_exist_is_refused(untyped: None) -> None:
    with pytest.raises(InputError, match="path must be one of linear, spherical, got 'round'"):
        walks(torch.zeros(1, 2), torch.ones(1, 2), 3, "round")


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
