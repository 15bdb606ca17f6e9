"""What an autoregressive model promises: conditionals that see earlier dimensions only, each normalised."""

import math

import torch
from torch import Tensor

from ancestral.checks.report import Property, needs, require
from ancestral.checks.subject import Subject, number_of_values
from ancestral.interface import Autoregressive, Event

#: Rows that go through the model for one of these properties, and operations for them, at most.
MOST_ROWS, BUDGET = 8192, 2.0**35


def orders_are_permutations(subject: Subject) -> None:
    model = subject.model
    assert isinstance(model, Autoregressive)
    orders = model.orders
    expected = torch.arange(subject.event.size, device=orders.device)
    for order in orders:
        require(
            torch.equal(order.sort().values, expected),
            f"each row of orders must be a permutation of 0 .. {subject.event.size - 1}, got {order.tolist()[:20]}",
        )


def conditionals_see_the_past_alone(subject: Subject) -> None:
    model = subject.far
    assert isinstance(model, Autoregressive)
    x, context = subject.observations(1, torch.float64), subject.contexts(1)
    tried = _tried(subject, 1)
    # Row i is x with dimension tried[i] changed; no conditional before that dimension may notice.
    changed = x.flatten(1).repeat(len(tried), 1)
    changed[torch.arange(len(tried)), tried] = _another(subject.event, changed[torch.arange(len(tried)), tried])
    before = model.conditional_log_probs(x, context=context).flatten(2)
    shared = None if context is None else context.expand(len(tried), *context.shape[1:])
    after = model.conditional_log_probs(changed.reshape(-1, *subject.event.shape), context=shared).flatten(2)
    moved = (after - before).abs() > 1e-9
    positions = model.orders.argsort(1)  # (orders, size): when each dimension is generated
    later = positions[:, tried, None] > positions[:, None, :]
    wrong = moved & later
    if bool(wrong.any()):
        wrong = wrong.cpu()
        order, row, dimension = (int(i) for i in wrong.nonzero()[0])
        require(
            False,
            f"the conditional of {_where(subject.event, dimension)} depends on"
            f" {_where(subject.event, int(tried[row]))}, which order {order} generates later ({int(wrong.sum())} such"
            f" dependences): {_cause(subject.event, wrong, tried)}",
        )


def conditionals_are_normalised(subject: Subject) -> None:
    model, values = subject.far, number_of_values(subject.event)
    assert isinstance(model, Autoregressive)
    assert values is not None
    x, context = subject.observations(1, torch.float64), subject.contexts(1)
    tried = _tried(subject, values)
    # Row (i, v) is x with dimension tried[i] set to v: its own conditional must sum to 1 over v.
    settings = x.flatten(1).repeat(len(tried) * values, 1).unflatten(0, (len(tried), values))
    settings[torch.arange(len(tried)), :, tried] = torch.arange(values, dtype=x.dtype, device=x.device)
    flat = settings.flatten(0, 1).reshape(-1, *subject.event.shape)
    shared = None if context is None else context.expand(len(flat), *context.shape[1:])
    found = model.conditional_log_probs(flat, context=shared).flatten(2).unflatten(1, (len(tried), values))
    own = found[:, torch.arange(len(tried)), :, tried]  # (tried, orders, values)
    totals = own.logsumexp(-1).exp()
    worst = int((totals - 1).abs().amax(1).argmax())
    total = float(totals[worst][(totals[worst] - 1).abs().argmax()])
    require(
        abs(total - 1) <= 1e-5,
        f"the conditional of {_where(subject.event, int(tried[worst]))} sums to {total:.6f} over its values: it depends"
        " on the very value that it predicts (a mask off by one: the first layer must use mask A, or a strict"
        " inequality), or it is not normalised (a softmax over the wrong axis)",
    )


def likelihood_averages_probabilities(subject: Subject) -> None:
    model, n = subject.far, subject.rows(16)
    assert isinstance(model, Autoregressive)
    x, context = subject.observations(n, torch.float64), subject.contexts(n)
    per_order = model.conditional_log_probs(x, context=context).flatten(2).sum(2)
    want = per_order.logsumexp(0) - math.log(len(per_order))
    found = model.log_prob(x, context=context)
    require(
        torch.allclose(found, want, rtol=1e-7, atol=1e-7),
        "log_prob is not the logarithm of the mean over orders of the product of conditionals: it is"
        f" {float(found[0]):.6f} instead of {float(want[0]):.6f} (logits or log-probabilities averaged over orders"
        " where probabilities belong)",
    )


def _tried(subject: Subject, rows: int) -> Tensor:
    """The dimensions to change, at `rows` rows each: all of them, or as many as are affordable, spread evenly."""
    count = min(subject.event.size, max(1, subject.rows(MOST_ROWS, least=16, budget=BUDGET) // rows))
    return torch.linspace(0, subject.event.size - 1, count).round().long().unique()


def _another(event: Event, x: Tensor) -> Tensor:
    values = number_of_values(event)
    return x + 1 if values is None else (x + 1) % values


def _where(event: Event, dimension: int) -> str:
    index = tuple(int(i) for i in torch.unravel_index(torch.tensor(dimension), event.shape))
    if len(index) == 3:
        return f"pixel (row {index[1]}, column {index[2]}), channel {index[0]}"
    return f"dimension {index[0] if len(index) == 1 else index}"


def _cause(event: Event, wrong: Tensor, tried: Tensor) -> str:
    if len(event.shape) == 3:
        plane = event.shape[1] * event.shape[2]
        _, rows, dimensions = wrong.nonzero(as_tuple=True)
        if bool((tried[rows] % plane == dimensions % plane).all()):
            return "all of them within one pixel, so the colour channels are in the wrong order"
    return "a mask is off by one, or an output is shifted against its input"


def _discrete(subject: Subject) -> str | None:
    values = number_of_values(subject.event)
    return needs(Autoregressive)(subject) or ("its data are continuous" if values is None else None)


PROPERTIES = (
    Property("orders are permutations", needs(Autoregressive), orders_are_permutations),
    Property("a conditional sees earlier dimensions alone", needs(Autoregressive), conditionals_see_the_past_alone),
    Property("each conditional is normalised", _discrete, conditionals_are_normalised),
    Property("orders average probabilities", needs(Autoregressive), likelihood_averages_probabilities),
)
