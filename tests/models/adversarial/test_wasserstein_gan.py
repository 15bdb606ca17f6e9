"""WGAN and WGAN-GP against what is known: exact distances, optimal critics, penalties in closed form."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from ancestral.data import Split
from ancestral.interface import Batch, Categories, Event, InputError, Levels, Real
from ancestral.models.adversarial._networks import Discriminator
from ancestral.models.adversarial.wasserstein_gan import WGAN, WGANGP, WassersteinModel, gradient_penalty
from ancestral.training import TrainingDiverged, fit

PLANE = Event((2,), Real())


class Potential(Discriminator):
    """A critic given by a formula of the flat x and the context."""

    def __init__(self, formula: Callable[[Tensor, Tensor | None], Tensor]) -> None:
        super().__init__()
        self.formula = formula

    def features(self, x: Tensor, context: Tensor | None) -> Tensor:
        return x

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self.formula(x.flatten(1), context)


LINEAR = Potential(lambda x, _: x @ torch.tensor([3.0, 4.0]))
BOWL = Potential(lambda x, _: 0.5 * x.square().sum(1))  # its slope at x is x


# -- The penalty -------------------------------------------------------------------------------------------------------


def test_the_penalty_is_the_squared_excess_of_each_rows_slope() -> None:
    real, fake = torch.randn(2, 5, 1, 2)
    assert float(gradient_penalty(LINEAR, real, fake, None)) == pytest.approx((5 - 1) ** 2, rel=1e-6)
    where = torch.randn(7, 1, 2)
    expected = (where.flatten(1).norm(dim=1) - 1).square().mean()
    torch.testing.assert_close(gradient_penalty(BOWL, where, where, None), expected)


def test_the_penalty_is_taken_uniformly_on_the_lines_between_the_pairs() -> None:
    """On the line from (0, 1) to (1, 0) the slope of the bowl has the length sqrt(u^2 + (1 - u)^2)."""
    n = 20_000
    real, fake = torch.tensor([1.0, 0.0]).expand(n, 2), torch.tensor([0.0, 1.0]).expand(n, 2)
    u = (torch.arange(100_000) + 0.5) / 100_000
    values = ((u.square() + (1 - u).square()).sqrt() - 1).square()
    found = gradient_penalty(BOWL, real, fake, None).detach()
    assert abs(float(found - values.mean())) < 5 * float(values.std()) / n**0.5


def test_the_penalty_sees_the_context() -> None:
    slopes, x = torch.tensor([2.0, 5.0]), torch.randn(2, 1)
    critic = Potential(lambda x, context: x[:, 0] * (0.0 if context is None else context))
    assert float(gradient_penalty(critic, x, x, slopes)) == pytest.approx((1 + 16) / 2)


def test_the_penalty_is_in_full_precision_under_autocast() -> None:
    model = WGANGP(Event((1, 8, 8), Real()), network="conv", channels=4, latent_dim=2).train()
    real, fake = torch.randn(2, 6, 1, 8, 8)

    def penalty_and_slopes(fake: Tensor, *, half: bool) -> Sequence[Tensor]:
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            penalty = gradient_penalty(model.critic, real, fake, None)
        return penalty, *torch.autograd.grad(penalty, list(model.critic.parameters()), materialize_grads=True)

    fake = fake.bfloat16()  # as what is generated is there
    exact, found = penalty_and_slopes(fake.float(), half=False), penalty_and_slopes(fake, half=True)
    for ours, expected in zip(found, exact, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("norm", ["layer", "instance", "none"])
def test_the_penalty_of_a_row_is_its_own(norm: str) -> None:
    model = WGANGP(Event((2, 8, 8), Real()), network="conv", channels=4, latent_dim=2, norm=norm).double().train()
    x = torch.randn(3, 2, 8, 8, dtype=torch.float64)
    alone = torch.stack([gradient_penalty(model.critic, row, row, None) for row in x.split(1)])
    torch.testing.assert_close(gradient_penalty(model.critic, x, x, None), alone.mean())


# -- The critic and its distance ---------------------------------------------------------------------------------------


def fixed(model: WassersteinModel, scale: float, shift: float) -> WassersteinModel:
    """The generator G(z) = (shift + scale z_1, z_2)."""
    with torch.no_grad():
        linear = model.get_submodule("generator.0.0")
        assert isinstance(linear, nn.Linear)
        linear.weight.copy_(torch.diag(torch.tensor([scale, 1.0])))
        linear.bias.copy_(torch.tensor([shift, 0.0]))
    return model


def beside(x: Tensor) -> Tensor:
    """(x, z) with z ~ N(0, 1), which changes no distance to the generator's: on a line alone the penalty would keep a
    critic whose sign is wrong at the start, in the plane it turns."""
    return torch.cat([x, torch.randn_like(x)], 1)


def distance(model: WassersteinModel, draw: Callable[[], Tensor], steps: int) -> float:
    """The critic's estimate, over its last steps, after it has been trained alone by Adam with falling steps."""
    critic = model.train().phases()[0]
    optimizer = torch.optim.Adam(critic.parameters, 3e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    found = []
    for _ in range(steps):
        losses = critic.loss(Batch(draw()))
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        schedule.step()
        if critic.after_step is not None:
            critic.after_step()
        found.append(losses.parts["distance"].item())
    return sum(found[-steps // 5 :]) / (steps // 5)


@pytest.mark.parametrize("penalty", [2.0, 10.0])
def test_the_best_critic_between_shifted_copies(penalty: float) -> None:
    """Its slope s along a shift d is about 1 + d / (2 lambda), where d s - lambda (s - 1)^2 is largest."""
    d = 2.0
    model = fixed(WGANGP(PLANE, latent_dim=2, hidden=[], critic_hidden=[], penalty=penalty), 1.0, -0.5)
    found = distance(model, lambda: beside(d - 0.5 + torch.randn(256, 1)), 300)
    assert found == pytest.approx(d * (1 + d / (2 * penalty)), rel=0.03)


def test_the_distance_approaches_that_of_two_gaussians() -> None:
    """W is the mean of |F^-1(u) - G^-1(u)| over u, more than the difference of the means: f falls, then rises.

    At lambda = 10 slopes of a little more than 1 pay.
    """
    u = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    exact = float((Normal(1.0, 2.0).icdf(u) - Normal(-0.5, 0.5).icdf(u)).abs().mean())
    model = fixed(WGANGP(PLANE, latent_dim=2, hidden=[], critic_hidden=[64]), 0.5, -0.5)
    found = distance(model, lambda: beside(1 + 2 * torch.randn(512, 1)), 400)
    assert 1.5 < 0.95 * exact < found < 1.15 * exact


@pytest.mark.parametrize("d", [0.5, 4.0])
def test_of_a_clipped_critic_it_is_a_multiple(d: float) -> None:
    """A linear critic with weights in [-c, c] finds c d at any shift d."""
    model = fixed(WGAN(PLANE, latent_dim=2, hidden=[], critic_hidden=[], clip=0.03), 0.0, 1.0)
    found = distance(model, lambda: beside(torch.full((2000, 1), 1.0 - d)), 50)
    assert found == pytest.approx(0.03 * d, abs=0.03 * 0.05)


def test_weights_of_the_critic_alone_are_clipped_at_every_step() -> None:
    data = torch.randn(160, 1, 8, 8)
    model = WGAN(Event((1, 8, 8), Real()), network="conv", channels=4, latent_dim=2, clip=0.02)
    critic, generator = (torch.cat([p.detach().flatten() for p in ph.parameters]) for ph in model.phases())
    assert critic.abs().max() <= 0.02 < generator.abs().max()
    fit(model, Split(data, model.event), epochs=1, batch_size=16, lr={"critic": 0.1}, progress=False)
    after = torch.cat([p.detach().flatten() for p in model.critic.parameters()])
    assert after.abs().max() == 0.02
    assert not torch.equal(after, critic)


# -- The game ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [WGAN, WGANGP])
def test_the_generator_moves_once_in_as_many_critic_steps(kind: type[WGAN | WGANGP]) -> None:
    model = kind(PLANE, critic_steps=3, hidden=[4], critic_hidden=[4])
    moves: list[str] = []

    def counted(module: nn.Module, name: str) -> None:
        next(module.parameters()).register_post_accumulate_grad_hook(lambda _: moves.append(name))

    counted(model.critic, "critic")
    counted(model.generator, "generator")
    report = fit(model, Split(torch.randn(70, 2), model.event), epochs=1, batch_size=10, progress=False)
    assert moves == [*"c c c g c c c g c".replace("c", "critic").replace("g", "generator").split()]
    row = report.history[-1]
    of_loss = row["train/critic/distance"] + row["train/critic"]
    assert of_loss == pytest.approx(10 * row.get("train/critic/penalty", 0.0), abs=1e-5)


@pytest.mark.parametrize("kind", [WGAN, WGANGP])
def test_training_moves_samples_to_the_data(kind: type[WGAN | WGANGP]) -> None:
    torch.manual_seed(0)
    real = torch.randn(2000, 2) @ torch.tensor([[1.0, 0.6], [0.0, 0.5]]) + torch.tensor([2.0, -1.0])
    more = {"clip": 0.1} if kind is WGAN else {"critic_steps": 2}
    model = kind(PLANE, latent_dim=2, hidden=[], critic_hidden=[32], **more)

    def energy_distance() -> float:
        x, y = model.sample(1000), real[:1000]
        return float(2 * torch.cdist(x, y).mean() - torch.cdist(x, x).mean() - torch.cdist(y, y).mean())

    before = energy_distance()
    lr = {"critic": 1e-2, "generator": 3e-2}
    fit(model, Split(real, model.event), epochs=20, batch_size=100, lr=lr, ema=0.9, progress=False)
    assert energy_distance() < 0.1 * before


def test_a_potential_has_no_bias_at_its_end() -> None:
    """It would never be learned: the differences of a potential alone count."""
    for network in ("mlp", "conv"):
        model = WGANGP(Event((1, 4, 4), Levels(4)), network=network, channels=2, context_event=Event((), Categories(2)))
        x, y, context = torch.randint(4, (2, 9, 1, 4, 4)), torch.arange(9) % 2, torch.arange(9) % 2
        assert model.criticism == "potential"
        assert all("output.bias" not in name for name, _ in model.named_parameters())
        assert model.criticise(x[0], context=y).shape == context.shape


def test_a_critic_that_collapses_is_named_and_nothing_is_lost() -> None:
    model = WGANGP(PLANE, hidden=[8], critic_hidden=[8])
    with pytest.raises(TrainingDiverged, match=r"phase 'critic' is not finite at step .*lower lr") as caught:
        fit(model, Split(torch.randn(64, 2), model.event), epochs=9, batch_size=16, lr={"critic": 1e30}, progress=False)
    assert "'critic.hidden" in str(caught.value) or "'critic.output" in str(caught.value)
    assert bool(model.criticise(torch.zeros(3, 2)).isfinite().all())


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (WGAN, {"clip": 0.0}, "clip must be a finite number above 0, got 0.0"),
        (WGANGP, {"penalty": -1.0}, "penalty must be a finite number above 0"),
        (WGANGP, {"critic_steps": 0}, "critic_steps must be at least 1"),
        (WGANGP, {"norm": "batch"}, "mixes rows.*'layer' or 'none'"),
        (WGAN, {"network": "conv"}, "network 'conv' cannot take"),
        (WGAN, {"critic_hidden": [0]}, "critic_hidden"),
        (WGAN, {"latent_dim": 0}, "latent_dim"),
    ],
)
def test_bad_settings_say_what_was_expected(
    kind: type[WGAN | WGANGP], settings: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        kind(PLANE, **settings)
