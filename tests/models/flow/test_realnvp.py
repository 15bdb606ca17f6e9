import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ancestral.data import Data, Split
from ancestral.dequantization import DequantizedFlow
from ancestral.distributions import Delta
from ancestral.interface import Batch, Binary, Event, InputError, Levels, Real
from ancestral.models.flow.realnvp import RealNVP
from ancestral.registry import build, supports
from ancestral.training import fit
from tests.bijections.bijection_cases import perturbed, relative_error

IMAGES = {(1, 8, 8): 2, (3, 32, 32): 4, (1, 28, 28): 3}


def real(*shape: int) -> Event:
    return Event(shape, Real())


def small(event: Event, *, size: float = 1.0, **settings: Any) -> RealNVP:
    return perturbed(RealNVP(event, hidden=(16, 16), channels=4, **settings), size)


def far(model: RealNVP, scale: float, rows: int = 8) -> Tensor:
    return scale * torch.randn(rows, *model.event.shape, dtype=model.dtype)


def encode(model: RealNVP, x: Tensor, context: Tensor | None = None) -> Tensor:
    code = model.encode(x, context=context)
    assert isinstance(code, Delta)
    return code.value


@pytest.mark.parametrize("shape", [(2,), (7,), (1, 4, 4), (2, 3, 4), (1, 8, 8)])
def test_log_prob_is_the_change_of_variables(shape: tuple[int, ...]) -> None:
    model = small(real(*shape)).double()
    for scale in (1.0, 1e3):
        x = far(model, scale, rows=2)
        size = model.event.size
        to_code = torch.func.vmap(torch.func.jacrev(lambda one: model._encode(one[None], None).value[0]))
        log_det = torch.linalg.slogdet(to_code(x).reshape(2, size, size)).logabsdet
        expected = model.log_prior(encode(model, x)) + log_det
        assert relative_error(model.log_prob(x), expected) < 1e-8


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-8), (torch.float32, 1e-4)])
@pytest.mark.parametrize("shape", [(2,), (64,), *IMAGES])
def test_decode_undoes_encode_far_outside_the_data(
    shape: tuple[int, ...], dtype: torch.dtype, tolerance: float
) -> None:
    # Perturbed less than the single bijections: dozens of wild random layers have a condition number beyond float32.
    model = small(real(*shape), size=0.3).to(dtype)
    for scale in (1.0, 1e3):
        x = far(model, scale)
        assert relative_error(model.decode(encode(model, x)), x) < tolerance
    low, high = model.float().log_prob(x.float()).detach().double(), model.double().log_prob(x.double()).detach()
    assert relative_error(low, high) < 1e-4


@pytest.mark.parametrize("label", [None, 0, 2])
def test_a_density_in_the_plane_integrates_to_one(label: int | None) -> None:
    context_event = None if label is None else Event((), Levels(3))
    model = small(real(2), size=0.5, blocks=4, context_event=context_event).double()
    context = None if label is None else torch.tensor(label)
    with torch.no_grad():
        # A lattice around samples that reaches well beyond them.
        samples = model.sample(2000, context=context)
        middle, reach = samples.mean(0), 2 * (samples - samples.mean(0)).abs().amax(0)
        ticks = torch.linspace(-1, 1, 501, dtype=torch.float64)
        grid = middle + reach * torch.cartesian_prod(ticks, ticks)
        cell = (reach * (ticks[1] - ticks[0])).prod()
        total = model.log_prob(grid, context=context).exp().sum() * cell
    assert abs(float(total) - 1) < 2e-3


def test_untrained_it_is_the_prior() -> None:
    for shape in ((5,), (1, 8, 8)):
        model = RealNVP(real(*shape)).eval()
        x = torch.randn(3, *shape)
        torch.testing.assert_close(model.log_prob(x), model.log_prior(x.flatten(1)))


@pytest.mark.parametrize("shape", IMAGES)
def test_latents_lie_from_coarse_to_fine_and_halve_at_each_scale(shape: tuple[int, ...]) -> None:
    model = RealNVP(real(*shape), channels=2, blocks=1)
    sizes = [math.prod(latent) for latent in model.latent_shapes.values()]
    assert len(sizes) == IMAGES[shape]
    assert sum(sizes) == model.event.size
    total = model.event.size
    for size in reversed(sizes[1:]):
        assert size == total // 2
        total -= size
    assert model.sample(2).shape == (2, *shape)


def test_latents_can_be_resampled_but_the_coarsest() -> None:
    model = small(real(1, 8, 8), size=0.3, scales=3)
    x = torch.randn(4, 1, 8, 8)
    z = encode(model, x)
    latents = model.split_latents(z)
    assert [tuple(latent.shape[1:]) for latent in latents.values()] == [(4, 2, 2), (4, 2, 2), (2, 4, 4)]
    torch.testing.assert_close(model.join_latents(latents), z)
    for kept in (1, 2):
        resampled = {
            name: latent if i < kept else torch.randn_like(latent) for i, (name, latent) in enumerate(latents.items())
        }
        picture = model.decode(model.join_latents(resampled))
        again = model.split_latents(encode(model, picture))
        for name, latent in resampled.items():
            torch.testing.assert_close(again[name], latent, rtol=1e-3, atol=1e-3)
        assert not torch.allclose(picture, x, atol=0.1)


def test_the_finest_latent_changes_an_image_only_near_by() -> None:
    # Six couplings of receptive radius 3, half of them on squeezed pixels, reach no further than 28.
    model = small(real(1, 64, 64), blocks=1, scales=2)
    z = torch.randn(1, model.event.size)
    moved = model.split_latents(z.clone())
    moved["z1"][0, :, 0, 0] += 1.0
    difference = (model.decode(model.join_latents(moved)) - model.decode(z)).abs()[0, 0]
    assert difference[:2, :2].max() > 0
    assert difference[32:, :].max() == 0
    assert difference[:, 32:].max() == 0


def test_labels_matter_and_a_step_of_training_helps() -> None:
    event, labels = real(1, 4, 4), Event((), Levels(2))
    model = RealNVP(event, context_event=labels, channels=4, blocks=1)
    y = torch.arange(128) % 2
    x = torch.randn(128, 1, 4, 4) * 0.5 + (4.0 * y - 2).view(-1, 1, 1, 1)
    (phase,) = model.phases()
    optimizer = torch.optim.Adam(phase.parameters, lr=2e-2)
    batch = model.prepare(Batch(x, context=y))
    for _ in range(50):
        optimizer.zero_grad()
        loss = phase.loss(batch).total
        loss.backward()
        optimizer.step()
    right, wrong = model.log_prob(x, context=y).mean(), model.log_prob(x, context=1 - y).mean()
    truth = torch.distributions.Normal(0, 0.5).entropy() * 16
    assert right > -truth - 1.5
    assert right > wrong + 5
    assert model.sample(200, context=torch.tensor(1)).mean() > 1.5


def test_levels_are_dequantized_and_decode_to_themselves() -> None:
    event = Event((1, 8, 8), Levels(17))
    model = build("realnvp", event, channels=4, blocks=1)
    assert isinstance(model, DequantizedFlow)
    perturbed(model, 0.3)
    x = torch.randint(0, 17, (5, 1, 8, 8))
    torch.testing.assert_close(model.decode(model.encode(x).mean), x.float())
    assert model.sample(3).shape == (3, 1, 8, 8)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (real(1), "at least 2 dimensions"),
        (real(3, 1, 1), "2 pixels"),
        (real(4, 5), "shape must be"),
        (Event((4,), Binary()), "real numbers"),
    ],
)
def test_events_that_it_refuses(event: Event, reason: str) -> None:
    assert reason in (supports("realnvp", event) or "")
    with pytest.raises(InputError, match=reason):
        RealNVP(event)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scales": 4}, "divide by 8"),
        ({"scales": 0}, "at least 1"),
        ({"channels": 0}, "channels"),
        ({"blocks": -1}, "blocks"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_settings_that_it_refuses(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build("realnvp", real(1, 12, 12), **settings)


def test_a_column_that_does_not_vary_lets_the_others_be_learnt() -> None:
    x = torch.cat([torch.randn(400, 3), torch.full((400, 1), 3.25)], 1)
    event = Event((4,), Real())
    data = Data("table", event, *(Split(part, event) for part in x.split([300, 50, 50])))
    model = build("realnvp", data, blocks=4, hidden=[16])
    report = fit(model, data, epochs=8, batch_size=50, lr=3e-3, progress=False)
    values = [value for _, value in report.curve("valid/log_prob")]
    assert all(math.isfinite(value) for value in values)
    assert values[-1] > values[0]
    assert abs(float(model.sample(200)[:, 3].mean()) - 3.25) < 0.5
