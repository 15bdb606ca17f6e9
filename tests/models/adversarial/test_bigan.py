"""BiGAN's game against its theory: the best discriminator of pairs, exchanged labels, inverses that no loss names."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn import functional as F

from ancestral.data import Split
from ancestral.evaluation import evaluate_reconstruction
from ancestral.interface import Adam, Batch, Binary, Categories, Event, InputError, Levels, Phase, Real
from ancestral.models.adversarial.bigan import BiGAN

GRID = torch.linspace(-12, 12, 4001, dtype=torch.float64)
DATA = Normal(torch.tensor(1.0, dtype=torch.float64), torch.tensor(1.2, dtype=torch.float64))


class Logits(nn.Module):
    """An encoder of one number by its logits: E(x) = tanh(sign x / 2)."""

    def __init__(self, sign: float = 1.0) -> None:
        super().__init__()
        self.sign = sign

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self.sign * x


class LogisticQuantile(nn.Module):
    """The inverse of E(x) = tanh(x / 2): of uniform noise it makes the logistic distribution."""

    def forward(self, z: Tensor) -> Tensor:
        return 2 * torch.atanh(z)


def with_known_inverse(sign: float = 1.0) -> BiGAN:
    model = BiGAN(Event((1,), Real()), latent_dim=1, hidden=[32, 32])
    model.generator, model.encoder = LogisticQuantile(), Logits(sign)
    return model


def train_discriminator(model: BiGAN, batches: Sequence[Batch]) -> None:
    phase = model.train().phases()[0]
    optimizer = Adam(1e-2).build(phase.parameters)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(batches))
    for batch in batches:
        optimizer.zero_grad()
        phase.loss(batch).total.backward()
        optimizer.step()
        schedule.step()
    model.eval()


def test_the_trained_discriminator_approaches_the_best_one() -> None:
    """Propositions 1 and 2. Where E and G are inverses all pairs lie on one curve, along which the best D is p_data /
    (p_data + p_G): here between a normal and the logistic distribution."""
    model = with_known_inverse()
    train_discriminator(model, [Batch(DATA.sample((256, 1)).float()) for _ in range(600)])
    p, logistic = DATA.log_prob(GRID).exp(), (-GRID).sigmoid() * GRID.sigmoid()
    with torch.no_grad():
        logit = model.criticise(GRID[:, None]).double()
    error = torch.trapezoid(0.5 * (p + logistic) * (logit.sigmoid() - p / (p + logistic)).abs(), GRID)
    assert error < 0.03
    mean = 0.5 * (p + logistic)
    divergence = 0.5 * torch.trapezoid(torch.xlogy(p, p / mean) + torch.xlogy(logistic, logistic / mean), GRID)
    value = -torch.trapezoid(p * F.softplus(-logit) + logistic * F.softplus(logit), GRID)
    largest = -math.log(4) + 2 * divergence
    assert largest - 0.02 < value <= largest


def test_the_discriminator_tells_pairs_whose_parts_it_could_not_tell() -> None:
    """E = -G^-1 on the very distribution of G: x alone and z alone have one law on both sides, and V would be -ln 4."""
    model = with_known_inverse(sign=-1.0)
    batches = [Batch(2 * torch.atanh(1.998 * torch.rand(256, 1) - 0.999)) for _ in range(200)]
    train_discriminator(model, batches)
    assert -model.phases()[0].loss(batches[0]).total > -0.4


@pytest.fixture(params=["mlp", "conv"])
def game(request) -> tuple[BiGAN, Batch]:
    event = Event((1, 4, 4), Levels(9))
    model = BiGAN(event, latent_dim=3, hidden=[8, 6], network=request.param, channels=4).train()
    return model, model.prepare(Batch(torch.randint(9, (16, 1, 4, 4))))


def loss_of(phase: Phase, batch: Batch) -> Tensor:
    torch.manual_seed(7)
    return phase.loss(batch).total


def test_losses_are_the_cross_entropy_of_pairs_and_of_exchanged_labels(game: tuple[BiGAN, Batch]) -> None:
    """(x, E(x)) is real and (G(z), z) generated, z ~ U[-1, 1]; for G and E it is the other way round, or minus V."""
    model, batch = game
    discriminator, players = model.phases()
    torch.manual_seed(7)
    z, x = 2 * torch.rand(16, 3) - 1, batch.x / 4 - 1
    code = (2 * model.encoder(x, None).sigmoid() - 1).detach()
    encoded = model.discriminator(x, code, None)
    generated = model.discriminator(model.generator(z).view_as(x).detach(), z, None)
    logits, ones = torch.cat([encoded, generated]), torch.ones(16)
    labels = torch.cat([ones, 0 * ones])
    entropy = 2 * F.binary_cross_entropy_with_logits(logits, labels)
    torch.testing.assert_close(loss_of(discriminator, batch), entropy)
    exchanged = 2 * F.binary_cross_entropy_with_logits(logits, 1 - labels)
    torch.testing.assert_close(loss_of(players, batch), exchanged)
    model.objective = "minimax"
    torch.testing.assert_close(loss_of(players, batch), -entropy)


def test_each_player_learns_from_its_own_pairs(game: tuple[BiGAN, Batch]) -> None:
    model, batch = game
    discriminator, players = model.phases()
    parts = players.loss(batch).parts
    for part, mine, other in (("encoder", "encoder", "generator"), ("generator", "generator", "encoder")):
        model.zero_grad()
        parts[part].backward(retain_graph=True)
        assert all(bool((p.grad != 0).any()) for p in getattr(model, mine).parameters()), part
        assert all(p.grad is None for p in getattr(model, other).parameters()), part
    model.zero_grad()
    discriminator.loss(batch).total.backward()
    assert all(p.grad is None for p in players.parameters)
    assert all(p.grad is not None for p in discriminator.parameters)
    assert {*discriminator.parameters, *players.parameters} == set(model.parameters())


def test_every_step_has_noise_of_its_own(game: tuple[BiGAN, Batch]) -> None:
    model, batch = game
    seen: list[Tensor] = []
    model.generator.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    for phase in model.phases() * 2:
        phase.loss(batch)
    assert len(seen) == 4
    assert len(torch.cat(seen).unique(dim=0)) == 4 * 16


def test_latents_are_uniform_and_codes_lie_where_they_do() -> None:
    model = BiGAN(Event((2,), Real()), latent_dim=4, hidden=[8, 8])
    z = model.sample_latents(20_000)
    assert float(z.abs().max()) <= 1
    torch.testing.assert_close(z.mean(0), torch.zeros(4), atol=0.02, rtol=0)
    torch.testing.assert_close(z.T.cov(), torch.eye(4) / 3, atol=0.01, rtol=0)
    outside = torch.tensor([[0.0, 0.0, 1.1, 0.0], [1.0, -1.0, 0.5, 0.0]])
    assert model.log_prior(outside).tolist() == [-math.inf, pytest.approx(-4 * math.log(2))]
    codes = model.encode(100 * torch.randn(50, 2)).mean.detach()
    assert float(codes.abs().max()) <= 1


def test_codes_are_of_the_features() -> None:
    model = BiGAN(Event((3,), Levels(9)), latent_dim=2, hidden=[8, 8])
    x = torch.randint(9, (10, 3))
    torch.testing.assert_close(model.encode(x).mean, 2 * model.encoder.logits(model.features(x)).sigmoid() - 1)


def test_the_networks_are_those_of_section_4_2() -> None:
    """784-1024-1024-50 and back, z entering the discriminator at its second layer, all norms without parameters."""
    model = BiGAN(Event((1, 28, 28), Levels(256)))
    for network, widths in (
        ("encoder", [(1024, 784), (1024, 1024), (50, 1024)]),
        ("generator", [(1024, 50), (1024, 1024), (784, 1024)]),
    ):
        assert [tuple(p.shape) for p in getattr(model, network).parameters() if p.dim() == 2] == widths
    joint = {name: tuple(p.shape) for name, p in model.discriminator.named_parameters() if p.dim() == 2}
    assert sorted(joint.values()) == sorted([(1024, 784), (1024, 1024), (1024, 50), (1, 1024)])
    assert model.features(torch.zeros(3, 1, 28, 28)).shape == (3, 1024)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d)]
    assert len(norms) == 3
    assert not any(norm.affine for norm in norms)


MIXING = torch.tensor([[1.0, 0.5], [-0.4, 0.8]])


def mixed(n: int) -> Tensor:
    """A linear map of two independent logistic variables: what a generator of `linear_players` can make, and no other
    map of theirs but with the variables exchanged or reflected."""
    return LogisticQuantile()(1.998 * torch.rand(n, 2) - 0.999) @ MIXING.T + torch.tensor([1.0, -1.0])


class LinearLogits(nn.Linear):
    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return super().forward(x)


def test_after_training_each_player_inverts_the_other() -> None:
    """Theorems 1 and 2: no loss compares x with G(E(x)) or z with E(G(z)), and both come back; and P_G is P_data."""
    model = BiGAN(Event((2,), Real()), latent_dim=2, hidden=[32, 32]).train()
    model.generator, model.encoder = nn.Sequential(LogisticQuantile(), nn.Linear(2, 2)), LinearLogits(2, 2)
    phases, rates, steps = model.phases(), (2e-2, 1e-2), 400
    optimizers = [Adam(lr, betas=(0.5, 0.999)).build(phase.parameters) for lr, phase in zip(rates, phases, strict=True)]
    for step in range(steps):
        batch = Batch(mixed(256))
        for phase, optimizer, rate in zip(phases, optimizers, rates, strict=True):
            model.zero_grad()
            phase.loss(batch).total.backward()
            optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
            optimizer.step()
    model.eval()
    x, z = mixed(2000), model.sample_latents(2000)
    with torch.no_grad():
        back = {"x": (x, model.decode_mean(model.encode(x).mean)), "z": (z, model.encode(model.decode_mean(z)).mean)}
        samples = model.sample(20_000)
    for name, (start, end) in back.items():
        error = (end - start).square().sum(1).mean() / (start - start.mean(0)).square().sum(1).mean()
        assert error < 0.15, name
    covariance = math.pi**2 / 3 * MIXING @ MIXING.T
    assert (samples.T.cov() - covariance).norm() < 0.5 * covariance.norm()
    error = evaluate_reconstruction(model, Split(x, model.event)).error
    assert error == pytest.approx(float((back["x"][1] - x).square().sum(1).mean()), rel=1e-4)


def test_a_critic_fills_the_code_in() -> None:
    model = BiGAN(Event((3,), Binary()), latent_dim=2, hidden=[8, 8], context_event=Event((), Categories(3))).eval()
    x, context = torch.randint(2, (6, 3)).float(), torch.randint(3, (6,))
    code = model.encode(x, context=context).mean
    torch.testing.assert_close(model.criticise(x, context=context), model.discriminator(2 * x - 1, code, context))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "hinge"}, "objective must be one of non_saturating, minimax, got 'hinge'"),
        ({"hidden": [8]}, "at least two widths"),
        ({"hidden": [8, 0]}, "hidden"),
        ({"latent_dim": 0}, "latent_dim"),
        ({"network": "conv"}, "network 'conv' cannot take"),
        ({"network": "rnn"}, "network must be 'mlp' or 'conv'"),
    ],
)
def test_bad_settings_say_what_was_expected(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        BiGAN(Event((2,), Real()), **settings)


def test_a_batch_of_one_row_is_refused() -> None:
    model = BiGAN(Event((2,), Real()), hidden=[8, 8]).train()
    for phase in model.phases():
        with pytest.raises(InputError, match="raise batch_size"):
            phase.loss(Batch(torch.zeros(1, 2)))
