"""DCGAN: any sides, all up-samplings, batch norm out of scores, and a short game."""

import pytest
import torch
from torch import nn

from ancestral.interface import Adam, Batch, Event, InputError, Levels, Real
from ancestral.layers.resampling import UPSAMPLINGS
from ancestral.models.adversarial.dcgan import DCGAN


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@pytest.mark.parametrize("sides", [(4, 4), (8, 8), (28, 28), (32, 32), (64, 64), (31, 17), (5, 50)])
def test_any_sides(sides: tuple[int, int], upsampling: str) -> None:
    event = Event((3, *sides), Levels(256))
    model = DCGAN(event, latent_dim=5, channels=2, upsampling=upsampling)
    x = model.sample(2)
    event.check(x)
    assert x.shape == (2, 3, *sides)
    assert model.decode_mean(torch.randn(2, 5)).shape == x.shape
    assert model.criticise(x).shape == (2,)


def test_the_layout_of_32_pixels_is_the_papers() -> None:
    model = DCGAN(Event((3, 32, 32), Levels(256)), channels=64)
    assert [tuple(stage[0].convolution.weight.shape[:2]) for stage in model.discriminator.encoder.stages] == [
        (64, 3),
        (128, 64),
        (256, 128),
    ]
    layers = list(model.generator.layers)
    assert isinstance(layers[-1], nn.Tanh)
    assert [layer.num_features for layer in layers if isinstance(layer, nn.BatchNorm2d)] == [256, 128, 64]
    weights = torch.cat([p.detach().flatten() for name, p in model.named_parameters() if "convolution.weight" in name])
    assert float(weights.std()) == pytest.approx(0.02, rel=0.01)


def test_features_are_the_maps_of_all_layers_max_pooled_to_a_grid_of_4x4() -> None:
    """Section 5.1 of Radford et al. 2016."""
    model = DCGAN(Event((3, 32, 32), Levels(256)), channels=2).eval()
    x = torch.randint(256, (5, 3, 32, 32))
    maps = model.discriminator.encoder.maps(x * (2 / 255) - 1, None)
    assert [tuple(m.shape[1:]) for m in maps] == [(2, 16, 16), (4, 8, 8), (8, 4, 4)]
    pooled = [m.unflatten(3, (4, -1)).unflatten(2, (4, -1)).amax((3, 5)).flatten(1) for m in maps]
    torch.testing.assert_close(model.features(x), torch.cat(pooled, dim=1))


def test_support() -> None:
    assert DCGAN.supports(Event((1, 28, 28), Levels(256))) is None
    assert "not (784,); gan takes any shape" in str(DCGAN.supports(Event((784,), Real())))
    with pytest.raises(InputError, match="at least 4 pixels"):
        DCGAN(Event((1, 3, 8), Real()))


def test_a_penalised_discriminator_has_no_batch_norm() -> None:
    event = Event((1, 8, 8), Levels(17))
    with pytest.raises(InputError, match="norm 'batch' mixes rows, .*; use 'layer' or 'none'"):
        DCGAN(event, penalty=1.0)
    model = DCGAN(event, channels=4, penalty=1.0, norm="none")
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.discriminator.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.generator.modules())


def test_phases_change_their_own_parameters_and_batch_norm_stays_out_of_scores() -> None:
    model = DCGAN(
        Event((1, 8, 8), Levels(17)), context_event=Event((), Levels(3)), latent_dim=4, channels=4, upsampling="nearest"
    ).train()
    phases = model.phases()
    assert {parameter for phase in phases for parameter in phase.parameters} == set(model.parameters())
    x, context = torch.randint(0, 17, (16, 1, 8, 8)), torch.randint(0, 3, (16,))
    for phase in phases:
        optimizer = phase.optimizer.build(phase.parameters)
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        model.zero_grad()
        phase.loss(model.prepare(Batch(x, context=context))).total.backward()
        optimizer.step()
        changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
        assert changed == {name for name in before if name.startswith(phase.name)}
    alone = model.criticise(x[:1], context=context[:1])
    torch.testing.assert_close(alone, model.criticise(x, context=context)[:1])
    assert not torch.allclose(alone, model.criticise(x[:1], context=(context[:1] + 1) % 3))


def test_a_short_game_learns_the_mean_image() -> None:
    """Bright left halves: within 60 steps the generator puts the light on the left."""
    model = DCGAN(Event((1, 8, 8), Levels(17)), latent_dim=4, channels=8).train()
    phases = model.phases()
    optimizers = [Adam(2e-3, betas=(0.5, 0.999)).build(phase.parameters) for phase in phases]
    bright = torch.cat([torch.full((1, 8, 4), 14.0), torch.full((1, 8, 4), 2.0)], dim=2)
    for _ in range(60):
        batch = Batch((bright + 2 * torch.randn(32, 1, 8, 8)).round().clamp(0, 16))
        for phase, optimizer in zip(phases, optimizers, strict=True):
            model.zero_grad()
            phase.loss(batch).total.backward()
            optimizer.step()
    mean = model.eval().sample(200).mean(0)
    assert mean[..., :4].mean() - mean[..., 4:].mean() > 4
