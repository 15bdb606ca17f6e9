"""The interface: events and their errors, checked public methods, evaluation mode, generators, bounds, latents."""

import copy
import math
from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from ancestral.interface import (
    ABILITIES,
    SGD,
    Adam,
    Batch,
    Binary,
    BoundedDensity,
    Categories,
    ClosedFormFit,
    Columns,
    Completer,
    Encoder,
    Event,
    ExactDensity,
    FitStep,
    InputError,
    JointDensity,
    Levels,
    MeanDecoder,
    Model,
    OptimizerSpec,
    Phase,
    Real,
    RMSProp,
    Sampler,
    Support,
    abilities,
    by_kind,
    maximum_likelihood,
    parse_support,
    seeded,
)


class Gaussian(Sampler, ExactDensity):
    """A Gaussian behind dropout and batch norm, shifted by its context."""

    def __init__(self, event: Event, *, context_event: Event | None = None) -> None:
        super().__init__(event, context_event=context_event)
        self.norm = nn.BatchNorm1d(event.size)
        self.drop = nn.Dropout(0.5)
        self.seen: tuple[torch.dtype, torch.dtype | None] | None = None

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        return "it is made for vectors" if len(event.shape) != 1 else None

    def phases(self) -> Sequence[Phase]:
        return []

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        self.seen = (x.dtype, None if context is None else context.dtype)
        shift = 0.0 if context is None else context.to(x.dtype).reshape(len(x), -1).sum(1, keepdim=True)
        return Normal(shift, 1.0).log_prob(self.drop(self.norm(x))).sum(1)

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return torch.randn(n, *self.event.shape, dtype=self.dtype)


class Biased(BoundedDensity, Encoder, MeanDecoder):
    """ln weights are normal with mean -1/2 and variance 1: weights of mean 1, so ln p(x) = 0."""

    rows_at_once = 8

    def __init__(self) -> None:
        super().__init__(Event((1,), Binary()))
        self.weight = nn.Parameter(torch.zeros(1))
        self.calls: list[int] = []

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"a": (2, 2), "b": (), "c": (3,)}

    def phases(self) -> Sequence[Phase]:
        return []

    def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        self.calls.append(samples * len(x))
        return torch.randn(samples, len(x)) - 0.5 + 0 * self.weight

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        return Independent(Normal(x.expand(-1, 8), 1.0), 1)

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return z[:, :1].sigmoid()


class Average(ClosedFormFit):
    """The mean of the values that are there."""

    accepts_missing = True

    def __init__(self) -> None:
        super().__init__(Event((1,), Real()))
        self.register_buffer("centre", torch.zeros(1))

    def _fit_start(self, x: Tensor) -> None:
        self.centre.copy_(torch.rand(1))

    def _fit_step(self, x: Tensor) -> FitStep:
        self.centre.copy_(x.nanmean(0))
        return FitStep(-float((x - self.centre).square().nanmean()))


# -- Events ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("support", "good", "bad"),
    [
        (Binary(), [0.0, 1.0], [0.5, 2.0, -1.0, math.nan, math.inf]),
        (Levels(4), [0.0, 3.0], [0.5, 4.0, -1.0, math.nan, math.inf]),
        (Categories(4), [0.0, 3.0], [0.5, 4.0, -1.0, math.nan, math.inf]),
        (Real(), [-1e30, 0.25], [math.nan, math.inf, -math.inf]),
    ],
)
def test_supports_know_their_values(support: Support, good: list[float], bad: list[float]) -> None:
    assert support.contains(torch.tensor(good)).all()
    assert not support.contains(torch.tensor(bad)).any()
    event = Event((), support)
    event.check(torch.tensor(good))
    for value in bad:
        with pytest.raises(InputError, match=r"x must lie in .* at index \(1,\) \(1 such values\)"):
            event.check(torch.tensor([good[0], value]))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int64, torch.float16, torch.float64])
def test_every_storage_dtype_is_checked(dtype: torch.dtype) -> None:
    event = Event((2,), Levels(100))
    event.check(torch.tensor([[0, 99]], dtype=dtype))
    with pytest.raises(InputError, match="found 100"):
        event.check(torch.tensor([[0, 100]], dtype=dtype))
    Event((2,), Levels(256)).check(torch.tensor([[0, 100]], dtype=dtype))
    Event((2,), Binary()).check(torch.tensor([[True, False]]))
    if dtype.is_signed:
        with pytest.raises(InputError, match="found -1"):
            event.check(torch.tensor([[0, -1]], dtype=dtype))


def test_projection_is_onto_the_nearest_value() -> None:
    x = torch.tensor([-3.0, 0.4, 0.6, 2.2, 9.0])
    assert Binary().project(x).tolist() == [0, 0, 1, 1, 1]
    assert Levels(4).project(x).tolist() == [0, 0, 1, 2, 3]
    assert torch.equal(Real().project(x), x)


def test_a_table_has_a_support_for_each_column() -> None:
    columns = Columns((Levels(4), Real(), Categories(3), Real(), Binary()))
    event = Event((5,), columns)
    x = torch.tensor([[3.0, -1e9, 2.0, 0.25, 1.0], [0.0, 7.0, 0.0, 1e-9, 0.0]])
    event.check(x)
    for column, value in enumerate([4.0, math.inf, 0.5, math.nan, 2.0]):
        wrong = x.clone()
        wrong[1, column] = value
        with pytest.raises(
            InputError, match=rf"must lie in {type(columns.supports[column]).__name__}.*\(1, {column}\)"
        ):
            event.check(wrong)
    assert (event.values, event.densities, event.supports) == (None, 2, columns.supports)
    assert columns.kinds[Real()] == [1, 3]
    # Categories have no nearest value: theirs must be values already.
    moved = x + torch.tensor([0.3, 0.3, 0.0, 0.0, -0.3])
    assert columns.project(moved)[1].tolist() == pytest.approx([0.0, 7.3, 0.0, 1e-9, 0.0])
    assert parse_support("levels:4") == Levels(4)
    with pytest.raises(InputError, match="as many values"):
        Event((4,), columns)
    with pytest.raises(InputError, match="one support for each column"):
        Columns((columns,))


def test_by_kind_puts_every_column_back_in_its_place() -> None:
    columns = Columns((Levels(4), Real(), Categories(3), Real(), Levels(4)))
    x, counts = torch.randn(6, 5), torch.tensor([4.0, 0.0, 3.0, 0.0, 4.0])
    found = by_kind(columns, lambda kind, part: part + (kind.values or 0), x)
    torch.testing.assert_close(found, x + counts)
    assert torch.equal(by_kind(Real(), lambda kind, part: 2 * part, x), 2 * x)


def test_shape_errors_say_what_to_do() -> None:
    event = Event((1, 2, 3), Real())
    assert event.size == 6
    with pytest.raises(InputError, match=r"shape \(batch, 1, 2, 3\), got \(1, 2, 3\); add a batch dimension"):
        event.check(torch.zeros(1, 2, 3))
    with pytest.raises(InputError, match=r"got \(5, 6\); reshape it with x.reshape\(-1, 1, 2, 3\)"):
        event.check(torch.zeros(5, 6))
    with pytest.raises(InputError, match="real-valued"):
        event.check(torch.zeros(1, 1, 2, 3, dtype=torch.complex64))
    event.check(torch.full((1, 1, 2, 3), math.nan), missing=True)
    with pytest.raises(InputError, match="at least 2 levels"):
        Levels(1)
    with pytest.raises(InputError, match="at least 1"):
        Event((0,), Real())


# -- Public methods -------------------------------------------------------------------------------------------------


def test_cores_receive_the_models_dtypes() -> None:
    model = Gaussian(Event((2,), Levels(4)), context_event=Event((), Levels(3))).double()
    model.log_prob(torch.zeros(5, 2, dtype=torch.uint8), context=torch.zeros(5, dtype=torch.int32))
    assert model.seen == (torch.float64, torch.int64)
    assert (model.dtype, model.device) == (torch.float64, torch.device("cpu"))


def test_contexts_are_checked_and_shared() -> None:
    model, x = Gaussian(Event((2,), Real()), context_event=Event((1,), Real())), torch.randn(4, 2)
    one = torch.tensor([3.0])
    assert torch.equal(model.log_prob(x, context=one), model.log_prob(x, context=one.expand(4, 1)))
    with pytest.raises(InputError, match="conditional: pass context="):
        model.log_prob(x)
    with pytest.raises(InputError, match="one row for each of 4 observations, got 3"):
        model.log_prob(x, context=torch.zeros(3, 1))
    with pytest.raises(InputError, match="context must lie in Real"):
        model.log_prob(x, context=torch.tensor([math.nan]))
    with pytest.raises(InputError, match="is unconditional but got a context"):
        Gaussian(Event((2,), Real())).sample(3, context=one)
    with pytest.raises(InputError, match="n must be a whole number of at least 1, got 0"):
        Gaussian(Event((2,), Real())).sample(0)


def test_public_methods_run_in_evaluation_mode_and_restore_each_module() -> None:
    model, x = Gaussian(Event((2,), Real())), torch.randn(64, 2)
    expected = model.eval().log_prob(x)
    model.train()
    model.drop.eval()
    assert torch.equal(model.log_prob(x), expected)
    assert (model.training, model.norm.training, model.drop.training) == (True, True, False)
    with pytest.raises(InputError):
        model.log_prob(torch.full((1, 2), math.nan))
    assert model.training
    assert torch.equal(model.norm.running_mean, torch.zeros(2))


def test_the_mode_is_restored_after_an_error() -> None:
    class Failing(Gaussian):
        def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
            raise RuntimeError("no")

    model = Failing(Event((2,), Real())).train()
    with pytest.raises(RuntimeError, match="no"):
        model.log_prob(torch.zeros(1, 2))
    assert model.training
    assert model.norm.training


def test_a_generator_decides_and_the_global_state_stays() -> None:
    model, state = Gaussian(Event((2,), Real())), torch.get_rng_state()
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 1, 2)]
    first, same, other = (model.sample(5, generator=generator) for generator in generators)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert not torch.equal(first, model.sample(5, generator=generators[0])), "a generator moves on with each call"
    assert torch.equal(state, torch.get_rng_state())
    model.sample(5)
    assert not torch.equal(state, torch.get_rng_state())
    with seeded(None):
        assert not torch.equal(state, torch.get_rng_state())


def test_unsupported_events_name_the_reason() -> None:
    with pytest.raises(InputError, match=r"Gaussian does not support .*: it is made for vectors"):
        Gaussian(Event((2, 2), Real()))


def test_prepare_casts_a_batch() -> None:
    model = Gaussian(Event((2,), Levels(4)), context_event=Event((), Levels(3)))
    batch = model.prepare(
        Batch(torch.zeros(3, 2, dtype=torch.uint8), torch.zeros(3).long(), torch.zeros(3, dtype=torch.int16))
    )
    assert batch.y is not None
    assert batch.context is not None
    assert (batch.x.dtype, batch.y.dtype, batch.context.dtype) == (torch.float32, torch.int64, torch.int64)
    assert abilities(model) == ("Sampler", "ExactDensity")
    assert model.monitor == "log_prob"
    assert Biased().monitor == "elbo"


# -- Standardisation ------------------------------------------------------------------------------------------------


class Affine(Sampler, ExactDensity, Encoder, MeanDecoder, JointDensity, Completer):
    """z = x, N(0, I), as the core sees it."""

    def __init__(self, event: Event) -> None:
        super().__init__(event)
        self.unit = nn.Parameter(torch.ones(()))

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"z": (self.event.size,)}

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self._log_prior(self.unit * x, context)

    def _log_likelihood(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        return -(x - z).square().sum(1)

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return torch.randn(n, self.event.size, dtype=self.dtype)

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        return Independent(Normal(x, torch.ones_like(x)), 1)

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return z

    def _complete(self, x: Tensor, known: Tensor, context: Tensor | None) -> Tensor:
        return torch.zeros_like(x)

    def phases(self) -> Sequence[Phase]:
        return maximum_likelihood(self)


def test_a_standardised_model_speaks_the_units_of_its_data() -> None:
    shift, scale = torch.tensor([5.0, -300.0]), torch.tensor([0.1, 40.0])
    model = Affine(Event((2,), Real()))
    model.standardize(shift, scale)
    x = shift + scale * torch.randn(1000, 2)
    density = Independent(Normal(shift, scale), 1)
    torch.testing.assert_close(model.log_prob(x), density.log_prob(x), rtol=1e-4, atol=1e-4)
    samples = model.sample(20_000)
    torch.testing.assert_close(samples.mean(0), shift, rtol=0.02, atol=0.02)
    torch.testing.assert_close(samples.std(0), scale, rtol=0.02, atol=0.0)
    z = model.encode(x).mean
    torch.testing.assert_close(model.decode_mean(z), x)
    torch.testing.assert_close(model.decode(z), x)
    torch.testing.assert_close(model.log_joint(x, z) - model.log_prior(z), -model.log_volume.float().expand(1000))
    # The loss is of what the core sees; the constant between the two is known.
    loss = model.phases()[0].loss(model.prepare(Batch(x))).total
    torch.testing.assert_close(loss, -model.log_prob(x).mean() - model.log_volume.float(), rtol=1e-4, atol=1e-4)
    unknown = torch.tensor([True, False]).expand(1000, 2)
    filled = model.complete(torch.where(unknown, math.nan, x), ~unknown)
    torch.testing.assert_close(filled, torch.stack([shift[0].expand(1000), x[:, 1]], 1))
    with pytest.raises(InputError, match="only Real data are standardised"):
        Biased().standardize(torch.zeros(1), torch.ones(1))
    with pytest.raises(InputError, match="scales above 0"):
        model.standardize(shift, 0 * scale)


def test_standardisation_keeps_what_float32_cannot_tell_apart() -> None:
    torch.manual_seed(0)
    x = 1e6 + 1e-3 * torch.randn(4000, 1, dtype=torch.float64)
    model = Affine(Event((1,), Real()))
    model.standardize(x.mean(0), x.std(0))
    for moved in (model, copy.deepcopy(model).to(torch.float32), copy.deepcopy(model).half().float()):
        direct = Normal(x.mean(0), x.std(0)).log_prob(x).sum(1).float()
        torch.testing.assert_close(moved.log_prob(x), direct, rtol=1e-4, atol=1e-4)
        samples = moved.sample(4000)
        assert samples.dtype == torch.float64
        assert float(samples.std()) == pytest.approx(1e-3, rel=0.05)
        assert float(samples.mean()) == pytest.approx(1e6, abs=1e-4)


# -- Bounds ---------------------------------------------------------------------------------------------------------


def test_the_importance_bound_rises_from_the_elbo_to_the_likelihood() -> None:
    model, x = Biased(), torch.zeros(2000, 1)
    model.rows_at_once = 100_000
    with torch.no_grad():
        bounds = [float(model.log_prob_lower_bound(x, importance_samples=k).mean()) for k in (1, 10, 1000)]
        assert float(model.elbo(x).mean()) == pytest.approx(-0.5, abs=0.1)
        assert bounds[0] == pytest.approx(-0.5, abs=0.1)
        assert bounds[0] < bounds[1] < bounds[2]
        assert bounds[2] == pytest.approx(0.0, abs=0.01)


def test_the_importance_bound_is_chunked_without_a_change_of_meaning() -> None:
    class Counting(Biased):
        def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
            self.calls.append(samples * len(x))
            return x.T.expand(samples, -1).double().log()

    model, x = Counting(), torch.tensor([[1.0]] * 19 + [[0.0]])
    bound = model.log_prob_lower_bound(x, importance_samples=5)
    assert bound.shape == (20,)
    assert torch.equal(bound[:-1].float(), torch.zeros(19))
    assert bound[-1] == -math.inf, "weights that are all 0 give ln 0, not NaN"
    assert max(model.calls) <= 8
    assert sum(model.calls) == 100
    assert model.log_prob_lower_bound(x[:0], importance_samples=5).shape == (0,)


def test_numbers_of_samples_are_checked() -> None:
    model, x = Biased(), torch.zeros(1, 1)
    with pytest.raises(InputError, match="samples must be at least 1"):
        model.elbo(x, samples=0)
    with pytest.raises(InputError, match="importance_samples must be at least 1"):
        model.log_prob_lower_bound(x, importance_samples=0)


# -- Latents, fits, optimizers --------------------------------------------------------------------------------------


def test_latents_split_by_name_and_join_again() -> None:
    model, z = Biased(), torch.arange(16.0).reshape(2, 8)
    assert model.latent_size == 8
    parts = model.split_latents(z)
    assert {name: tuple(part.shape) for name, part in parts.items()} == {"a": (2, 2, 2), "b": (2,), "c": (2, 3)}
    assert torch.equal(model.join_latents(dict(reversed(parts.items()))), z)
    assert torch.equal(model.decode(z), torch.tensor([[0.0], [1.0]]))
    assert model.decode_mean(z)[0].item() == 0.5
    with pytest.raises(InputError, match=r"z must have shape \(batch, 8\), got \(2, 7\)"):
        model.decode(z[:, 1:])


def test_missing_values_pass_only_where_they_are_declared() -> None:
    x = torch.tensor([[1.0], [math.nan], [3.0]])
    model = Average()
    model.fit_start(x, generator=torch.Generator().manual_seed(0))
    assert model.fit_step(x).objective == -1.0
    assert model.centre.item() == 2.0
    assert not model.phases()
    with pytest.raises(InputError, match="empty"):
        model.fit_start(x[:0])

    class Strict(Average):
        accepts_missing = False

    with pytest.raises(InputError, match="must lie in Real"):
        Strict().fit_step(x)


def test_a_standardised_fit_reports_the_likelihood_of_what_was_observed_in_the_datas_units() -> None:
    class Observed(Average, ExactDensity):
        """Each row's observed value as a standard normal about the centre."""

        def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
            return torch.where(x.isnan(), 0.0, Normal(self.centre, 1.0).log_prob(x.nan_to_num())).sum(1)

        def _fit_step(self, x: Tensor) -> FitStep:
            super()._fit_step(x)
            return FitStep(float(self._log_prob(x, None).mean()))

    model = Observed()
    model.standardize(torch.tensor([5.0]), torch.tensor([100.0]))
    x = torch.tensor([[105.0], [math.nan], [305.0]])
    step = model.fit_step(x)
    expected = Normal(205.0, 100.0).log_prob(torch.tensor([105.0, 305.0]))
    assert step.objective == pytest.approx(float(expected.sum()) / 3, rel=1e-5)
    torch.testing.assert_close(model.log_prob(x), torch.stack([expected[0], torch.tensor(0.0), expected[1]]))
    # A step whose objective is no likelihood says what the core said.
    plain = Average()
    plain.standardize(torch.tensor([5.0]), torch.tensor([100.0]))
    assert plain.fit_step(x).objective == pytest.approx(-1.0)


@pytest.mark.parametrize("kind", [Adam, RMSProp, SGD])
@pytest.mark.parametrize("lr", [-1.0, 0, math.nan, math.inf, "0.1", True])
def test_a_learning_rate_is_a_number_above_0(untyped: None, kind: type[OptimizerSpec], lr: object) -> None:
    with pytest.raises(InputError, match=f"lr of {kind.__name__} must be a finite number above 0"):
        kind(lr=lr)


@pytest.mark.parametrize("spec", [Adam(), Adam(weight_decay=0.1), RMSProp(), SGD(momentum=0.9)])
def test_optimizer_specs_build_optimizers_that_descend(spec: OptimizerSpec) -> None:
    parameter = nn.Parameter(torch.tensor([3.0]))
    optimizer = spec.build([parameter])
    assert optimizer.param_groups[0]["lr"] == spec.lr
    for _ in range(5):
        optimizer.zero_grad()
        parameter.square().sum().backward()
        optimizer.step()
    assert parameter.item() < 3.0


def test_abstract_abilities_cannot_be_made() -> None:
    for ability in (Model, *ABILITIES):
        with pytest.raises(TypeError, match="abstract"):
            ability(Event((1,), Real()))
