"""The GAN's game against its theory: the optimal discriminator, its value, and the generator's gradients."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, Normal

from ancestral.interface import Adam, Batch, Binary, Event, InputError, Levels, Losses, Real, Support
from ancestral.layers.game import discriminator_loss, generator_loss
from ancestral.models.adversarial.gan import GAN

GRID = torch.linspace(-8, 8, 4001, dtype=torch.float64)
DATA = MixtureSameFamily(
    Categorical(torch.tensor([0.5, 0.5], dtype=torch.float64)),
    Normal(torch.tensor([-1.0, 1.5], dtype=torch.float64), torch.tensor([0.5, 0.7], dtype=torch.float64)),
)


def kl(p: Tensor, q: Tensor) -> Tensor:
    return torch.trapezoid(p * (p.log() - q.log()), GRID)


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    return 0.5 * kl(p, (p + q) / 2) + 0.5 * kl(q, (p + q) / 2)


@pytest.mark.parametrize("support", [Binary(), Levels(7), Real()])
def test_the_discriminator_sees_data_on_the_scale_on_which_they_are_generated(support: Support) -> None:
    model, z = GAN(Event((5,), support), latent_dim=3, hidden=[16]), torch.randn(20, 3)
    torch.testing.assert_close(model._to_networks(model.decode_mean(z)), model._generate(z, None))


def test_the_trained_discriminator_approaches_the_optimum() -> None:
    """Proposition 1 and theorem 1 of Goodfellow et al. 2014, with p_G = N(1, 0.8^2)."""
    model = GAN(Event((1,), Real()), latent_dim=1, hidden=[], discriminator_hidden=[32, 32])
    with torch.no_grad():
        model.generator[0][0].weight.fill_(0.8)
        model.generator[0][0].bias.fill_(1.0)
    phase = model.phases()[0]
    optimizer = Adam(1e-2).build(phase.parameters)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1000)
    for _ in range(1000):
        optimizer.zero_grad()
        phase.loss(Batch(DATA.sample((256, 1)).float())).total.backward()
        optimizer.step()
        schedule.step()
    p, q = DATA.log_prob(GRID).exp(), Normal(1.0, 0.8).log_prob(GRID).exp()
    with torch.no_grad():
        logit = model.criticise(GRID[:, None]).double()
    error = torch.trapezoid(0.5 * (p + q) * (logit.sigmoid() - p / (p + q)).abs(), GRID)
    assert error < 0.03
    softplus = torch.nn.functional.softplus
    value = -torch.trapezoid(p * softplus(-logit) + q * softplus(logit), GRID)
    largest = -math.log(4) + 2 * jensen_shannon(p, q)
    assert largest - 0.01 < value <= largest


def test_generator_gradients_at_the_optimal_discriminator() -> None:
    """Arjovsky & Bottou 2017: -ln D gives that of KL(p_G || p) - 2 JS (theorem 2.5), minimax that of 2 JS."""
    middles = (torch.arange(40_000, dtype=torch.float64) + 0.5) / 40_000
    z = torch.special.ndtri(middles)  # one z in each of 40,000 equally likely cells
    theta = torch.tensor([0.6, 0.9], dtype=torch.float64, requires_grad=True)
    p, q = DATA.log_prob(GRID).exp(), Normal(theta[0], theta[1]).log_prob(GRID).exp()
    divergence = {"non_saturating": kl(q, p) - 2 * jensen_shannon(p, q), "minimax": 2 * jensen_shannon(p, q)}

    x = theta[0] + theta[1] * z
    optimal_logit = DATA.log_prob(x) - Normal(theta[0].detach(), theta[1].detach()).log_prob(x)
    for objective, expected in divergence.items():
        (ours,) = torch.autograd.grad(generator_loss(optimal_logit, objective).total, theta, retain_graph=True)
        (exact,) = torch.autograd.grad(expected, theta, retain_graph=True)
        torch.testing.assert_close(ours, exact, atol=2e-4, rtol=0)
        assert exact.abs().min() > 0.005


def test_the_saturating_gradient_vanishes_where_the_discriminator_wins() -> None:
    def slope(objective: str) -> float:
        logit = torch.tensor([-12.0], requires_grad=True)
        generator_loss(logit, objective).total.backward()
        assert logit.grad is not None
        return float(logit.grad)

    assert -1e-5 < slope("minimax") < 0
    assert slope("non_saturating") == pytest.approx(-1, abs=1e-5)


def test_label_smoothing_is_cross_entropy_with_soft_labels() -> None:
    real, fake = torch.randn(2, 50)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    for label in (1.0, 0.9):
        losses: Losses = discriminator_loss(real, fake, label)
        torch.testing.assert_close(losses.parts["real"], entropy(real, torch.full((50,), label)))
        torch.testing.assert_close(losses.parts["fake"], entropy(fake, torch.zeros(50)))
        torch.testing.assert_close(losses.total, losses.parts["real"] + losses.parts["fake"])


def test_the_penalty_is_half_the_mean_squared_slope_at_real_data() -> None:
    """R1, equation 9 of Mescheder et al. 2018; the slopes here are quotients of differences."""
    event = Event((2,), Real())
    model = GAN(event, context_event=event, latent_dim=2, hidden=[4], discriminator_hidden=[8], penalty=3.0)
    x, given = torch.randn(2, 6, 2, dtype=torch.float64)
    h = 1e-6

    def moved(step: float) -> Tensor:
        return torch.stack([model.criticise(x + step * axis, context=given) for axis in torch.eye(2)], 1)

    losses = model.double().train().phases()[0].loss(Batch(x, context=given))
    ahead, behind = moved(h), moved(-h)
    torch.testing.assert_close(losses.parts["penalty"].detach(), ((ahead - behind) / (2 * h)).square().sum(1).mean())
    game = losses.parts["real"] + losses.parts["fake"]
    torch.testing.assert_close(losses.total, game + 1.5 * losses.parts["penalty"])


def test_the_game_between_two_points_converges_with_the_penalty_alone() -> None:
    """The Dirac-GAN (Mescheder et al. 2018, sections 2 and 4): data at 0 against a generator of one point theta."""
    distance = {}
    for penalty in (0.0, 1.0):
        model = GAN(Event((1,), Real()), latent_dim=1, hidden=[], discriminator_hidden=[], penalty=penalty).train()
        point, slope = model.generator[0][0], model.discriminator.output
        for layer, (weight, bias) in ((point, (0.0, 1.0)), (slope, (0.5, 0.0))):
            torch.nn.init.constant_(layer.weight, weight)
            torch.nn.init.constant_(layer.bias, bias)
        moved = (slope.weight, point.bias)
        for _ in range(600):
            for phase, parameter in zip(model.phases(), moved, strict=True):
                (gradient,) = torch.autograd.grad(phase.loss(Batch(torch.zeros(1, 1))).total, parameter)
                parameter.data -= 0.1 * gradient
        distance[penalty] = torch.cat([parameter.detach().flatten() for parameter in moved]).norm()
    # Without it, linearised, the players circle for ever.
    assert float(distance[0.0]) > 0.2
    assert float(distance[1.0]) < 1e-3


def train(model: GAN, batches: list[Batch]) -> None:
    """A plain loop of both phases, with steps that shrink to nothing: at constant steps the players circle."""
    phases = model.train().phases()
    optimizers = [Adam(2e-2, betas=(0.5, 0.999)).build(phase.parameters) for phase in phases]
    for done, batch in enumerate(batches):
        for phase, optimizer in zip(phases, optimizers, strict=True):
            model.zero_grad()
            phase.loss(batch).total.backward()
            optimizer.param_groups[0]["lr"] = 2e-2 * (1 - done / len(batches))
            optimizer.step()
    model.eval()


def energy_distance(x: Tensor, y: Tensor) -> float:
    return float(2 * torch.cdist(x, y).mean() - torch.cdist(x, x).mean() - torch.cdist(y, y).mean())


def skewed(n: int) -> Tensor:
    return torch.randn(n, 2) @ torch.tensor([[1.0, 0.6], [0.0, 0.5]]) + torch.tensor([2.0, -1.0])


@pytest.mark.parametrize("objective", ["non_saturating", "minimax"])
def test_training_moves_samples_to_the_data(objective: str) -> None:
    model = GAN(Event((2,), Real()), latent_dim=2, hidden=[], discriminator_hidden=[32], objective=objective)
    real = skewed(1000)
    before = energy_distance(model.sample(1000), real)
    train(model, [Batch(skewed(128)) for _ in range(400)])
    assert energy_distance(model.sample(1000), real) < 0.1 * before


def test_a_conditional_generator_follows_its_label() -> None:
    event, labels = Event((1,), Real()), Event((), Levels(2))
    model = GAN(event, context_event=labels, latent_dim=2, hidden=[], discriminator_hidden=[32])
    batches = []
    for _ in range(300):
        label = torch.randint(0, 2, (128,))
        batches.append(Batch(4.0 * label[:, None] - 2 + 0.5 * torch.randn(128, 1), context=label))
    train(model, batches)
    means = [float(model.sample(500, context=torch.tensor(label)).mean()) for label in (0, 1)]
    assert means == pytest.approx([-2, 2], abs=0.5)


def test_the_discriminator_phase_leaves_the_generator_out_of_the_graph() -> None:
    model = GAN(Event((2, 2), Binary()), latent_dim=2, hidden=[8], discriminator_hidden=[8]).train()
    discriminator, generator = model.phases()
    batch = Batch(torch.ones(5, 2, 2))
    discriminator.loss(batch).total.backward()
    assert all(p.grad is None for p in generator.parameters)
    assert all(p.grad is not None for p in discriminator.parameters)
    assert {*discriminator.parameters, *generator.parameters} == set(model.parameters())


def test_samples_lie_in_the_support_and_decode_spans_it() -> None:
    for support, top in ((Binary(), 1), (Levels(5), 4)):
        model = GAN(Event((3,), support), latent_dim=2, hidden=[])
        with torch.no_grad():
            model.generator[0][-1].weight.mul_(50)
        model.event.check(model.sample(200))
        mean = model.decode_mean(5 * torch.randn(500, 2)).detach()
        assert float(mean.min()) == pytest.approx(0, abs=1e-3)
        assert float(mean.max()) == pytest.approx(top, abs=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "hinge"}, "objective must be one of non_saturating, minimax, got 'hinge'"),
        ({"real_label": 0.0}, "real_label"),
        ({"penalty": -1.0}, "penalty must be a finite number of at least 0, got -1"),
        ({"discriminator_hidden": [0]}, "discriminator_hidden"),
        ({"latent_dim": 0}, "latent_dim"),
    ],
)
def test_bad_settings_say_what_was_expected(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        GAN(Event((2,), Real()), **settings)
