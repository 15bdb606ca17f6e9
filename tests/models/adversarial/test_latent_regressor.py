"""Latent regressors: an encoder that learns from samples alone, after the game or during it."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ancestral.interface import Adam, Batch, Binary, Event, InputError, Levels, Losses, Real
from ancestral.layers.game import generator_loss
from ancestral.models.adversarial.latent_regressor import LatentRegressor


def seeded_loss(model: LatentRegressor, phase: int, batch: Batch) -> Losses:
    torch.manual_seed(3)
    return model.phases()[phase].loss(batch)


def regression(model: LatentRegressor, generated: Tensor, z: Tensor) -> Tensor:
    """The cross-entropy of (1 + z) / 2 under the logistic function of the logits, a mean over dimensions."""
    code, target = model.encoder(generated, None).sigmoid(), (1 + z) / 2
    return -(target * code.log() + (1 - target) * (1 - code).log()).mean()


def drawn(model: LatentRegressor, n: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(3)
    z = 2 * torch.rand(n, model.latent_dim) - 1
    return model.generator(z).view(n, *model.event.shape), z


def test_after_the_game_the_encoder_learns_from_samples_alone() -> None:
    model = LatentRegressor(Event((3,), Levels(5)), latent_dim=2, hidden=[8, 6], game_stage=0.6).train()
    phases, x = model.phases(), torch.randint(5, (2, 16, 3)).float()
    assert [(phase.name, phase.starts, phase.ends) for phase in phases] == [
        ("discriminator", 0.0, 0.6),
        ("generator", 0.0, 0.6),
        ("encoder", 0.6, 1.0),
    ]
    assert {parameter for phase in phases for parameter in phase.parameters} == set(model.parameters())
    loss = seeded_loss(model, 2, Batch(x[0])).total
    torch.testing.assert_close(loss, seeded_loss(model, 2, Batch(x[1])).total)
    torch.testing.assert_close(loss, regression(model, *drawn(model, 16)))
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.encoder.parameters())
    assert all(parameter.grad is None for parameter in model.generator.parameters())
    # The generator's own loss knows nothing of the encoder.
    model.zero_grad()
    seeded_loss(model, 1, Batch(x[0])).total.backward()
    assert all(parameter.grad is None for parameter in model.encoder.parameters())


@pytest.mark.parametrize("objective", ["non_saturating", "minimax"])
def test_in_a_joint_game_the_generator_helps_by_a_part_of_the_loss(objective: str) -> None:
    model = LatentRegressor(
        Event((3,), Binary()), latent_dim=2, hidden=[8, 6], joint=True, joint_weight=0.4, objective=objective
    ).train()
    phases, batch = model.phases(), Batch(torch.ones(16, 3))
    assert [(phase.name, phase.starts, phase.ends) for phase in phases] == [
        ("discriminator", 0.0, 1.0),
        ("generator and encoder", 0.0, 1.0),
    ]
    assert set(phases[1].parameters) == {*model.generator.parameters(), *model.encoder.parameters()}
    found = seeded_loss(model, 1, batch)
    generated, z = drawn(model, 16)
    expected = generator_loss(model.discriminator(generated, None), objective).total + 0.4 * regression(
        model, generated, z
    )
    torch.testing.assert_close(found.total, expected)
    parameters = [*model.generator.parameters(), *model.encoder.parameters()]
    for ours, theirs in zip(
        torch.autograd.grad(found.total, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_the_encoder_inverts_the_generator() -> None:
    """From a fixed G of two dimensions; codes of nothing would be off by the variance of z, 1/3."""
    model = LatentRegressor(Event((2,), Real()), latent_dim=2, hidden=[32, 32]).train()
    phase = model.phases()[2]
    optimizer = Adam(1e-2).build(phase.parameters)
    for _ in range(150):
        optimizer.zero_grad()
        phase.loss(Batch(torch.zeros(64, 2))).total.backward()
        optimizer.step()
    model.eval()
    z = model.sample_latents(1000)
    with torch.no_grad():
        error = F.mse_loss(model.encode(model.decode_mean(z)).mean, z)
    assert error < 0.05


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "hinge"}, "objective must be one of"),
        ({"game_stage": 1.0}, "game_stage must be a share in"),
        ({"joint_weight": 0.0}, "joint_weight must be above 0"),
        ({"hidden": [8]}, "at least two widths"),
    ],
)
def test_bad_settings_say_what_was_expected(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LatentRegressor(Event((2,), Real()), **settings)


@pytest.mark.parametrize("joint", [False, True])
def test_a_batch_of_one_row_is_refused(joint: bool) -> None:
    model = LatentRegressor(Event((2,), Real()), hidden=[8, 8], joint=joint).train()
    with pytest.raises(InputError, match="raise batch_size"):
        model.phases()[-1].loss(Batch(torch.zeros(1, 2)))
