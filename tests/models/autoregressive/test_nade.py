"""NADE: the paper's equations in probabilities, what each conditional sees, and averages over orders."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ancestral.interface import Batch, Binary, Categories, Columns, Event, InputError, Levels, Real
from ancestral.models.autoregressive.nade import NADE

EVENTS = [Event((2, 3), Binary()), Event((4,), Levels(3)), Event((3,), Categories(4))]


def build(event: Event, **settings: Any) -> NADE:
    """A small one in double precision, far from uniform."""
    model = NADE(event, **{"units": 6, "orders": 3, "order": "random", **settings})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model.double().eval()


def everything(event: Event) -> Tensor:
    return torch.tensor(list(itertools.product(range(event.values or 0), repeat=event.size))).view(-1, *event.shape)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_the_likelihood_is_algorithm_1_in_plain_numbers() -> None:
    model = build(Event((5,), Binary()), orders=1)
    w, c = model.network.weight.tolist(), model.network.bias.tolist()
    v, b = model.network.output.weight.tolist(), model.network.output.bias.tolist()
    for x in ([0, 1, 1, 0, 1], [1, 1, 0, 0, 0]):
        a, p = list(c), 1.0
        for i in model.orders[0].tolist():
            h = [sigmoid(value) for value in a]
            on = sigmoid(b[i] + sum(v_k * h_k for v_k, h_k in zip(v[i], h)))
            p *= on if x[i] else 1 - on
            a = [a_k + w_k * x[i] for a_k, w_k in zip(a, w[i])]
        assert model.log_prob(torch.tensor([x])).item() == pytest.approx(math.log(p), rel=1e-12)


def test_a_value_of_several_adds_its_own_row_of_weights() -> None:
    event = Event((3,), Categories(4))
    model = build(event, orders=1, order="natural")
    rows = model.network.weight.view(3, 4, -1)
    hidden = (model.network.bias + rows[0, 2] + rows[1, 3]).sigmoid()
    logits = hidden @ model.network.output.weight[2::3].T + model.network.output.bias[2::3]
    found = model.conditional_log_probs(torch.tensor([[2, 3, 1]]))[0, 0, 2]
    torch.testing.assert_close(found, logits.log_softmax(0)[1])


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("orders", [1, 3])
def test_every_conditional_sees_all_earlier_dimensions_and_no_other(event: Event, orders: int) -> None:
    model = build(event, orders=orders)
    inputs = torch.rand(1, sum(model.inputs.widths)).double()
    for index, order in enumerate(model.orders):
        jacobian = torch.autograd.functional.jacobian(lambda x, i=index: model._outputs(x, i, None), inputs)
        seen = jacobian.view(model.observation.size, event.size, event.size, -1).ne(0).all(3).all(0)[order][:, order]
        assert torch.equal(seen, torch.ones_like(seen).tril(-1))


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("context_event", [None, Event((), Levels(3))])
def test_probabilities_sum_to_one(event: Event, context_event: Event | None) -> None:
    model = build(event, context_event=context_event)
    context = None if context_event is None else torch.tensor(2)
    assert model.log_prob(everything(event), context=context).exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("event", [*EVENTS, Event((3,), Real()), Event((3,), Columns((Real(), Levels(300), Binary())))])
def test_cached_samples_are_the_naive_ones(event: Event) -> None:
    model = build(event, context_event=Event((2,), Real()), components=2)
    context, seed = torch.randn(9, 2), torch.Generator().manual_seed
    cached = model.sample(9, context=context, generator=seed(1))
    naive = model.sample(9, context=context, generator=seed(1), naively=True)
    torch.testing.assert_close(cached, naive, rtol=1e-9, atol=1e-9)


def test_the_ensemble_averages_probabilities_of_the_first_orders() -> None:
    event = Event((5,), Binary())
    model, x = build(event, ensemble=2), everything(event)
    parameters = [model._conditionals(x.double(), None, order) for order in range(3)]
    each = torch.stack([model.observation.log_prob(own, x.double()).sum(1) for own in parameters])
    torch.testing.assert_close(model.log_prob(x), each[:2].exp().mean(0).log())
    assert not torch.allclose(each[0], each[1])


def test_training_takes_the_whole_list_in_turn_whatever_the_ensemble() -> None:
    model = build(Event((5,), Binary()), ensemble=1).train()
    loss, batch = model.phases()[0].loss, Batch(torch.eye(5).double())
    losses = [loss(batch).total.item() for _ in range(6)]
    assert losses[:3] == losses[3:]
    assert len(set(losses)) == 3
    assert losses[0] == pytest.approx(-model.log_prob(batch.x).mean().item())
    assert model.loss_differs is not None


def test_a_list_longer_than_training_is_not_kept() -> None:
    """Order-agnostic training: an order of its own for every step."""
    event = Event((6,), Binary())
    model, other = build(event, orders=10**9, ensemble=4), build(event, orders=10**9, ensemble=4, seed=1)
    assert model.orders.shape == (4, 6)
    drawn = torch.stack([model._drawn_order(index) for index in range(2000)])
    assert torch.equal(drawn[:4], model.orders)
    assert len(drawn.unique(dim=0)) > 600  # of 720
    assert not torch.equal(model.orders, other.orders)


def test_weights_load_into_an_ensemble_of_another_size() -> None:
    event = Event((5,), Binary())
    model, larger = build(event, orders=2), build(event, orders=2, ensemble=7)
    larger.load_state_dict(model.state_dict())
    x = everything(event)
    torch.testing.assert_close(larger.conditional_log_probs(x)[:2], model.conditional_log_probs(x))
    assert larger.log_prob(x).exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_with_several_orders_a_zero_is_told_from_what_is_not_yet_known() -> None:
    model = build(Event((2,), Binary()))
    x, forwards, backwards = torch.zeros(1, 2).double(), torch.tensor([0, 1]), torch.tensor([1, 0])
    after_a_zero, at_first = model.network(x, backwards)[..., 0], model.network(x, forwards)[..., 0]
    assert not torch.isclose(after_a_zero, at_first)


def test_one_order_is_the_model_of_the_first_paper() -> None:
    names = [name for name, _ in NADE(Event((7,), Binary()), units=4).network.named_parameters()]
    assert names == ["weight", "bias", "output.weight", "output.bias"]
    assert torch.equal(NADE(Event((2, 4), Binary())).orders, torch.arange(8)[None])


def test_initial_model_is_near_uniform() -> None:
    event = Event((1, 8, 8), Levels(17))
    x = torch.randint(17, (10, *event.shape))
    assert -NADE(event).eval().log_prob(x).mean().item() == pytest.approx(64 * math.log(17), rel=0.05)


def test_events_and_settings_that_cannot_be() -> None:
    event = Event((3,), Binary())
    with pytest.raises(InputError, match="components"):
        NADE(Event((3,), Real()), components=0)
    with pytest.raises(InputError, match="units"):
        NADE(event, units=0)
    with pytest.raises(InputError, match='"natural" or "random"'):
        NADE(event, order="sorted")
    with pytest.raises(InputError, match="natural order is one"):
        NADE(event, orders=2)
    with pytest.raises(InputError, match="natural order is one"):
        NADE(event, ensemble=2)
    with pytest.raises(InputError, match="ensemble"):
        NADE(event, ensemble=0)
    with pytest.raises(InputError, match="6,336,000 numbers"):
        NADE(Event((1, 12, 12), Categories(44_000)))
