"""Figures on adversarial models: their integrals against closed forms, and what must hold of what they draw."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal

from ancestral.data import Split, load_data
from ancestral.evaluation import SampleJudge, jensen_shannon, kl_divergence
from ancestral.interface import Event, InputError, Real
from ancestral.models.adversarial.gan import GAN
from ancestral.models.adversarial.wasserstein_gan import WGAN
from ancestral.reproduction import load_result
from ancestral.reproduction.figure import FigureRecipe, seeded_build
from ancestral.reproduction.figures.gan_vs_wgan_correlation import Training, logged, watched
from ancestral.reproduction.figures.generator_gradients import gradient_norms
from ancestral.reproduction.figures.log_d_gradient import gradients, linear_gan, phase_gradient, relative_difference
from ancestral.reproduction.figures.optimal_discriminator import game_value, match_moments
from ancestral.reproduction.figures.parallel_lines import Line
from ancestral.reproduction.games import OnePlayer, linear_generator
from ancestral.reproduction.measurement import Measurement
from ancestral.reproduction.mode_dropping import unevenness
from ancestral.training import fit
from ancestral.training.logs import METRICS

PLANE = Event((2,), Real())


def drawn(name: str, **settings: object) -> Measurement:
    result = load_result(name)
    assert isinstance(result, FigureRecipe)
    return result.draw(seed=0, data_root=None, progress=False, **settings).measurement


# -- One player --------------------------------------------------------------------------------------------------------


def test_one_player_moves_its_own_parameters_alone_and_counts_its_steps() -> None:
    gan, steps = GAN(PLANE, latent_dim=2, hidden=[4], discriminator_hidden=[4]), []
    before = {name: parameter.clone() for name, parameter in gan.named_parameters()}
    fit(OnePlayer(gan, "discriminator", steps.append), Split(torch.randn(64, 2), PLANE), steps=3, progress=False)
    assert steps == [1, 2, 3]
    for name, parameter in gan.named_parameters():
        assert torch.equal(parameter, before[name]) == name.startswith("generator")
    with pytest.raises(InputError, match="GAN has no phase 'critic'; it has discriminator, generator"):
        OnePlayer(gan, "critic")


def test_one_player_keeps_what_follows_a_step_and_runs_on_every_batch() -> None:
    wgan, steps = WGAN(PLANE, latent_dim=2, hidden=[4], critic_hidden=[4], clip=0.05), []
    for phase in ("critic", "generator"):
        fit(OnePlayer(wgan, phase, steps.append), Split(torch.randn(64, 2), PLANE), steps=2, lr=0.5, progress=False)
        assert max(float(weight.detach().abs().max()) for weight in wgan.critic.parameters()) <= 0.05 + 1e-7
    assert steps == [1, 2, 1, 2]


def test_a_linear_generator_is_one_layer() -> None:
    with pytest.raises(InputError, match="hidden="):
        linear_generator(GAN(PLANE, latent_dim=2, hidden=[4]))


# -- The optimal discriminator -----------------------------------------------------------------------------------------


def test_the_value_of_the_game_is_largest_at_the_best_discriminator() -> None:
    p, q = Normal(torch.tensor(0.0).double(), 0.7), Normal(torch.tensor(1.0).double(), 1.4)
    line = torch.linspace(-20, 20, 8001, dtype=torch.float64)
    log_p, log_q = p.log_prob(line), q.log_prob(line)
    best = log_p - log_q
    largest = -math.log(4) + 2 * jensen_shannon(p, q).value
    assert game_value(log_p, log_q, best) == pytest.approx(largest, rel=1e-10)
    for other in (best + 0.1, 0.9 * best, torch.zeros_like(best)):
        assert game_value(log_p, log_q, other) < largest - 1e-4
    # A discriminator that takes the generated for real.
    assert game_value(log_p, log_q, -best) < -math.log(4)
    # By JS without its factor of 1/2 it would be another number.
    assert abs(largest - (-math.log(4) + jensen_shannon(p, q).value)) > 0.1


def test_a_generator_of_matched_moments_draws_from_the_gaussian_of_its_weights() -> None:
    x = torch.randn(5000, 2) @ torch.tensor([[1.0, 0.8], [0.0, 0.5]]) + torch.tensor([3.0, -1.0])
    gan = GAN(PLANE, latent_dim=2, hidden=[], discriminator_hidden=[4])
    generated = match_moments(gan, x)
    assert kl_divergence(generated, MultivariateNormal(x.mean(0), torch.cov(x.T))).value < 1e-10
    drawn = gan.sample(50_000)
    assert kl_divergence(MultivariateNormal(drawn.mean(0), torch.cov(drawn.T)), generated).value < 1e-3


def test_the_optimal_discriminator_is_approached_from_below() -> None:
    found = drawn(
        "optimal-discriminator",
        steps=250,
        rows=5000,
        side=60,
        discriminator_hidden=[32, 32],
        batch_size=256,
        lr=1e-2,
        moons_noise=0.3,
    )
    errors: list[float] = []
    for name in ("on the line", "two moons", "ring of 8 Gaussians"):
        largest, reached = found.baselines[f"max V, {name}"], found.baselines[f"V reached, {name}"]
        errors.append(100 * (largest - reached) / abs(largest))
        # Few steps on few rows bring it more than half of the way from a D that knows nothing, V = -ln 4.
        assert -0.5 * math.log(4) + 0.5 * largest < reached <= largest
        # The closed form is an integral, and the bound on draws is near it.
        assert found.baselines[f"V on fresh draws, {name}"] == pytest.approx(reached, abs=0.05)
    assert found.value == pytest.approx(max(errors))


# -- Gradients ---------------------------------------------------------------------------------------------------------


def test_the_gradient_of_minus_ln_d_is_that_of_kl_less_twice_js() -> None:
    found = drawn("log-d-gradient", means=9, points=4001, draws=2000)
    assert found.value < 1e-12
    assert found.baselines["minimax against 2 JS"] < 1e-12
    assert found.baselines["the phase on draws, largest error in standard errors"] < 4.5
    # Neither the other sign nor the KL alone; nor, below, the KL reversed or JS without its factor.
    assert found.baselines["-ln D against KL(p_G || p) + 2 JS"] > 0.5
    assert found.baselines["-ln D against KL(p_G || p)"] > 0.5


def test_wrong_divergences_have_other_gradients() -> None:
    """Against differences of closed forms: data N(0, 1), a generator N(b, w^2)."""
    data = Normal(torch.tensor(0.0).double(), torch.tensor(1.0).double())
    found = gradients(linear_gan(0.8, 0.6), data, 20_001)

    def slopes(divergence) -> Tensor:
        def at(b: float, w: float) -> float:
            return divergence(data, Normal(*torch.tensor([b, w], dtype=torch.float64)))

        h = 1e-4
        return torch.tensor(
            [(at(0.8 + h, 0.6) - at(0.8 - h, 0.6)) / (2 * h), (at(0.8, 0.6 + h) - at(0.8, 0.6 - h)) / (2 * h)]
        ).double()

    kl, back = slopes(lambda p, q: kl_divergence(q, p).value), slopes(lambda p, q: kl_divergence(p, q).value)
    js = slopes(lambda p, q: jensen_shannon(p, q).value)
    ours = found["E[-ln D*(G(z))]"]
    torch.testing.assert_close(ours, kl - 2 * js, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found["E[ln(1 - D*(G(z)))]"], 2 * js, rtol=1e-6, atol=1e-6)
    for wrong in (back - 2 * js, kl - js, kl, 2 * js - kl):
        assert relative_difference(ours[None], wrong[None]) > 0.05
    value, error = phase_gradient(linear_gan(0.8, 0.6), data, 20_000, seed=0)
    assert ((value - ours).abs() < 4.5 * error).all()


def test_the_saturating_gradient_vanishes_and_the_other_does_not() -> None:
    found = drawn("generator-gradients", epochs=[5], steps=100, lr=1e-3)
    assert found.value == found.baselines["minimax, 5 epochs"]
    assert found.value < 50
    assert found.baselines["non-saturating, 5 epochs"] > 1000


def test_gradient_norms_are_of_the_generator_and_leave_it_frozen() -> None:
    gan = GAN(PLANE, latent_dim=2, hidden=[4], discriminator_hidden=[4])
    gan.generator.requires_grad_(False)
    norms = gradient_norms(gan, seed=0)
    assert (norms > 0).all()
    assert torch.equal(norms, gradient_norms(gan, seed=0))
    assert not any(parameter.requires_grad for parameter in gan.generator.parameters())
    with torch.no_grad():
        for parameter in gan.discriminator.parameters():
            parameter.zero_()
    assert (gradient_norms(gan, seed=0) == 0).all()


# -- Parallel lines ----------------------------------------------------------------------------------------------------


def test_a_line_is_its_theta_and_a_uniform_coordinate() -> None:
    x = Line(0.3)(torch.randn(20_000, 1))
    assert (x[:, 0] == 0.3).all()
    assert float(x[:, 1].min()) > 0
    assert torch.histc(x[:, 1], 4, 0, 1).sub(5000).abs().max() < 300


def test_parallel_lines_differ_by_ln_2_and_by_how_far_they_are() -> None:
    found = drawn("parallel-lines", thetas=[0.0, 1.0], steps=150, rows=3000, transported=200, lr=1e-2)
    named = found.baselines
    assert named["error of JS, exact, %"] == pytest.approx(0, abs=1e-10)
    assert named["error of W_1, exact, %"] == pytest.approx(0, abs=1e-10)
    assert found.value == max(
        value for name, value in named.items() if name.startswith("error of") and "without" not in name
    )
    assert found.value < 8
    assert named["infinite KL, at least"] > 5
    assert abs(named["theta = 0, JS by the discriminator"]) < 0.02
    # The penalty leaves a slope of 1 + |theta| / (2 lambda).
    assert named["error of W_1 by the critic without its slope, %"] == pytest.approx(5, abs=2)


# -- Modes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "modes"), [("modes-ring", 8), ("modes-grid-wgan-gp", 25)])
def test_modes_are_counted_for_every_game(name: str, modes: int) -> None:
    tiny = {"steps": 6, "batch_size": 16}
    found = drawn(name, repetitions=2, hidden=[8], training=tiny, rows=4000)
    named = found.baselines
    assert found.stderr is not None
    assert 0 <= found.value <= modes
    for player in ("minimax", "non-saturating", "WGAN", "minimax, constant rate"):
        # Barely trained samples lie in one place.
        assert modes / 2 < named[f"missed, {player}"] <= modes
        assert 0 <= named[f"low quality, {player}, %"] <= 100
        assert 0.5 < named[f"KL(modes drawn || uniform), {player}, nats"] <= math.log(modes) + 1e-9
    # In the plane exp(-9 / 2) of the mixture lies farther than 3 deviations off, of few test rows.
    assert named["low quality, real rows, %"] < 4


def test_unevenness_is_the_kl_of_nearest_modes_from_equal_shares() -> None:
    centres = torch.eye(4, dtype=torch.float64)
    assert unevenness(centres.repeat(3, 1), centres) == pytest.approx(0, abs=1e-12)
    assert unevenness(centres[:1].repeat(5, 1), centres) == pytest.approx(math.log(4))
    assert unevenness(centres[[0, 0, 0, 1]], centres) == pytest.approx(
        math.log(4) + 0.75 * math.log(0.75) + 0.25 * math.log(0.25)
    )


# -- Losses and sample quality -----------------------------------------------------------------------------------------


def test_losses_are_read_at_the_stops_and_ranked_against_the_quality() -> None:
    falling = Training([1, 2, 3, 4], {"a": [8.0, 4.0, 2.0, 1.0], "b": [1.0, 3.0, 2.0, 4.0]}, [9.0, 3.0, 2.5, 2.0])
    assert falling.correlation("a") == pytest.approx(1)
    # Of ranks 1 3 2 4 against 4 3 2 1: 1 - 6 (9 + 0 + 0 + 9) / (4 (16 - 1)).
    assert falling.correlation("b") == pytest.approx(-0.8)


def test_a_training_that_is_stopped_now_and_then_is_one_training(tmp_path: Path) -> None:
    data = load_data("digits")
    judge = SampleJudge(data, samples=300, features="pca")
    settings, how = {"latent_dim": 2, "hidden": [8], "critic_hidden": [8]}, {"batch_size": 32, "seed": 0, "lr": 1e-3}
    found, floor = watched("wgan_gp", data, settings, judge, 3, 10, {**how, "progress": False})
    assert found.steps == [10, 20, 30]
    assert min(found.frechet) > floor > 0
    whole = seeded_build("wgan_gp", data, 0, settings)
    fit(whole, data, steps=30, run_dir=tmp_path / "run", log_every=10, progress=False, **how)
    losses = logged(tmp_path / "run" / METRICS, found.steps)
    assert losses == found.losses
    assert {"critic", "critic/distance", "generator"} <= set(losses)
    assert judge.frechet(judge.draw(whole)).frechet == pytest.approx(found.frechet[-1])
