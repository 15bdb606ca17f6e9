"""Dequantized densities: the bound, the logit map and its log-determinant, the levels of samples and codes."""

import copy
import math
from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from ancestral.dequantization import Dequantized, DequantizedDensity, DequantizedFit, DequantizedFlow, dequantize
from ancestral.distributions import Delta
from ancestral.interface import (
    Batch,
    Binary,
    ClosedFormFit,
    Columns,
    Encoder,
    Event,
    ExactDensity,
    FitStep,
    InputError,
    Levels,
    Losses,
    MeanDecoder,
    Phase,
    Real,
    Sampler,
    abilities,
)
from ancestral.registry import build

LEVELS = Event((2,), Levels(4))


class Uniform(Sampler, ExactDensity):
    """The uniform density on the unit cube."""

    def __init__(self, shape: tuple[int, ...] = (2,)) -> None:
        super().__init__(Event(shape, Real()))
        self.weight = nn.Parameter(torch.zeros(1))

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        inside = ((x >= 0) & (x <= 1)).flatten(1).all(1)
        return torch.where(inside, 0.0, -math.inf) + 0 * self.weight

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return torch.rand(n, *self.event.shape)

    def phases(self) -> Sequence[Phase]:
        def loss(batch: Batch) -> Losses:
            return Losses(-self._log_prob(batch.x, batch.context).mean())

        return [Phase("model", [self.weight], loss)]


class Scale(Sampler, ExactDensity, Encoder, MeanDecoder):
    """z = x / scale with a standard normal prior."""

    def __init__(self, scale: float = 2.0) -> None:
        super().__init__(Event((2,), Real()))
        self.scale = nn.Parameter(torch.tensor(scale))

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"z": (2,)}

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self._log_prior(x / self.scale, context) - 2 * self.scale.log()

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        return Delta(x / self.scale)

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return z * self.scale

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return self.scale * torch.randn(n, 2, dtype=self.dtype)

    def phases(self) -> Sequence[Phase]:
        return []


class Mean(Sampler, ExactDensity, ClosedFormFit):
    """A unit Gaussian around the data's mean."""

    def __init__(self) -> None:
        super().__init__(Event((2,), Real()))
        self.register_buffer("centre", torch.zeros(2))

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return Normal(self.centre, 1.0).log_prob(x).sum(1)

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return self.centre + torch.randn(n, 2)

    def _fit_start(self, x: Tensor) -> None:
        self.centre.zero_()

    def _fit_step(self, x: Tensor) -> FitStep:
        self.centre.copy_(x.mean(0))
        objective = float(self._log_prob(x, None).mean())
        return FitStep(objective, (("M", objective),))


@pytest.mark.parametrize(("shape", "levels"), [((2,), 4), ((3, 4, 4), 256)])
def test_a_uniform_model_scores_the_logarithm_of_the_levels(shape: tuple[int, ...], levels: int) -> None:
    event = Event(shape, Levels(levels))
    model = dequantize(Uniform(shape), event)
    x = torch.randint(levels, (5, *shape))
    expected = torch.full((5,), -event.size * math.log(levels))
    torch.testing.assert_close(model.elbo(x), expected)
    torch.testing.assert_close(model.log_prob_lower_bound(x, importance_samples=3), expected)
    (phase,) = model.phases()
    torch.testing.assert_close(phase.loss(model.prepare(Batch(x))).total, -expected[0])


def test_each_kind_keeps_the_abilities_that_survive() -> None:
    assert type(dequantize(Uniform(), LEVELS)) is Dequantized
    assert type(dequantize(Scale(), LEVELS)) is DequantizedFlow
    assert type(dequantize(Mean(), LEVELS)) is DequantizedFit
    assert abilities(Dequantized) == ("Sampler", "BoundedDensity")
    assert abilities(DequantizedFlow) == ("Sampler", "BoundedDensity", "Decoder", "MeanDecoder", "Encoder")
    assert abilities(DequantizedFit) == ("Sampler", "BoundedDensity", "ClosedFormFit")


@pytest.mark.parametrize("build", [Scale, Uniform])
def test_the_map_to_the_inner_space_has_its_log_determinant(build: type[Scale] | type[Uniform]) -> None:
    model = dequantize(build().double(), LEVELS)
    y = 4 * torch.rand(8, 2, dtype=torch.float64)
    z, log_det = model.to_inner(y)
    torch.testing.assert_close(model.from_inner(z), y)
    for row in range(len(y)):
        jacobian = torch.autograd.functional.jacobian(lambda v: model.to_inner(v[None])[0][0], y[row])
        assert isinstance(jacobian, Tensor)
        torch.testing.assert_close(log_det[row], torch.linalg.slogdet(jacobian).logabsdet)


def test_the_logit_map_is_finite_at_both_ends_in_float32() -> None:
    model = dequantize(Scale(), Event((2,), Levels(256)))
    for y in (0.0, 256.0):
        z, log_det = model.to_inner(torch.full((1, 2), y))
        assert torch.isfinite(z).all()
        assert torch.isfinite(log_det).all()
        torch.testing.assert_close(model.from_inner(z), torch.full((1, 2), y), rtol=1e-5, atol=1e-4)


def test_the_bound_approaches_the_mass_of_the_cell() -> None:
    model = dequantize(Scale().double(), LEVELS)
    x = torch.tensor([[1, 2]])
    # The logit is monotone: the mass of a cell is a product of normal interval masses.
    edges = torch.stack([model.to_inner(x + shift)[0] for shift in (torch.zeros(1, 2).double(), torch.ones(1, 2))])
    exact = Normal(0.0, 2.0).cdf(edges).diff(dim=0).log().sum()
    with torch.no_grad():
        assert abs(float(model.log_prob_lower_bound(x, importance_samples=100_000) - exact)) < 5e-3
        assert float(model.elbo(x, samples=10_000)) < float(exact)


def test_flow_codes_decode_to_every_level_exactly() -> None:
    event = Event((2,), Levels(256))
    model = dequantize(Scale(), event)
    assert isinstance(model, DequantizedFlow)
    x = torch.arange(256.0)[:, None].expand(256, 2)
    assert torch.equal(model.decode(model.encode(x).mean), x)


def test_samples_are_levels() -> None:
    event = Event((2,), Levels(4))
    x = dequantize(Scale(100.0), event).sample(1000)
    event.check(x)
    assert set(x.unique().tolist()) == {0.0, 1.0, 2.0, 3.0}


def test_a_fit_climbs_one_objective_and_leaves_the_global_generator() -> None:
    model = dequantize(Mean(), LEVELS)
    assert isinstance(model, DequantizedFit)
    x = torch.randint(4, (50, 2))
    state = torch.get_rng_state()
    model.fit_start(x)
    steps = [model.fit_step(x) for _ in range(2)]
    assert torch.equal(state, torch.get_rng_state())
    assert steps[0] == steps[1]
    # The objective is in data units: nats of the dequantized levels, as the bound is.
    assert steps[0].objective == pytest.approx(float(model.elbo(x, samples=2000).mean()), abs=0.02)
    assert steps[0].trace == (("M", steps[0].objective),)


def test_copies_share_nothing() -> None:
    model = dequantize(Scale(), LEVELS)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        next(twin.parameters()).fill_(5.0)
    assert next(model.parameters()).item() == 2.0


def test_only_samplers_on_levels_are_dequantized() -> None:
    class Unsampled(ExactDensity):
        def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
            return x.sum(1)

        def phases(self) -> Sequence[Phase]:
            return []

    with pytest.raises(InputError, match="no Sampler"):
        dequantize(Unsampled(Event((2,), Real())), LEVELS)
    with pytest.raises(InputError, match="only Levels"):
        dequantize(Uniform(), Event((2,), Binary()))


def test_missing_values_are_left_out_of_the_cells_and_of_their_volume() -> None:
    event = Event((3,), Columns((Levels(5), Real(), Levels(300))))
    x = torch.stack([torch.randint(5, (200,)), torch.randn(200), torch.randint(300, (200,))], 1).float()
    x[::3, 0] = math.nan
    x[1::3, 2] = math.nan
    model = build("ppca", event, latent_dim=1)
    assert isinstance(model, DequantizedFit)
    model.fit_start(x)
    objectives = [model.fit_step(x).objective for _ in range(5)]
    assert objectives == sorted(objectives)
    bound = model.log_prob_lower_bound(x, importance_samples=500, generator=torch.Generator().manual_seed(0))
    # On its own noise the fit knows the mean of what the bound estimates, up to the gain of the last step.
    assert bound.mean().item() == pytest.approx(objectives[-1], abs=0.05)
    # A row of which one value is there scores as that column alone: a sum over its levels is 1.
    alone = torch.full((5, 3), math.nan)
    alone[:, 0] = torch.arange(5)
    total = model.log_prob_lower_bound(alone, importance_samples=4000).exp().sum().item()
    inside = model.inner.sample(20_000)[:, 0]
    assert total == pytest.approx(((inside >= 0) & (inside < 1)).double().mean().item(), abs=0.03)
    with pytest.raises(InputError, match="must lie in"):
        build("realnvp", event).elbo(x)


@pytest.mark.parametrize("name", ["gaussian_mixture", "realnvp"])
def test_the_bound_of_a_table_is_the_mass_of_its_cells_at_its_real_values(name: str) -> None:
    """By quadrature over the cell of the one column of levels."""
    event = Event((3,), Columns((Real(), Levels(4), Real())))
    model = build(name, event)
    assert isinstance(model, DequantizedDensity)
    with torch.no_grad():
        for tensor in (*model.inner.parameters(), *model.inner.buffers()):
            if name == "realnvp" and tensor.is_floating_point():
                tensor.add_(0.1 * torch.randn_like(tensor))
    model.eval().double()
    x = torch.tensor([[-1.0, 0.0, 0.3], [0.2, 1.0, -0.7], [0.0, 2.0, 0.0], [1.5, 3.0, 1.0]]).double()
    u = (torch.arange(2000).double() + 0.5) / 2000
    exact = []
    for row in x:
        z, log_det = model.to_inner(row + u[:, None] * torch.tensor([0.0, 1.0, 0.0]).double())
        exact.append((model.inner.log_prob(z) + log_det).logsumexp(0) - math.log(len(u)))
    bound = model.log_prob_lower_bound(x, importance_samples=20_000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(bound, torch.stack(exact), rtol=0, atol=0.03)
    assert (model.sample(200)[:, [0, 2]] % 1 != 0).all()
