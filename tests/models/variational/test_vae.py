"""The VAE against exact answers: a linear one against its Gaussian marginal, and its bounds against each other."""

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from ancestral.interface import Batch, Binary, Categories, Event, InputError, Levels, Real
from ancestral.models.variational.vae import VAE


def seed(value: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(value)


def perturbed(model: VAE) -> VAE:
    """A decoder that depends on z, and a posterior still wide enough for light-tailed importance weights."""
    with torch.no_grad():
        for network, scale in ((model.encoder, 0.1), (model.decoder, 0.4)):
            for parameter in network.parameters():
                parameter.add_(scale * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture
def linear() -> tuple[VAE, MultivariateNormal, Tensor]:
    """A linear VAE at its true posterior, the exact marginal of x, and the posterior's covariance (diagonal)."""
    size, latents, variance = 5, 2, 0.3
    # Orthogonal columns: only then is the true posterior diagonal.
    loadings = torch.linalg.qr(torch.randn(size, latents).double())[0] * torch.tensor([1.5, 0.7])
    mean = torch.randn(size).double()
    precision = loadings.T @ loadings / variance + torch.eye(latents).double()
    covariance = precision.inverse()
    to_mean = covariance @ loadings.T / variance
    model = VAE(Event((size,), Real()), latent_dim=latents, hidden=[]).double().eval()
    with torch.no_grad():
        model.decoder.network[-1].weight.copy_(torch.cat([loadings, torch.zeros_like(loadings)]))
        model.decoder.network[-1].bias.copy_(torch.cat([mean, torch.full((size,), math.log(variance)).double()]))
        model.encoder.network[-1].weight.copy_(torch.cat([to_mean, torch.zeros_like(to_mean)]))
        model.encoder.network[-1].bias.copy_(torch.cat([-to_mean @ mean, covariance.diagonal().log()]))
    exact = MultivariateNormal(mean, loadings @ loadings.T + variance * torch.eye(size).double())
    return model, exact, covariance


def test_linear_vae_equals_the_marginal_at_the_true_posterior(linear: tuple[VAE, MultivariateNormal, Tensor]) -> None:
    model, exact, _ = linear
    x = exact.sample((20,)) * 1.5
    # Every importance weight is p(x) itself there.
    torch.testing.assert_close(model.log_prob_lower_bound(x, importance_samples=1), exact.log_prob(x))
    # The closed-form KL leaves the noise of the reconstruction term, which averages out.
    gap = exact.log_prob(x).mean() - model.elbo(x, samples=20_000, generator=seed()).mean()
    assert abs(gap) < 0.01


def test_linear_vae_falls_short_of_the_marginal_by_the_kl_to_the_true_posterior(
    linear: tuple[VAE, MultivariateNormal, Tensor],
) -> None:
    model, exact, covariance = linear
    x = exact.sample((20,))
    posterior_mean = model.encode(x).mean.detach()
    with torch.no_grad():
        model.encoder.network[-1].bias.add_(torch.tensor([0.3, -0.5, 0.8, 0.4]))
    q = model.encode(x)
    approximate = MultivariateNormal(q.mean, torch.diag_embed(q.variance))
    kl = kl_divergence(approximate, MultivariateNormal(posterior_mean, covariance))
    elbo = model.elbo(x, samples=20_000, generator=seed())
    assert kl.min() > 0.05
    torch.testing.assert_close(elbo, exact.log_prob(x) - kl, atol=0.05, rtol=0)


def test_bounds_rise_with_importance_samples() -> None:
    model = perturbed(VAE(Event((6,), Binary()), latent_dim=2, hidden=[8]))
    x = torch.randint(0, 2, (200, 6))
    with torch.no_grad():
        elbo, one, five, many = (
            float(torch.stack(values).mean())
            for values in (
                [model.elbo(x, samples=20, generator=seed(i)) for i in range(5)],
                [model.log_prob_lower_bound(x, importance_samples=1, generator=seed(i)) for i in range(100)],
                [model.log_prob_lower_bound(x, importance_samples=5, generator=seed(i)) for i in range(20)],
                [model.log_prob_lower_bound(x, importance_samples=500, generator=seed())],
            )
        )
    assert abs(elbo - one) < 0.02  # two estimators of one number
    assert elbo + 0.02 < five < many - 0.02


@pytest.mark.parametrize(
    ("event", "observation"),
    [
        (Event((3,), Binary()), "bernoulli"),
        (Event((2,), Levels(3)), "discretized_logistic"),
        (Event((2,), Levels(3)), "categorical"),
    ],
)
def test_importance_weights_sum_to_one_over_all_observations(event: Event, observation: str) -> None:
    model = perturbed(VAE(event, latent_dim=2, hidden=[8], observation=observation))
    levels = 2 if isinstance(event.support, Binary) else 3
    x = torch.tensor(list(itertools.product(range(levels), repeat=event.size)))
    with torch.no_grad():
        weights = model._log_weights(x.float(), None, 20_000).exp()
        mass, stderr = weights.mean(0).sum(), weights.std(0).square().sum().sqrt() / math.sqrt(20_000)
        # The Bernoulli's fast form, and the other's general one, agree with the observation model.
        z = torch.randn(4, len(x), 2)
        parameters = model._observation_parameters(z.flatten(0, 1), None)
        direct = model.observation.log_prob(parameters, x.float().repeat(4, 1)).sum(1).view(4, -1)
    assert abs(mass - 1) < 4 * stderr < 0.2
    torch.testing.assert_close(model._log_likelihoods(x.float(), z, None), direct)


def test_training_loss_is_the_negative_elbo_and_its_kl_is_torchs() -> None:
    model = VAE(Event((4,), Binary()), latent_dim=3, hidden=[8], samples=3)
    x = torch.randint(0, 2, (10, 4)).float()
    torch.manual_seed(1)
    losses = model.phases()[0].loss(Batch(x))
    torch.manual_seed(1)
    torch.testing.assert_close(losses.total, -model._elbo(x, None, 3).mean())
    torch.testing.assert_close(
        losses.parts["kl"], kl_divergence(model.encode(x), Independent(Normal(torch.zeros(10, 3), 1.0), 1)).mean()
    )
    torch.testing.assert_close(losses.total, losses.parts["reconstruction"] + losses.parts["kl"])


def test_beta_and_free_bits_change_training_and_not_the_bounds() -> None:
    x = torch.randint(0, 2, (10, 4)).float()
    plain = VAE(Event((4,), Binary()), latent_dim=3, hidden=[8])
    elbo = plain.elbo(x, generator=seed())

    def total(model: VAE) -> Tensor:
        model.load_state_dict(plain.state_dict())
        torch.testing.assert_close(model.elbo(x, generator=seed()), elbo, rtol=0, atol=0)
        torch.manual_seed(1)
        losses = model.phases()[0].loss(Batch(x))
        return losses.total - losses.parts["reconstruction"]

    kl = total(plain)
    torch.testing.assert_close(total(VAE(plain.event, latent_dim=3, hidden=[8], beta=4.0)), 4 * kl)
    free = total(VAE(plain.event, latent_dim=3, hidden=[8], free_bits=2.0))
    torch.testing.assert_close(free, torch.tensor(6.0))  # every dimension costs less than its 2 free nats


@pytest.mark.parametrize(
    "context_event",
    [
        Event((), Levels(3)),
        Event((), Categories(3)),
        Event((3,), Categories(4)),
        Event((2, 2), Levels(4)),
        Event((2,), Real()),
    ],
)
def test_context_reaches_the_encoder_and_the_decoder(context_event: Event) -> None:
    model = perturbed(VAE(Event((4,), Binary()), context_event=context_event, latent_dim=2, hidden=[8]))
    x, one, two = torch.ones(6, 4), torch.zeros(context_event.shape), torch.ones(context_event.shape)
    assert not torch.allclose(model.encode(x, context=one).mean, model.encode(x, context=two).mean)
    z = torch.zeros(1, 2)
    assert not torch.allclose(model.decode_mean(z, context=one), model.decode_mean(z, context=two))
    # With several samples, each observation keeps its own context.
    each = model._cast_context(torch.stack([one, two]).repeat(3, *[1] * len(context_event.shape)))
    z = torch.randn(4, 6, 2)
    alone = [
        model._log_likelihoods(x[:1], z[s : s + 1, i : i + 1], each[i : i + 1]) for s in range(4) for i in range(6)
    ]
    torch.testing.assert_close(model._log_likelihoods(x, z, each), torch.cat(alone).view(4, 6))
    assert model.sample(5, context=two).shape == (5, 4)


def test_decoding_is_differentiable_in_z() -> None:
    model = perturbed(VAE(Event((2, 2), Levels(5)), latent_dim=2, hidden=[8], observation="categorical")).double()
    z = torch.randn(3, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(model.decode_mean, z)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"observation": "gaussian"}, "must be auto or bernoulli, got 'gaussian'"),
        ({"hidden": [8, 0]}, "widths of at least 1"),
        ({"activation": "swosh"}, "activation must be one of relu, tanh"),
        ({"latent_dim": 0}, "latent_dim"),
        ({"beta": -1.0}, "beta"),
    ],
)
def test_bad_settings_say_what_was_expected(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        VAE(Event((4,), Binary()), **settings)


def test_completions_are_those_of_the_joint_however_rough_the_encoder() -> None:
    """Two of four bits given the others, against p(x) by quadrature over the one latent dimension."""
    model = VAE(Event((4,), Binary()), latent_dim=1, hidden=[]).double().eval()
    slopes = torch.tensor([3.0, -2.0, 2.5, -3.0]).double()
    with torch.no_grad():
        model.decoder.network[-1].weight.copy_(slopes[:, None])
        model.decoder.network[-1].bias.copy_(torch.tensor([-1.0, 0.5, 0.0, 1.0]))
        # It leans the right way, half as far, from the wrong centre, and is twice too sure.
        model.encoder.network[-1].weight.copy_(torch.stack([0.1 * slopes, torch.zeros(4).double()]))
        model.encoder.network[-1].bias.copy_(torch.tensor([0.4, -1.0]))
    everything = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4))).double()
    z = torch.linspace(-8, 8, 2001).double()[:, None]
    log_likelihoods = torch.stack([model.log_joint(x.expand(len(z), 4), z) for x in everything])
    joint = log_likelihoods.exp().sum(1).detach()
    n = 12_000
    known = torch.tensor([True, True, False, False])
    for first, four in zip(everything.view(4, 4, 4), joint.view(4, 4), strict=True):
        # What is given where it is not known has no part in it.
        completed = model.complete(torch.cat([first[0, :2], first[3, 2:]]).expand(n, 4), known, generator=seed())
        assert torch.equal(completed[:, :2], first[0, :2].expand(n, 2))
        shares = (completed[:, 2:] @ torch.tensor([2.0, 1.0]).double()).long().bincount(minlength=4) / n
        expected = four / four.sum()
        assert ((shares - expected).abs() < 4.5 * (expected * (1 - expected) / n).sqrt() + 0.005).all()


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_no_rows_have_no_densities(network: str) -> None:
    model = VAE(Event((1, 4, 4), Binary()), latent_dim=2, hidden=[8], network=network, channels=2)
    assert model.log_joint(torch.zeros(0, 1, 4, 4), torch.zeros(0, 2)).shape == (0,)
    assert model.decode_mean(torch.zeros(0, 2)).shape == (0, 1, 4, 4)
