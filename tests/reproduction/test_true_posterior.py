"""The posterior on a grid, where it is known: of linear Gaussian decoders, and by identities of importance samples."""

import math

import pytest
import torch
from torch.distributions import Categorical, MultivariateNormal, kl_divergence

from ancestral.interface import Event, InputError, Real
from ancestral.models.variational.flow_posterior_vae import FlowVAE
from ancestral.models.variational.iwae import IWAE
from ancestral.models.variational.vae import VAE
from ancestral.reproduction.figures.true_posterior import OnGrid, _levels, posterior_on_grid

EVENT = Event((3,), Real())


def mass(on: OnGrid, log_density: torch.Tensor) -> float:
    return float(log_density.exp().sum() * on.cell)


def test_a_linear_decoder_has_the_posterior_of_the_closed_form() -> None:
    model, loadings, x = VAE(EVENT, latent_dim=2, hidden=[]), torch.randn(3, 2), torch.randn(1, 3)
    noise = torch.tensor([0.3, 1.0, 0.6])
    with torch.no_grad():
        decoder = model.decoder.network[0]
        decoder.weight.zero_()
        decoder.weight[:3] = loadings
        decoder.bias[:] = torch.cat([torch.zeros(3), noise.log()])
        q = model.encode(x).base_dist
    precision = torch.eye(2) + loadings.T @ (loadings / noise[:, None])
    true = MultivariateNormal(torch.linalg.solve(precision, loadings.T @ (x[0] / noise)), precision_matrix=precision)
    on = posterior_on_grid(model, x, side=160)
    at = torch.stack(torch.meshgrid(on.horizontal, on.vertical, indexing="xy"), dim=-1).float()
    torch.testing.assert_close(on.posterior, true.log_prob(at).double(), atol=1e-3, rtol=1e-4)
    marginal = MultivariateNormal(torch.zeros(3), loadings @ loadings.T + noise.diag())
    assert on.log_prob == pytest.approx(marginal.log_prob(x).item(), abs=1e-3)
    known = kl_divergence(MultivariateNormal(q.mean[0], q.variance[0].diag()), true).item()
    assert on.divergence(on.q) == pytest.approx(known, rel=1e-3)
    assert on.divergence(on.posterior) == 0


@pytest.mark.parametrize(
    "model",
    [
        lambda: VAE(EVENT, latent_dim=2, hidden=[6]),
        lambda: FlowVAE(EVENT, latent_dim=2, hidden=[6], posterior="planar", length=3),
        lambda: FlowVAE(EVENT, latent_dim=2, hidden=[6], posterior="iaf", length=2, flow_hidden=[6]),
    ],
)
def test_the_divergence_is_what_the_elbo_lacks_of_the_likelihood(model) -> None:
    """KL(q || p(z | x)) = ln p(x) - ELBO, whatever the form of q."""
    model, x = model(), torch.randn(1, 3)
    on = posterior_on_grid(model, x, side=160)
    assert mass(on, on.q) == pytest.approx(1, abs=2e-3)
    assert mass(on, on.posterior) == pytest.approx(1, abs=2e-3)
    with torch.no_grad():
        elbo = model.elbo(x, samples=20_000).item()
    assert on.divergence(on.q) == pytest.approx(on.log_prob - elbo, abs=0.03)


def test_resampling_leaves_one_sample_as_it_is_and_brings_many_to_the_posterior() -> None:
    """q_IW of one sample is q; of k its divergence is at most ln p(x) - L_k (Cremer, Morris & Duvenaud 2017)."""
    model, x = IWAE(EVENT, latent_dim=2, hidden=[6]), 2 * torch.randn(1, 3)
    grids = {k: posterior_on_grid(model, x, side=100, importance_samples=k) for k in (1, 5, 200)}
    assert torch.equal(grids[1].q_iw, grids[1].q)
    divergences = []
    for k, on in grids.items():
        assert mass(on, on.q_iw) == pytest.approx(1, abs=2e-3)
        divergences.append(on.divergence(on.q_iw))
        with torch.no_grad():
            bound = model.log_prob_lower_bound(x.expand(4000, 3), importance_samples=k).mean().item()
        assert divergences[-1] < on.log_prob - bound + 0.02
    assert divergences == sorted(divergences, reverse=True)
    assert divergences[-1] < 0.01


def test_the_density_of_resampling_is_that_of_what_resampling_draws() -> None:
    model, x, n, k = IWAE(EVENT, latent_dim=2, hidden=[6]), 2 * torch.randn(1, 3), 40_000, 2
    with torch.no_grad():
        z = model.encode(x).sample((n, k))[:, :, 0]
        log_weights = model.log_joint(x.expand(n * k, 3), z.flatten(0, 1)).view(n, k) - model.encode(x).log_prob(
            z[:, :, None]
        ).squeeze(2)
        chosen = z[torch.arange(n), Categorical(logits=log_weights).sample()].double()
    on = posterior_on_grid(model, x, side=160, importance_samples=k)
    at = torch.stack(torch.meshgrid(on.horizontal, on.vertical, indexing="xy"), dim=-1)

    def mean(log_density: torch.Tensor) -> torch.Tensor:
        return (log_density.exp()[:, :, None] * at * on.cell).sum((0, 1))

    torch.testing.assert_close(mean(on.q_iw), chosen.mean(0), atol=0.03, rtol=0)
    # Neither the proposal nor the posterior.
    for other in (on.q, on.posterior):
        assert (mean(other) - chosen.mean(0)).norm() > 0.1


def test_contours_enclose_the_smallest_regions_of_their_mass() -> None:
    """Of a round Gaussian those are discs, outside of which density / peak = 1 - mass."""
    line = torch.linspace(-6, 6, 301).double()
    density = torch.exp(-0.5 * (line[:, None] ** 2 + line**2)) / (2 * math.pi)
    levels = _levels(density, float(line[1] - line[0]) ** 2)
    assert [level * 2 * math.pi for level in levels] == pytest.approx([0.01, 0.1, 0.5], rel=0.02)


def test_two_latents_are_asked_for() -> None:
    with pytest.raises(InputError, match="of 2 latents"):
        posterior_on_grid(VAE(EVENT, latent_dim=3, hidden=[6]), torch.zeros(1, 3), side=10)
