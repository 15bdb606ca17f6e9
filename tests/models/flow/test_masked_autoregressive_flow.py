"""Masked and inverse autoregressive flows: their costs, what they fit, and far outside the data."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from ancestral.data import load_data
from ancestral.dequantization import DequantizedFlow
from ancestral.interface import Batch, Event, InputError, Levels, Real
from ancestral.layers.masked_network import MaskedNetwork
from ancestral.models.flow.masked_autoregressive_flow import (
    AutoregressiveFlow,
    InverseAutoregressiveFlow,
    MaskedAutoregressiveFlow,
)
from ancestral.registry import build
from tests.bijections.bijection_cases import jacobians, perturbed, relative_error

BOTH = pytest.mark.parametrize("kind", [MaskedAutoregressiveFlow, InverseAutoregressiveFlow])
Kind = type[MaskedAutoregressiveFlow] | type[InverseAutoregressiveFlow]


def small(kind: Kind, *shape: int, size: float = 0.3, **settings: Any) -> AutoregressiveFlow:
    return perturbed(kind(Event(shape, Real()), **{"hidden": (16, 16), "blocks": 3} | settings), size)


@torch.no_grad()
def test_the_fast_direction_is_one_pass_of_each_network_and_the_slow_one_none(monkeypatch: Any) -> None:
    passes, forward = [], MaskedNetwork.forward
    monkeypatch.setattr(MaskedNetwork, "forward", lambda self, *a, **k: passes.append(self) or forward(self, *a, **k))
    x = torch.randn(7, 6)
    for kind, fast, slow in (
        (MaskedAutoregressiveFlow, lambda m: m.log_prob(x), lambda m: m.sample(7)),
        (InverseAutoregressiveFlow, lambda m: m.sample(7), lambda m: m.log_prob(x)),
    ):
        model = small(kind, 6)
        fast(model)
        assert len(passes) == len(set(passes)) == 3
        passes.clear()
        slow(model)
        assert not passes


@BOTH
def test_orders_alternate_so_that_two_transforms_mix_what_one_does_not(kind: Kind) -> None:
    x = torch.randn(8, 4)
    models = [small(kind, 4, size=1.0, blocks=blocks) for blocks in (1, 2)]
    one, two = (jacobians(lambda x: model.encode(x).mean, x) for model in models)  # noqa: B023
    assert not one.triu(1).any()
    assert two.ne(0).any(0).all()


@BOTH
def test_log_prob_is_the_change_of_variables(kind: Kind) -> None:
    model = small(kind, 2, 3, size=1.0).double()
    for scale in (1.0, 100.0):
        x = scale * torch.randn(3, 2, 3, dtype=torch.float64)
        log_det = torch.linalg.slogdet(jacobians(lambda x: model.encode(x).mean, x)).logabsdet
        assert relative_error(model.log_prob(x), model.log_prior(model.encode(x).mean) + log_det) < 1e-9


@BOTH
@pytest.mark.parametrize("shape", [(2,), (64,), (1, 8, 8)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-8), (torch.float32, 1e-4)])
def test_decode_undoes_encode_far_outside_the_data(
    kind: Kind, shape: tuple[int, ...], dtype: torch.dtype, tolerance: float
) -> None:
    model = small(kind, *shape, blocks=5).to(dtype)
    for scale in (1.0, 1e3):
        x = scale * torch.randn(8, *shape, dtype=dtype)
        with torch.no_grad():
            assert relative_error(model.decode(model.encode(x).mean), x) < tolerance
            low, high = model.float().log_prob(x.float()).double(), model.double().log_prob(x.double())
        model.to(dtype)
        assert relative_error(low, high) < 1e-4


def trained(model: AutoregressiveFlow, x: Tensor, context: Tensor | None = None, *, steps: int) -> None:
    (phase,) = model.phases()
    optimizer = torch.optim.Adam(phase.parameters, lr=0.01)
    model.train()
    for _ in range(steps):
        rows = torch.randint(len(x), (128,))
        optimizer.zero_grad()
        phase.loss(model.prepare(Batch(x[rows], context=None if context is None else context[rows]))).total.backward()
        optimizer.step()
    model.eval()


@BOTH
def test_it_fits_two_moons_as_no_gaussian_can(kind: Kind) -> None:
    data = load_data("two-moons")
    assert data.density is not None
    x, test = data.train.x, data.test.x
    model = kind(data.event, blocks=4, hidden=(32, 32))
    trained(model, x, steps=120)
    with torch.no_grad():
        gaussian = MultivariateNormal(x.mean(0), x.T.cov()).log_prob(test).mean()
        reached, best = model.log_prob(test).mean(), data.density(test).mean()
        assert reached > gaussian + 0.4
        assert reached < best


@BOTH
def test_labels_move_the_density_and_the_samples(kind: Kind) -> None:
    y = torch.arange(256) % 2
    x = 0.5 * torch.randn(256, 3) + (4.0 * y - 2)[:, None]
    model = kind(Event((3,), Real()), context_event=Event((), Levels(2)), blocks=2, hidden=(16,))
    trained(model, x, y, steps=50)
    assert model.log_prob(x, context=y).mean() > model.log_prob(x, context=1 - y).mean() + 5
    assert model.sample(200, context=torch.tensor(1)).mean() > 1.5


@BOTH
def test_levels_are_dequantized_and_decode_to_themselves(kind: Kind) -> None:
    model = build(kind.registered_name, Event((1, 4, 4), Levels(17)), hidden=[16], blocks=2)
    assert isinstance(model, DequantizedFlow)
    perturbed(model, 0.3)
    x = torch.randint(0, 17, (5, 1, 4, 4))
    torch.testing.assert_close(model.decode(model.encode(x).mean), x.float())
    assert model.sample(3).shape == (3, 1, 4, 4)


@BOTH
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"blocks": 0}, "at least 1 transform"),
        ({"hidden": []}, "hidden needs widths"),
        ({"hidden": [8, 0]}, "hidden needs widths"),
    ],
)
def test_settings_that_it_refuses(kind: Kind, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(kind.registered_name, Event((3,), Real()), **settings)
