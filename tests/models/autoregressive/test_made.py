"""MADE: causality by the Jacobian, exact probabilities, the average over masks, and samples against the density."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ancestral import registry
from ancestral.interface import Batch, Binary, Categories, Event, InputError, Levels, Real, Support
from ancestral.models.autoregressive.made import MADE
from ancestral.registry import supports

EVENTS = [Event((2, 3), Binary()), Event((4,), Levels(3)), Event((3,), Categories(4))]


def build(event: Event, **settings: Any) -> MADE:
    """A small one in double precision, far from uniform."""
    model = MADE(event, **{"hidden": [25, 20], "masks": 3, "order": "random", "direct": True, **settings})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model.double().eval()


def everything(event: Event) -> Tensor:
    return torch.tensor(list(itertools.product(range(event.values or 0), repeat=event.size))).view(-1, *event.shape)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("direct", [False, True])
def test_every_conditional_sees_earlier_dimensions_alone(event: Event, direct: bool) -> None:
    # Wide and shallow, so that some path leads from every earlier dimension.
    model = build(event, hidden=[200], direct=direct)
    inputs = torch.rand(1, sum(model.inputs.widths)).double()
    for mask, order in enumerate(model.orders):
        jacobian = torch.autograd.functional.jacobian(lambda x, m=mask: model.network(x, m), inputs)
        seen = jacobian.view(model.observation.size, event.size, event.size, -1).ne(0).all(3).all(0)[order][:, order]
        assert torch.equal(seen, torch.ones_like(seen).tril(-1))


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("context_event", [None, Event((), Levels(3))])
def test_probabilities_sum_to_one_and_samples_follow_them(event: Event, context_event: Event | None) -> None:
    model, n = build(event, context_event=context_event), 20000
    x, context = everything(event), None if context_event is None else torch.tensor(2)
    probabilities = model.log_prob(x, context=context).exp()
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-7)
    drawn = model.sample(n, context=context, generator=torch.Generator().manual_seed(0))
    found = (drawn.flatten(1)[:, None] == x.flatten(1)).all(2).double().mean(0)
    assert ((found - probabilities).abs() < 4.5 * (probabilities / n).sqrt() + 1 / n).all()


def test_the_ensemble_averages_probabilities() -> None:
    event = Event((5,), Binary())
    model = build(event)
    x = everything(event)
    each = torch.stack(
        [
            model.observation.log_prob(model._conditionals(x.double(), None, mask), x.double()).sum(1)
            for mask in range(3)
        ]
    )
    torch.testing.assert_close(model.log_prob(x), each.exp().mean(0).log())
    assert not torch.allclose(each[0], each[1])


def test_orders_and_connectivities() -> None:
    event = Event((2, 4), Binary())
    assert torch.equal(MADE(event, masks=2).orders, torch.arange(8).expand(2, 8))
    model = MADE(event, masks=2, order="random", seed=3)
    assert not torch.equal(model.orders[0], model.orders[1])
    assert torch.equal(model.orders, MADE(event, masks=2, order="random", seed=3).orders)
    masks = [model.network.layers[0].masked_weight(mask) != 0 for mask in range(2)]
    assert not torch.equal(*masks)


@pytest.mark.parametrize("order", ["natural", "random"])
def test_an_ensemble_may_be_smaller_or_larger_than_the_list_that_was_trained(order: str) -> None:
    event = Event((5,), Binary())
    model, x = build(event, order=order), everything(event)
    each = model.conditional_log_probs(x).flatten(2).sum(2)
    for ensemble in (2, 5):
        other = build(event, order=order, ensemble=ensemble)
        other.load_state_dict(model.state_dict())
        own = other.conditional_log_probs(x).flatten(2).sum(2)
        shared = min(3, ensemble)
        torch.testing.assert_close(own[:shared], each[:shared])
        torch.testing.assert_close(other.log_prob(x), own.exp().mean(0).log())
        assert own.exp().sum(1).allclose(torch.ones(ensemble).double())  # the masks that are new, too
        assert len(own[:, :1].unique()) == ensemble
        # Training takes the three of its list in turn all the same.
        loss = other.train().phases()[0].loss
        losses = [loss(Batch(x.double())).total.item() for _ in range(4)]
        assert losses[:3] == pytest.approx((-each.mean(1)).tolist())
        assert losses[3] == losses[0]


def test_training_cycles_through_the_masks_and_scoring_does_not() -> None:
    model = build(Event((5,), Binary()), context_event=Event((3,), Real())).train()
    loss, batch = model.phases()[0].loss, Batch(torch.ones(4, 5).double(), None, torch.randn(4, 3).double())
    losses = [loss(batch).total.item() for _ in range(6)]
    assert losses[:3] == losses[3:]
    assert len(set(losses)) == 3
    # Of the mixture, -ln of the mean probability is at most the mean of -ln.
    model.eval()
    assert -model.log_prob(batch.x, context=batch.context).mean().item() <= sum(losses[:3]) / 3
    assert int(model.updates) == 6


def test_the_place_in_the_list_of_masks_is_no_part_of_the_model() -> None:
    model, other = build(EVENTS[0]), MADE(EVENTS[0], hidden=[25, 20], masks=3, order="random", direct=True).double()
    assert set(model.training_state()) == {"updates"}
    state = model.state_dict()
    assert "updates" not in state
    other.load_state_dict(state | {"updates": torch.tensor(7)})  # as folders of the first versions hold it
    x = everything(EVENTS[0])
    assert torch.equal(other.eval().log_prob(x), model.log_prob(x))


def test_initial_model_is_near_uniform() -> None:
    event = Event((1, 8, 8), Levels(17))
    x = torch.randint(17, (10, *event.shape))
    assert -MADE(event).eval().log_prob(x).mean().item() == pytest.approx(64 * math.log(17), rel=0.05)


def test_events_and_settings_that_cannot_be() -> None:
    with pytest.raises(InputError, match="components"):
        MADE(Event((3,), Real()), components=0)
    with pytest.raises(InputError, match="order"):
        MADE(Event((3,), Binary()), order="sorted")
    with pytest.raises(InputError, match="ensemble"):
        MADE(Event((3,), Binary()), ensemble=0)
    with pytest.raises(InputError, match="masks"):
        MADE(Event((3,), Binary()), masks=0)


@pytest.mark.parametrize(("name", "support"), [("made", Categories(44_000)), ("gated_pixelcnn", Levels(44_000))])
def test_a_softmax_over_too_many_values_is_refused_in_a_line(name: str, support: Support) -> None:
    reason = supports(name, Event((1, 12, 12), support))
    assert reason is not None
    assert "6,336,000 numbers an observation" in reason
    with pytest.raises(InputError, match="does not support"):
        registry.build(name, Event((1, 12, 12), support))
    assert supports(name, Event((3, 32, 32), Levels(256))) is None
    # Of many levels MADE has no softmax.
    assert supports("made", Event((144,), Levels(44_000))) is None
