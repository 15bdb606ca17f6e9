"""The one mechanism: conditionals in any orders, on any support, are sampled and completed as their density says."""

import doctest
import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.checks import check_model
from ancestral.distributions import Bernoulli, Categorical, Gaussian, Observation
from ancestral.interface import Batch, Binary, Categories, Event, Phase, Real, Support, maximum_likelihood
from ancestral.layers import autoregressive
from ancestral.layers.autoregressive import AutoregressiveModel, Stepwise, raster_order

OBSERVATIONS: dict[Support, Observation] = {Binary(): Bernoulli(), Categories(3): Categorical(3), Real(): Gaussian()}


class Belief(AutoregressiveModel):
    """Each conditional's parameters from a linear map of the earlier values, in each of several orders."""

    def __init__(self, event: Event, *, context_event: Event | None = None, orders: int = 2) -> None:
        super().__init__(event, context_event=context_event)
        self.observation = OBSERVATIONS[event.support]
        self._orders = torch.stack([torch.randperm(event.size) for _ in range(orders)])
        self.width = event.values if isinstance(event.support, Categories) else 1
        self.weight = nn.Parameter(torch.randn(self.observation.size, event.size, event.size, self.width or 1))
        self.bias = nn.Parameter(torch.randn(self.observation.size, event.size))

    @property
    def orders(self) -> Tensor:
        return self._orders

    def _conditionals(self, x: Tensor, context: Tensor | None, order: int) -> Tensor:
        place = self._orders[order].argsort()
        earlier = (place[:, None] > place)[..., None]
        flat = F.one_hot(x, self.width) if isinstance(self.event.support, Categories) else x[..., None]
        out = torch.einsum("bjk,sijk->bsi", flat.flatten(1, -2).to(self.weight), self.weight * earlier) + self.bias
        if context is not None:
            out = out + context[:, None]
        return out.unflatten(2, self.event.shape)

    def phases(self) -> list[Phase]:
        return list(maximum_likelihood(self))


class Recurrent(AutoregressiveModel):
    """A recurrent layer that sees the dimension before, whose cache is its state, under a dilated causal convolution,
    whose cache is the inputs it still needs."""

    def __init__(self, event: Event) -> None:
        super().__init__(event)
        self.observation = OBSERVATIONS[event.support]
        self.cell, self.dilation = nn.GRUCell(1, 4), 2
        self.convolution = nn.Conv1d(4, self.observation.size, 2, dilation=self.dilation)

    @property
    def orders(self) -> Tensor:
        return torch.arange(self.event.size)[None]

    def _conditionals(self, x: Tensor, context: Tensor | None, order: int) -> Tensor:
        states = [self.cell(torch.zeros_like(x[:, :1]))]
        for before in x[:, :-1].split(1, dim=1):
            states.append(self.cell(before, states[-1]))
        return self.convolution(F.pad(torch.stack(states, 2), (self.dilation, 0)))

    def _stepwise(self, n: int, context: Tensor | None, order: int) -> Stepwise:
        return RecurrentSteps(self, n)

    def phases(self) -> list[Phase]:
        return list(maximum_likelihood(self))


class RecurrentSteps(Stepwise):
    def __init__(self, model: Recurrent, n: int) -> None:
        self.model, self.input = model, torch.zeros(n, 1, dtype=model.dtype)
        self.states = [self.input.new_zeros(n, 4)] * (model.dilation + 1)

    def parameters(self, step: int) -> Tensor:
        self.states = [*self.states[1:], self.model.cell(self.input, self.states[-1])]
        return self.model.convolution(torch.stack(self.states, 2))[:, :, 0]

    def write(self, step: int, values: Tensor) -> None:
        self.input = values[:, None]


def seed(value: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(value)


def test_a_score_without_gradients_takes_few_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, context = (
        Belief(Event((5,), Binary()), context_event=Event((1,), Real())),
        torch.ones(7, 5),
        torch.randn(7, 1),
    )
    seen: list[int] = []
    conditionals = model._conditionals
    monkeypatch.setattr(model, "_conditionals", lambda x, *more: seen.append(len(x)) or conditionals(x, *more))
    whole = model.conditional_log_probs(x, context=context)
    assert seen == [7, 7]  # in each of two orders
    seen.clear()
    monkeypatch.setattr(autoregressive, "_AT_ONCE", 3 * 5)
    assert torch.equal(model.conditional_log_probs(x, context=context), whole)
    assert set(seen) == {7}
    with torch.no_grad():
        seen.clear()
        torch.testing.assert_close(model.conditional_log_probs(x, context=context), whole)
        assert seen == [3, 3, 3, 3, 1, 1]
        assert model.log_prob(x[:0], context=context[:0]).shape == (0,)


@pytest.mark.parametrize("context_event", [None, Event((1,), Real())])
@pytest.mark.parametrize("event", [Event((2, 2), Binary()), Event((3,), Categories(3))])
def test_completions_keep_what_is_known_and_follow_what_came_before(event: Event, context_event: Event | None) -> None:
    """In one order, ln p of what is drawn is the sum of its conditionals, whatever is known later."""
    model, n = Belief(event, context_event=context_event, orders=1).double(), 20_000
    context = None if context_event is None else torch.tensor([0.7]).double()
    states = torch.tensor(list(itertools.product(range(event.values or 0), repeat=event.size))).view(-1, *event.shape)
    known = torch.rand(event.shape) < 0.5
    known.view(-1)[model.orders[0, -1]] = False
    x = states[1].expand(n, *event.shape)
    drawn = model.complete(x, known, context=context, generator=seed())
    assert torch.equal(drawn[:, known], x[:, known])
    candidates = states[(states == states[1])[:, known].all(1)]
    conditionals = model.conditional_log_probs(candidates, context=context)[0]
    expected = conditionals[:, ~known].sum(1).exp()
    found = (drawn.flatten(1)[:, None] == candidates.flatten(1)).all(2).double().mean(0)
    assert expected.sum().item() == pytest.approx(1)
    assert ((found - expected).abs() < 4.5 * (expected / n).sqrt() + 1 / n).all()


def test_conditionals_of_standardised_data_are_in_its_units() -> None:
    model = Belief(Event((3,), Real()), orders=1)
    model.standardize(torch.tensor([1.0, -1.0, 0.0]), torch.tensor([0.5, 2.0, 3.0]))
    x = model.sample(5)
    torch.testing.assert_close(model.conditional_log_probs(x)[0].sum(1), model.log_prob(x))


def test_the_order_of_each_observation_is_drawn_on_its_own() -> None:
    chosen = Belief(Event((4,), Binary()), orders=3)._chosen_orders(3000)
    for lag in (1, 2, 3):
        same = (chosen[lag:] == chosen[:-lag]).double().mean()
        assert float(same) == pytest.approx(1 / 3, abs=0.04)


@pytest.mark.parametrize("support", OBSERVATIONS)
def test_samples_are_what_the_cores_see(support: Support) -> None:
    model = Belief(Event((2, 3), support))
    x = model.sample(5, generator=seed(1))
    assert x.dtype == (torch.int64 if isinstance(support, Categories) else torch.float32)
    assert torch.equal(x, model.sample(5, generator=seed(1), naively=True))
    assert not torch.equal(x, model.sample(5, generator=seed(2)))
    model.phases()[0].loss(model.prepare(Batch(x))).total.backward()
    assert model.weight.grad is not None


@pytest.mark.parametrize("support", [Binary(), Real()])
def test_layers_bring_their_own_caches(support: Support) -> None:
    """A state and a queue make a sampler that computes each feature once, and the contract holds for it."""
    report = check_model(Recurrent(Event((6,), support)), verbose=False)
    assert "cached draws are the naive ones" in report.passed
    assert "cached parameters are those of one pass" in report.passed


@pytest.mark.parametrize("support", OBSERVATIONS)
def test_a_cold_sample_is_of_the_likeliest_values(support: Support) -> None:
    model = Belief(Event((4,), support), orders=1).double()
    cold = model.sample(3, temperature=1e-9, generator=seed())
    torch.testing.assert_close(cold, cold[:1].expand_as(cold), atol=1e-3, rtol=0)
    best = model.conditional_log_probs(cold)
    for change in (-1e-1, 1e-1) if isinstance(support, Real) else range(1, (model.event.values or 0)):
        for dimension in range(4):
            other = cold.clone()
            other[:, dimension] += change
            other = other if model.event.values is None else other % model.event.values
            assert (model.conditional_log_probs(other)[:, :, dimension] <= best[:, :, dimension]).all()


def test_small_steps_run_on_one_thread_and_large_ones_on_all() -> None:
    class Counted(Stepwise):
        def __init__(self, work: float) -> None:
            self.work, self.threads = work, set[int]()

        def parameters(self, step: int) -> Tensor:
            self.threads.add(torch.get_num_threads())
            return torch.zeros(2, 1)

        def write(self, step: int, values: Tensor) -> None:
            self.threads.add(torch.get_num_threads())

    model = Belief(Event((3,), Binary()), orders=1)
    with autoregressive.threads(2):
        for work, expected in ((100.0, {1}), (1e9, {2})):
            steps = Counted(work)
            model._stepwise = lambda n, context, order, steps=steps: steps  # type: ignore[method-assign]
            model.sample(2)
            assert steps.threads == expected
            assert torch.get_num_threads() == 2


def test_raster_order_is_rows_then_columns_then_colours() -> None:
    event = Event((2, 2, 3), Binary())
    index = torch.arange(12).view(2, 2, 3)
    expected = [index[colour, row, column] for row in range(2) for column in range(3) for colour in range(2)]
    assert torch.equal(raster_order(event)[0], torch.stack(expected))


def test_the_example_of_the_fewest_lines() -> None:
    names = {"Bernoulli": Bernoulli, "nn": nn, "F": F, "Event": Event, "Binary": Binary}
    found = doctest.testmod(autoregressive, extraglobs={**names, "maximum_likelihood": maximum_likelihood})
    assert found.attempted == 4
    assert found.failed == 0
