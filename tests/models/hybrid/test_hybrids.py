"""The hybrids beyond the contract: caches, windows, the terms of the bounds, and what they are told to be."""

import itertools

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from ancestral.checks import check_model
from ancestral.distributions import DiagonalGaussian
from ancestral.interface import Batch, Binary, Event, InputError, Levels, Real
from ancestral.models.autoregressive.gated_pixelcnn import GatedPixelCNN
from ancestral.models.autoregressive.pixelcnn import PixelCNN
from ancestral.models.hybrid._autoregressive_decoder import AutoregressiveDecoderModel
from ancestral.models.hybrid._latent_grid import LatentGrid
from ancestral.models.hybrid.hierarchical_pixelvae import HierarchicalPixelVAE
from ancestral.models.hybrid.lossy_vae import LossyVAE
from ancestral.models.hybrid.pixelvae import PixelVAE

IMAGE = Event((1, 9, 8), Binary())
MODELS = {
    "up-sampling": lambda: PixelVAE(IMAGE, latent_dim=3, channels=6, stage_channels=6),
    "linear maps": lambda: PixelVAE(IMAGE, latent_dim=3, channels=6, stage_channels=6, upsampling=False),
    "ungated": lambda: PixelVAE(Event((3, 4, 4), Levels(4)), latent_dim=3, channels=6, stage_channels=6, gated=False),
    "a window": lambda: LossyVAE(IMAGE, latent_dim=3, channels=6, stage_channels=6, flow_hidden=[8]),
    "a map": lambda: HierarchicalPixelVAE(IMAGE, latent_dim=2, map_latents=2, channels=6, stage_channels=6),
}


def seed(value: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(value)


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def model(request: pytest.FixtureRequest) -> AutoregressiveDecoderModel:
    torch.manual_seed(0)
    made: AutoregressiveDecoderModel = request.param()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made.double().eval()


def test_pixels_drawn_from_caches_are_those_of_the_whole_network(model: AutoregressiveDecoderModel) -> None:
    z = model.sample_latents(3, generator=seed())
    with torch.no_grad():
        given = model._given(z, None)
    cached, naive = (
        model.pixels.sample(3, context=given, generator=seed(1), naively=naively) for naively in (False, True)
    )
    assert torch.equal(cached, naive)


def test_the_pixels_are_a_model_of_the_autoregressive_family_given_what_z_becomes(
    model: AutoregressiveDecoderModel,
) -> None:
    assert type(model.pixels) in (GatedPixelCNN, PixelCNN)
    z, x = model.sample_latents(4, generator=seed()), model.sample(4, generator=seed(1))
    with torch.no_grad():
        of_pixels = model.pixels.log_prob(x, context=model._given(z, None))
        torch.testing.assert_close(model.log_joint(x, z), of_pixels + model.log_prior(z))


def test_what_is_unknown_is_redrawn_so_that_its_distribution_given_what_is_known_and_z_stays() -> None:
    torch.manual_seed(25)  # a network in which both known pixels depend much on those before them
    model = PixelVAE(Event((1, 2, 2), Binary()), latent_dim=2, channels=6, blocks=1, head=8, stage_channels=6)
    with torch.no_grad():
        for parameter in model.pixels.parameters():
            parameter.add_(0.7 * torch.randn_like(parameter))
    model, n = model.double().eval(), 20_000
    # The first two pixels are unknown; the others, which come later, tell of them.
    known = torch.tensor([False, False, True, True]).view(1, 2, 2)
    cells = torch.tensor([[a, b, 1, 0] for a in (0, 1) for b in (0, 1)]).view(4, 1, 2, 2).double()
    z = model.sample_latents(1, generator=seed())
    with torch.no_grad():
        log_joint = model.log_joint(cells, z.expand(4, -1))
        x = cells[torch.multinomial(log_joint.softmax(0), n, replacement=True)]
        moved = model._redrawn(x, known.expand_as(x), z.expand(n, -1), None, settled=True)
    assert not torch.equal(moved, x)
    assert torch.equal(moved[:, known], x[:, known])
    found = (moved.flatten(1)[:, :2] @ torch.tensor([2.0, 1.0]).double()).long().bincount(minlength=4) / n
    expected = log_joint.softmax(0)
    assert ((found - expected).abs() < 4 * (expected * (1 - expected) / n).sqrt()).all(), (found, expected)


@pytest.mark.parametrize("window", [1, 2])
def test_a_lossy_decoder_sees_its_window_and_no_more(window: int) -> None:
    torch.manual_seed(0)
    side, row, column = 9, 5, 4
    model = LossyVAE(Event((1, side, side), Binary()), latent_dim=2, window=window, blocks=2, channels=8).double()
    x = torch.rand(1, 1, side, side).double().round().requires_grad_()
    given = model._given(torch.randn(1, 2).double(), None)
    model.pixels._conditional_log_probs(x, given)[0, 0, 0, row, column].backward()
    seen = {(r, c) for r, c in itertools.product(range(side), range(side)) if x.grad[0, 0, r, c] != 0}
    left = {(row, column - i) for i in range(window + 1)}  # itself: the value whose probability it is
    reach = range(-window, window + 1)
    assert seen == left | {(row - up, column + across) for up in range(1, window + 2) for across in reach}


def test_the_prior_of_a_map_keeps_the_contract_of_autoregressive_models() -> None:
    torch.manual_seed(0)
    check_model(LatentGrid((2, 2, 1), 2, channels=4, blocks=1))


def test_the_extended_bound_sums_closed_divergences_of_each_latent_given_those_before_it() -> None:
    torch.manual_seed(0)
    model = HierarchicalPixelVAE(Event((1, 2, 2), Binary()), latent_dim=2, map_latents=1, channels=6, stage_channels=6)
    model, x = model.double().eval(), torch.randint(2, (3, 1, 2, 2)).double()
    with torch.no_grad():
        q = model.encode(x).base_dist
        _, parts = model._bound_parts(x, None, 4000)
        estimate = model._posterior(x, None).rsample(4000)
        log_prior = model._log_prior(estimate[0].flatten(0, 1), None).view(4000, 3)
    of_vector = kl_divergence(Normal(q.mean[:, :2], q.stddev[:, :2]), Normal(0.0, 1.0))
    torch.testing.assert_close(parts[:, :2], of_vector)
    torch.testing.assert_close(parts.sum(1), (estimate[1] - log_prior).mean(0), atol=0.1, rtol=0)


def test_a_divergence_from_another_gaussian_is_torch_s() -> None:
    q = DiagonalGaussian(torch.randn(5, 6).double(), like=torch.zeros(1).double())
    mean, log_variance = torch.randn(2, 4, 5, 3).double()
    theirs = kl_divergence(Normal(q.location, (0.5 * q.log_variance).exp()), Normal(mean, (0.5 * log_variance).exp()))
    torch.testing.assert_close(q.kl_to(mean, log_variance), theirs)
    torch.testing.assert_close(q.kl_to(0 * mean, 0 * mean)[0], q.kl_by_dimension())


def test_keeping_a_latent_keeps_all_that_hangs_on_it_alone() -> None:
    model = MODELS["a map"]().eval()
    z = model.sample_latents(64, generator=seed())
    first = model.split_latents(z)["z2"]
    again = model.split_latents(model.sample_latents(64, given={"z2": first}, generator=seed(1)))
    assert torch.equal(again["z2"], first)
    assert not torch.equal(again["z1"], model.split_latents(z)["z1"])
    assert not torch.equal(model.decode(z, generator=seed(2)), model.decode(z, generator=seed(3)))


def test_the_weight_of_the_kl_rises_evenly_to_one() -> None:
    model = PixelVAE(Event((1, 2, 2), Binary()), channels=4, stage_channels=4, warm_up=3).train()
    loss = model.phases()[0].loss
    batch = Batch(torch.randint(2, (8, 1, 2, 2)).float())
    for weight in (0.25, 0.5, 0.75, 1.0, 1.0):
        found = loss(batch)
        torch.testing.assert_close(found.total, found.parts["reconstruction"] + weight * found.parts["kl"])
    assert PixelVAE(Event((1, 2, 2), Binary())).loss_differs is None


def test_the_kl_costs_at_least_the_free_nats() -> None:
    batch = Batch(torch.randint(2, (8, 1, 2, 2)).float())
    for free in (1.0, 1000.0):
        found = (
            PixelVAE(Event((1, 2, 2), Binary()), channels=4, stage_channels=4, free_nats=free).phases()[0].loss(batch)
        )
        kl = found.parts["kl"]
        assert 1 < kl < 1000
        torch.testing.assert_close(found.total, found.parts["reconstruction"] + kl.clamp(min=free))


def test_q_begins_narrow_about_codes_that_differ() -> None:
    q = PixelVAE(IMAGE, latent_dim=4, spread=0.1).encode(torch.randint(2, (64, *IMAGE.shape)).float()).base_dist
    assert 0.05 < q.stddev.median() < 0.2
    assert q.mean.std(0).mean() > 0.1


def test_wrong_settings_and_data_are_refused() -> None:
    for wrong in (
        {"latent_dim": 0},
        {"warm_up": -1},
        {"free_nats": -1.0},
        {"spread": 0.0},
        {"stage_channels": 0},
        {"kernel_size": 2},
        {"blocks": -1},
    ):
        with pytest.raises(InputError, match=next(iter(wrong)).replace("stage_", "")):
            PixelVAE(IMAGE, **wrong)
    for wrong in ({"window": 0}, {"length": -1}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            LossyVAE(IMAGE, **wrong)
    with pytest.raises(InputError, match="prior_channels must be at least the 4 latents"):
        HierarchicalPixelVAE(IMAGE, prior_channels=2)
    for event, reason in ((Event((4,), Binary()), "it models images"), (Event((1, 4, 4), Real()), "discrete")):
        with pytest.raises(InputError, match=reason):
            PixelVAE(event)
