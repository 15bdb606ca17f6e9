"""Which latent dimensions move, how far, and where the others stay."""

import math

import pytest
import torch

from ancestral.evaluation import activity, latent_plane, latent_spread, quantiles, traversals
from ancestral.interface import Categories, Decoder, Event, InputError, Real
from ancestral.models.linear.gaussian_mixture import GaussianMixture
from ancestral.models.linear.kmeans import KMeans
from ancestral.models.linear.probabilistic_pca import ProbabilisticPCA
from tests.evaluation.styled_classes import CLASSES, StyledClasses


def test_the_spread_of_a_standard_prior_is_exactly_that_of_a_standard_gaussian() -> None:
    spread = latent_spread(ProbabilisticPCA(Event((40,), Real()), latent_dim=30))
    assert (spread.mean == 0).all()
    assert (spread.std == 1).all()
    assert spread.continuous == list(range(30))


def test_the_spread_of_another_prior_is_that_of_its_draws_and_one_hot_latents_are_known() -> None:
    spread = latent_spread(StyledClasses(), generator=torch.Generator().manual_seed(0))
    assert spread.one_hot == {"y": range(CLASSES)}
    assert spread.continuous == [3, 4]
    torch.testing.assert_close(spread.mean[3:], torch.tensor([5.0, 5.0]), atol=0.2, rtol=0)
    torch.testing.assert_close(spread.std[3:], torch.tensor([2.0, 2.0]), atol=0.15, rtol=0)
    soft = torch.tensor([[0.2, 0.7, 0.1, 0.3, -9.0]])
    assert spread.hardened(soft).tolist() == [[0, 1, 0, pytest.approx(0.3), -9.0]]
    assert soft[0, 1] == pytest.approx(0.7)  # what was given is as it was


class Shifted(Decoder):
    """z lies about the class that is the context."""

    def phases(self) -> list:
        return []

    @property
    def latent_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"z": (2,)}

    def _sample_latent(self, name: str, parents: dict, n: int, context: torch.Tensor | None) -> torch.Tensor:
        return 10 * context[:, None] + torch.randn(n, 2)

    def _decode(self, z: torch.Tensor, context: torch.Tensor | None) -> torch.Tensor:
        return z


def test_the_spread_of_a_conditional_prior_is_that_of_its_context() -> None:
    model = Shifted(Event((2,), Real()), context_event=Event((), Categories(4)))
    for label in (0, 3):
        spread = latent_spread(model, context=torch.tensor([label]), generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(spread.mean, torch.full((2,), 10.0 * label), atol=0.1, rtol=0)
        torch.testing.assert_close(spread.std, torch.ones(2), atol=0.1, rtol=0)


def test_a_clustering_is_one_hot_with_a_prior_and_without_one() -> None:
    x = torch.randn(200, 2)
    for model in (GaussianMixture(Event((2,), Real()), components=3), KMeans(Event((2,), Real()), components=3)):
        model.fit_start(x)
        spread = latent_spread(model, None if model.has_prior else model.encode(x).mean)
        assert not spread.continuous
        assert list(spread.one_hot) == list(model.latent_shapes)
    with pytest.raises(InputError, match="no prior of its latents"):
        latent_spread(model)


def test_an_axis_is_active_as_far_as_the_posterior_mean_follows_the_data() -> None:
    """Of a linear Gaussian model the variance of the posterior mean is the share that z explains, known exactly."""
    model = ProbabilisticPCA(Event((4,), Real()), latent_dim=3)
    scales, noise = torch.tensor([3.0, 1.0, 1e-4]), 0.5
    model.loadings.copy_(torch.eye(4)[:, :3] * scales)
    model.noise_variance.fill_(noise)
    x = model.sample(40_000, generator=torch.Generator().manual_seed(0))
    used = activity(model.encode(x).mean, latent_spread(model))
    torch.testing.assert_close(used, (scales**2 / (scales**2 + noise)).double(), atol=0.02, rtol=0)
    # It is in units of the prior's variance, and so hangs on no unit of the latent.
    spread = latent_spread(StyledClasses())
    z = spread.mean + spread.std * torch.randn(9000, 5)
    torch.testing.assert_close(activity(z, spread)[3:], torch.ones(2), atol=0.06, rtol=0)


def test_a_traversal_moves_one_dimension_over_its_range_and_leaves_the_others() -> None:
    spread = latent_spread(StyledClasses(), generator=torch.Generator().manual_seed(0))
    z = torch.tensor([0.0, 1.0, 0.0, 6.0, -7.0])
    way = traversals(z, [4, 3], torch.tensor([-2.0, 0.0, 1.0]), spread).view(2, 3, 5)
    for row, axis in enumerate((4, 3)):
        moved = way[row, :, axis]
        assert moved[1] == spread.mean[axis]
        assert moved[2] - moved[1] == pytest.approx(float(spread.std[axis]), rel=1e-5)
        assert moved[1] - moved[0] == pytest.approx(2 * float(spread.std[axis]), rel=1e-5)
        others = [place for place in range(5) if place != axis]
        assert (way[row][:, others] == z[others]).all()


def test_quantiles_halve_and_quarter_the_mass_of_the_gaussian() -> None:
    found = quantiles(20)
    mass = 0.5 * (1 + torch.erf(found / math.sqrt(2)))
    torch.testing.assert_close(mass, (torch.arange(20).double() + 0.5) / 20)
    torch.testing.assert_close(found, -found.flip(0))


def test_a_plane_rises_to_the_right_and_upwards_about_its_point() -> None:
    spread = latent_spread(ProbabilisticPCA(Event((5,), Real()), latent_dim=3))
    z = torch.tensor([7.0, 8.0, 9.0], dtype=torch.float64)
    offsets = quantiles(4)
    plane = latent_plane(z, (2, 0), offsets, spread).view(4, 4, 3)
    assert (plane[:, :, 1] == 8).all()
    assert (plane[:, :, 2] == offsets).all()  # along each row, to the right
    assert (plane[:, :, 0] == offsets.flip(0)[:, None]).all()  # the top row has the greatest
    assert z.tolist() == [7, 8, 9]
