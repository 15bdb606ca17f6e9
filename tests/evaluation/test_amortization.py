"""The amortization gap of linear Gaussian decoders, whose posterior and best diagonal Gaussian are known."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal, kl_divergence

from ancestral.data import Split
from ancestral.evaluation import amortization_gap
from ancestral.evaluation.amortization import inference_bounds
from ancestral.interface import BoundedDensity, Encoder, Event, InputError, JointDensity, Real
from ancestral.models.linear.gaussian_mixture import GaussianMixture
from ancestral.models.linear.probabilistic_pca import ProbabilisticPCA
from ancestral.models.variational.vae import VAE

ROWS, SIZE, LATENT = 64, 5, 2


@dataclass(frozen=True)
class Known:
    """x | z, c ~ N(W z + V c, diag(noise)) as a VAE without hidden layers, in float64, and what is known of it."""

    model: VAE
    x: Tensor
    context: Tensor | None
    #: ln p(x | c), and KL(q || p(z | x)) for the encoder's q and for the best one.
    log_prob: Tensor
    encoders: Tensor
    least: Tensor


def known(*, conditional: bool = False, standardized: bool = False, best_encoder: bool = False) -> Known:
    torch.set_default_dtype(torch.float64)
    try:
        more = Event((2,), Real()) if conditional else None
        model = VAE(Event((SIZE,), Real()), context_event=more, latent_dim=LATENT, hidden=[])
        loadings, of_context = torch.randn(SIZE, LATENT), torch.randn(SIZE, 2)
        noise = torch.rand(SIZE) + 0.5
        x, context = 2 * torch.randn(ROWS, SIZE), torch.randn(ROWS, 2) if conditional else None
        scale = torch.rand(SIZE) + 0.5 if standardized else torch.ones(SIZE)
        centred = x / scale - (0 if context is None else context @ of_context.T)
        precision = torch.eye(LATENT) + loadings.T @ (loadings / noise[:, None])
        project = torch.linalg.solve(precision, (loadings / noise[:, None]).T)
        with torch.no_grad():
            decoder, encoder = model.decoder.network[0], model.encoder.network[0]
            decoder.weight.zero_()
            decoder.weight[:SIZE, :LATENT] = loadings
            decoder.bias[:] = torch.cat([torch.zeros(SIZE), noise.log()])
            encoder.weight.zero_()
            encoder.weight[:LATENT, :SIZE] = project
            encoder.bias[:] = torch.cat([torch.zeros(LATENT), -precision.diagonal().log()])
            if conditional:
                decoder.weight[:SIZE, LATENT:] = of_context
                encoder.weight[:LATENT, SIZE:] = -project @ of_context
            if not best_encoder:
                encoder.weight += 0.1 * torch.randn_like(encoder.weight)
                encoder.bias += 0.3 * torch.randn_like(encoder.bias)
            if standardized:
                model.standardize(torch.zeros(SIZE), scale)
            q = model.encode(x, context=context).base_dist
        posterior = MultivariateNormal(centred @ project.T, precision_matrix=precision)
        marginal = MultivariateNormal(torch.zeros(SIZE), loadings @ loadings.T + noise.diag())
        return Known(
            model,
            x,
            context,
            marginal.log_prob(centred) - scale.log().sum(),
            kl_divergence(MultivariateNormal(q.mean, torch.diag_embed(q.variance)), posterior),
            kl_divergence(MultivariateNormal(posterior.mean, precision.diagonal().reciprocal().diag()), posterior),
        )
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("standardized", [False, True])
def test_the_bounds_are_those_of_the_closed_form(standardized: bool) -> None:
    """ELBO = ln p(x) - KL(q || posterior): by the encoder's q, and by the best one, N(mean, 1 / diag(P))."""
    it = known(standardized=standardized)
    found = inference_bounds(it.model, it.x, steps=300, samples=2000)
    assert (it.encoders - it.least).mean() > 0.2
    torch.testing.assert_close(found.amortized.mean(), (it.log_prob - it.encoders).mean(), atol=0.02, rtol=0)
    torch.testing.assert_close(found.per_example, it.log_prob - it.least, atol=0.08, rtol=0)
    torch.testing.assert_close(found.per_example.mean(), (it.log_prob - it.least).mean(), atol=0.01, rtol=0)
    torch.testing.assert_close(found.log_prob.mean(), it.log_prob.mean(), atol=0.01, rtol=0)


def test_the_gap_is_what_the_encoder_loses() -> None:
    it = known()
    found = amortization_gap(it.model, it.x, steps=300, samples=2000)
    true = it.encoders - it.least
    assert found.gap == pytest.approx(true.mean().item(), abs=0.02)
    assert found.stderr == pytest.approx(true.std().item() / ROWS**0.5, rel=0.05)
    assert found.gap == pytest.approx(found.per_example - found.amortized)
    assert found.approximation_gap == pytest.approx(it.least.mean().item(), abs=0.02)
    assert f"amortization gap {found.gap:.3f} ± {found.stderr:.3f} nats" in str(found)
    assert amortization_gap(it.model, it.x, steps=1, samples=1, limit=7).n == 7


def test_an_encoder_that_is_the_best_of_its_family_has_no_gap() -> None:
    it = known(best_encoder=True)
    torch.testing.assert_close(it.encoders, it.least)
    # What is left is the search's own noise.
    assert abs(amortization_gap(it.model, it.x).gap) < 2e-3


def test_each_row_is_inferred_at_its_own_context() -> None:
    it = known(conditional=True)
    rows = Split(it.x, event=it.model.event, context=it.context)
    found = inference_bounds(it.model, rows, steps=300)
    torch.testing.assert_close(found.per_example, it.log_prob - it.least, atol=0.08, rtol=0)
    torch.testing.assert_close(found.amortized.mean(), (it.log_prob - it.encoders).mean(), atol=0.03, rtol=0)


def test_it_leaves_the_model_and_the_random_state_alone_and_repeats_itself() -> None:
    it = known()
    before, state = [p.clone() for p in it.model.parameters()], torch.get_rng_state()
    first, again = (amortization_gap(it.model, it.x, steps=20, samples=50) for _ in range(2))
    assert first == again != amortization_gap(it.model, it.x, steps=20, samples=50, seed=1)
    assert torch.equal(state, torch.get_rng_state())
    assert all(map(torch.equal, before, it.model.parameters()))
    assert all(p.grad is None and p.requires_grad for p in it.model.parameters())


class Correlated(BoundedDensity, Encoder, JointDensity):
    """Encodes into Gaussians with all covariances."""

    def __init__(self, event: Event) -> None:
        super().__init__(event)
        self.inner = VAE(event, latent_dim=LATENT, hidden=[])

    def phases(self) -> list:
        return []

    @property
    def latent_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"z": (LATENT,)}

    def _decode(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.inner._decode(z, context)

    def _log_likelihood(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        return self.inner._log_likelihood(x, z, context)

    def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        return self.inner._log_weights(x, context, samples)

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        return MultivariateNormal(x[:, :LATENT], torch.eye(LATENT))


def test_who_has_no_such_gap_is_told_why() -> None:
    event, x = Event((SIZE,), Real()), torch.zeros(3, SIZE)
    for model, name in ((GaussianMixture(event), "gaussian_mixture"), (ProbabilisticPCA(event), "ppca")):
        with pytest.raises(InputError, match=f"^{name} has no amortization gap"):
            amortization_gap(model, x.double())
    with pytest.raises(InputError, match="within diagonal Gaussians, but Correlated encodes into MultivariateNormal"):
        amortization_gap(Correlated(event), x)
    model = VAE(event, latent_dim=LATENT, hidden=[])
    for how in ({"steps": 0}, {"draws": 0}, {"samples": 0}, {"limit": 0}):
        with pytest.raises(InputError, match="must be at least 1"):
            amortization_gap(model, x, **how)
    with pytest.raises(InputError, match="lr must be a finite number above 0"):
        amortization_gap(model, x, lr=0.0)
    with pytest.raises(InputError, match="empty"):
        amortization_gap(model, x[:0])
