"""What latents hold, of a model whose divergence is known."""

import math

import pytest
import torch

from ancestral.data import Split
from ancestral.evaluation import kl_of_latents, latent_information
from ancestral.interface import Binary, Categories, Event, InputError, Real
from ancestral.models.autoregressive.made import MADE
from ancestral.models.variational.vae import VAE


def test_it_is_the_closed_divergence_and_a_part_of_the_elbo() -> None:
    torch.manual_seed(0)
    model = VAE(Event((6,), Binary()), latent_dim=2, hidden=[8]).eval()
    with torch.no_grad():
        model.encoder.network[-1].bias.copy_(torch.tensor([1.0, -0.5, -1.0, 0.5]))
    x = torch.randint(2, (200, 6))
    x = x[model.elbo(x, samples=50).argsort()]  # so that the first rows are unlike the others
    with torch.no_grad():
        exact = model._posterior(x.float(), None).kl_by_dimension().sum(1).double()
        elbo = model.elbo(x[:150], samples=400).double().mean().item()
    torch.testing.assert_close(kl_of_latents(model, x, samples=1000), exact, atol=0.3, rtol=0)
    found = latent_information(model, x, samples=400, limit=150)
    assert found.n == 150
    assert found.kl == pytest.approx(exact[:150].mean().item(), abs=0.02)
    assert found.elbo == pytest.approx(elbo, abs=0.03)
    assert found.share == pytest.approx(found.kl / -found.elbo)
    assert f"{100 * found.share:.1f} %" in str(found)
    each = kl_of_latents(model, x, samples=400, limit=150)
    assert found.stderr == pytest.approx(each.std().item() / 150**0.5)


def test_the_posterior_is_that_of_the_context_and_a_density_has_no_share() -> None:
    torch.manual_seed(0)
    event, label = Event((3,), Real()), Event((), Categories(3))
    model = VAE(event, context_event=label, latent_dim=2, hidden=[8]).eval()
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.mul_(3)
    x, context = torch.zeros(3, 3), torch.arange(3)
    exact = model._posterior(x, context).kl_by_dimension().sum(1).double().detach()
    assert (exact[1:] / exact[0] - 1).abs().min() > 0.3
    data = Split(x, event, context=context)
    torch.testing.assert_close(kl_of_latents(model, data, samples=400), exact, atol=0, rtol=0.1)
    assert math.isnan(latent_information(model, data).share)


def test_the_same_seed_draws_the_same() -> None:
    model, x = VAE(Event((6,), Binary()), latent_dim=2, hidden=[8]), torch.randint(2, (20, 6))
    assert latent_information(model, x, seed=1) == latent_information(model, x, seed=1)
    assert math.isnan(latent_information(model, x[:1]).stderr)


def test_a_model_without_latents_has_none() -> None:
    with pytest.raises(InputError, match="has no KL of its latents"):
        latent_information(MADE(Event((4,), Binary()), hidden=[8]), torch.zeros(2, 4))
    with pytest.raises(InputError, match="samples and limit"):
        latent_information(VAE(Event((4,), Binary())), torch.zeros(2, 4), samples=0)
