"""What an autoregressive model promises: conditionals that see earlier dimensions only, each normalised, and draws that
follow them, whether or not they come from cached features."""

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ancestral.checks.report import Property, Undecided, needs, require
from ancestral.checks.statistics import Z_LIMIT
from ancestral.checks.subject import Subject
from ancestral.interface import AnyLength, Autoregressive, Completer, Event, ExactDensity, InputError
from ancestral.layers.autoregressive import AutoregressiveModel

#: Rows that go through the model for one of these properties, and operations for them, at most.
MOST_ROWS, BUDGET = 8192, 2.0**35
#: Terms of about the same size of which a sum must consist to be tested as normal.
EFFECTIVE = 256


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
    tried = _tried(subject, 1, torch.arange(subject.event.size))
    # Row i is x with dimension tried[i] changed; no conditional before that dimension may notice.
    changed = x.flatten(1).repeat(len(tried), 1)
    changed[torch.arange(len(tried)), tried] = _another(subject.event, changed[torch.arange(len(tried)), tried], tried)
    before = model.conditional_log_probs(x, context=context).flatten(2)
    shared = None if context is None else context.expand(len(tried), *context.shape[1:])
    after = model.conditional_log_probs(changed.reshape(-1, *subject.event.shape), context=shared).flatten(2)
    moved = (after - before).abs() > 1e-9
    positions = model.orders.argsort(1).to(x.device)  # (orders, size): when each dimension is generated
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
    model = subject.far
    assert isinstance(model, Autoregressive)
    x, context = subject.observations(1, torch.float64), subject.contexts(1)
    for values, places in _discrete_places(subject.event):
        tried = _tried(subject, values, places)
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
            f"the conditional of {_where(subject.event, int(tried[worst]))} sums to {total:.6f} over its values: it"
            " depends on the very value that it predicts (a mask off by one: the first layer must use mask A, or a"
            " strict inequality), or it is not normalised (a softmax over the wrong axis)",
        )


def conditionals_do_not_hang_on_the_length(subject: Subject) -> None:
    model = subject.far
    assert isinstance(model, AnyLength)
    assert isinstance(model, Autoregressive)
    size, reach, context = subject.event.size, model.receptive_field, subject.contexts(1)
    x = subject.observations(2 + (1 + reach) // size, torch.float64).flatten()[None]

    def conditionals(x: Tensor) -> Tensor:
        longer = model.of_length(x.shape[1])
        assert isinstance(longer, Autoregressive)
        return longer.conditional_log_probs(x, context=context)[:, 0]

    whole = conditionals(x)
    require(
        torch.allclose(whole[:, :size], model.conditional_log_probs(x[:, :size], context=context)[:, 0], atol=1e-9),
        "the conditionals of the first steps differ with the length of a sequence: its parameters hang on it",
    )
    changed = torch.cat([_another(subject.event, x[:, 0], torch.tensor([0])), x[0, 1:]])[None]
    moved = ((conditionals(changed) - whole).abs() > 1e-9).nonzero()[:, 1]
    require(
        int(moved.max()) <= reach,
        f"the conditional of step {int(moved.max())} depends on step 0, but the receptive field is said to be {reach}",
    )
    later = conditionals(x[:, 1:])
    require(
        torch.allclose(whole[:, 1 + reach :], later[:, reach:], atol=1e-9),
        "the same values within reach, a step later, give other conditionals: these hang on the place in the sequence",
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


def cached_draws_are_the_naive_ones(subject: Subject) -> None:
    model = subject.far
    assert isinstance(model, Autoregressive)
    evaluations = 3 * subject.event.size  # of the whole network, for each row
    n = subject.rows(16, least=2, budget=2.0**33 / evaluations)
    if n * evaluations * subject.cost > 2.0**36:
        raise Undecided(f"{subject.event.size} evaluations of {subject.cost:.0e} operations for a row are too many")
    context, seed = subject.contexts(n, torch.float64), subject.generator().initial_seed()

    def same() -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    for temperature in (1.0, 0.6):
        try:
            cached, naive = (
                model.sample(n, context=context, generator=same(), temperature=temperature, naively=naively)
                for naively in (False, True)
            )
        except InputError:  # a conditional that has no other temperature
            require(temperature != 1 and subject.event.values is None, f"sample refuses a temperature of {temperature}")
            continue
        _require_same(subject, cached, naive, f"sample at temperature {temperature}")
    given = model._to_core(subject.observations(n, torch.float64))
    known, context = _known(subject, n), None if context is None else model._cast_context(context)
    with model._public(same()):
        cached = model._draw(n, context, given=given, known=known)
    with model._public(same()):
        naive = model._draw(n, context, given=given, known=known, naively=True)
    _require_same(subject, cached, naive, "complete")


def cached_parameters_are_those_of_one_pass(subject: Subject) -> None:
    model, n = subject.model, subject.rows(8)
    assert isinstance(model, AutoregressiveModel)
    context = subject.contexts(n)
    x = model._to_core(model.sample(n, context=context, generator=subject.generator()))
    context = None if context is None else model._cast_context(context)
    for order, path in enumerate(model.orders.tolist()):
        expected = model._conditionals(x, context, order).flatten(2)
        steps, along = model._stepwise(n, context, order), torch.tensor(path)
        for step, place in enumerate(steps.runs(len(path))):
            dimensions = along[place]
            first = int(dimensions.flatten()[0])
            used = model.observation.at(first).size
            found, own = steps.parameters(step)[:, :used], expected[:, :used, dimensions]
            # Sums of other lengths and in another order round differently.
            require(
                found.shape == own.shape and torch.allclose(found, own, rtol=1e-4, atol=1e-4),
                f"step {step} of order {order}, {_where(subject.event, first)}: the cached parameters are"
                f" {_show(found)}, those of one pass over the same values {_show(own)}: rounding"
                " that grows from step to step, or a feature that is cached wrongly",
            )
            steps.write(step, x.flatten(1)[:, dimensions])


def completions_keep_what_is_known(subject: Subject) -> None:
    model, n = subject.far, subject.rows(512)
    assert isinstance(model, Completer)
    context, known = subject.contexts(n, torch.float64), _known(subject, n)
    filled, seed = [], subject.generator().initial_seed()
    for _ in range(2):
        x, same = subject.observations(n, torch.float64), torch.Generator().manual_seed(seed)
        filled.append(model.complete(x.where(known, math.nan), known, context=context, generator=same))
        model.event.check(filled[-1], "a completion")
        require(torch.equal(filled[-1][known].double(), x[known]), "a completion changes what is known")
    # Whether the completions of other densities follow them is decided elsewhere: one that factorises ignores them.
    other = isinstance(model, ExactDensity) and not isinstance(model, Autoregressive)
    require(
        other or subject.event.size == 1 or bool((filled[0] != filled[1])[~known].any()),
        "a completion is the same whatever is known: it is drawn without regard to what is given",
    )


def draws_follow_their_conditionals(subject: Subject) -> None:
    """What is drawn less what its conditional expects has no correlation with anything that came before it."""
    model = subject.far
    assert isinstance(model, AutoregressiveModel)
    n = subject.rows(min(4096, 2**18 // subject.event.size), budget=2.0**34)
    if n < 64:
        raise Undecided(f"{subject.cost:.0e} operations for a row are too many for a statistical test")
    context = subject.contexts(n, torch.float64)
    given, known = model._to_core(subject.observations(n, torch.float64)), _known(subject, n)
    x = model._to_core(model.sample(n, context=context, generator=subject.generator()))
    context = None if context is None else model._cast_context(context)
    with model._public(subject.generator()):
        completed = model._draw(n, context, given=given, known=known)
    for name, values, free in (("sample", x, torch.ones_like(known)), ("complete", completed, ~known)):
        for order, residuals, variance, other in _residuals(model, values, free, context):
            z, step = _largest(subject, residuals, variance, other, values.flatten(1)[:, model.orders[order]])
            require(
                z <= Z_LIMIT,
                f"what {name} draws differs from the conditionals of order {order}, from"
                f" {_where(subject.event, int(model.orders[order, step]))} on, by {z:.1f} standard errors: another"
                " temperature, orders that are not drawn alike, a value written to a wrong place, or a past other than"
                " that of the density",
            )


def cold_draws_are_the_likeliest(subject: Subject) -> None:
    model, values, n = subject.far, subject.event.values, 2
    assert isinstance(model, Autoregressive)
    assert values is not None
    context = subject.contexts(1, torch.float64)
    shared = None if context is None else context[0]
    cold = model.sample(n, context=shared, generator=subject.generator(), temperature=1e-6).flatten(1)
    tried = _tried(subject, n * values, torch.arange(subject.event.size))
    # Row (k, i, v) is cold sample k with dimension tried[i] set to v.
    rows = cold[:, None, None].repeat(1, len(tried), values, 1)
    rows[:, torch.arange(len(tried)), :, tried] = torch.arange(values).to(cold)
    found = model.conditional_log_probs(rows.reshape(-1, *subject.event.shape), context=shared).flatten(2)
    found = found.unflatten(1, (n, len(tried), values))[:, :, torch.arange(len(tried)), :, tried]
    own = found.gather(3, cold[:, tried].T.long()[:, None, :, None].expand(-1, found.shape[1], -1, 1))[..., 0]
    # Each sample comes from one of the orders.
    lacks = (found.amax(3) - own).amax(0).amin(0)
    require(
        float(lacks.max()) < 1e-3,
        "at a temperature of 1e-6 every value must be the likeliest of its conditional; one is"
        f" {float(lacks.max()):.3f} nats below it: the temperature is not, or not rightly, used",
    )


def _residuals(
    model: AutoregressiveModel, x: Tensor, free: Tensor, context: Tensor | None
) -> Iterator[tuple[int, Tensor, Tensor, Tensor]]:
    """For each order: quantities (kinds, n, size), in that order, of mean 0 given what came before each dimension;
    their variances where these are known, otherwise 0; and the numbers that they may be multiplied with besides
    functions of the past.

    Of discrete data the indicator of a value less its probability, of continuous ones the score and Stein's identity.
    A sample does not tell its order: each is weighted by its posterior probability, which keeps the means at 0.
    """
    each = [model._conditionals(x, context, order) for order in range(len(model.orders))]
    log_probs = torch.stack([model.observation.log_prob(parameters, x) for parameters in each])
    weights = torch.where(free, log_probs, 0.0).flatten(2).sum(2).softmax(0)
    counts = (
        torch.tensor([support.values or 0 for support in model.event.supports]).view(model.event.shape).to(x.device)
    )
    continuous = counts == 0
    for order, parameters in enumerate(each):
        other = x.roll(1, 0)  # independent of this row, and a likely value
        log_other = model.observation.log_prob(parameters, other)
        probability, place = log_other.exp(), 2 * other / (counts - 1).clamp(min=1) - 1
        difference = (x == other).to(log_other) - probability
        variance = probability * (1 - probability)
        kinds, variances = [difference, difference * place], [variance, variance * place.square()]
        if model.event.densities:
            point = x.clone().requires_grad_()
            (score,) = torch.autograd.grad(model.observation.log_prob(parameters, point).sum(), point)
            centred = x - model.observation.mean(parameters)
            kinds = [torch.where(continuous, *pair) for pair in zip((score, score * centred + 1), kinds, strict=True)]
            variances = [values.masked_fill(continuous, 0.0) for values in variances]
            log_other = log_other.masked_fill(continuous, 0.0)
        path = model.orders[order]
        factor = free * weights[order].view(-1, *[1] * (x.dim() - 1))
        residuals, expected = torch.stack(kinds) * factor, torch.stack(variances) * factor.square()
        residuals, expected = residuals.flatten(2)[:, :, path], expected.flatten(2)[:, :, path]
        yield order, residuals, expected, log_other.flatten(1)[:, path].clamp(min=-8)


def _largest(subject: Subject, residuals: Tensor, variances: Tensor, other: Tensor, past: Tensor) -> tuple[float, int]:
    """The largest z-score of residuals (kinds, n, size) times features of the past, of one step or of all together, and
    the step where it is."""
    y = past.to(residuals)
    y = (y - y.mean()) / y.std().clamp(min=1e-6)
    lags = {1, 2, 3, subject.event.shape[0] * subject.event.shape[-1] if len(subject.event.shape) == 3 else 4}
    features = [torch.ones_like(y), other - other.mean()]
    features += [torch.cat([torch.zeros_like(y[:, :lag]), y[:, :-lag]], 1) for lag in lags if lag < y.shape[1]]
    for _ in range(2):
        projected = y * torch.randn(y.shape[1]).to(y)
        features.append(torch.cos(projected.cumsum(1) - projected + torch.rand(()).to(y)))
    worst = (0.0, 0)
    for (kind, expected), feature in itertools.product(zip(residuals, variances, strict=True), features):
        products = kind * feature
        # A value that is nearly sure differs by next to nothing in every row, unless a rare one falls.
        totals, squares = products.sum(0), products.square().sum(0).maximum((expected * feature.square()).sum(0))
        # Of how many terms it effectively consists: a sum of a few rare ones is not normal.
        effective = squares.square() / products.pow(4).sum(0).clamp(min=1e-300)
        z = torch.where(effective > EFFECTIVE, totals.abs() / squares.clamp(min=1e-300).sqrt(), 0.0)
        worst = max(worst, (float(z.max()), int(z.argmax())))
        # Terms that follow one another are uncorrelated, unless their weights see what comes later.
        variance = torch.max(squares.sum(), products.sum(1).square().sum())
        if float(squares.sum().square() / products.pow(4).sum()) > EFFECTIVE:
            worst = max(worst, (float(totals.sum().abs() / variance.sqrt()), 0))
    return worst


def _known(subject: Subject, n: int) -> Tensor:
    """A mask of about half the dimensions of `n` observations."""
    shape, device = (n, *subject.event.shape), subject.original.device
    return (torch.rand(shape, generator=subject.generator()) < 0.5).to(device)


def _require_same(subject: Subject, cached: Tensor, naive: Tensor, what: str) -> None:
    model = subject.far
    assert isinstance(model, Autoregressive)
    # The values of a continuous event differ by rounding.
    wrong = ((cached - naive).abs() > 1e-7 * (1 + naive.abs())).flatten(1)
    first = wrong.any(0).nonzero()[:1]
    where = "" if len(first) == 0 else _where(subject.event, int(first))
    if len(model.orders) == 1 and len(first):
        path = model.orders[0]
        where = (
            f"{_where(subject.event, int(path[wrong[:, path].any(0).nonzero()[0]]))}, the first that is generated so"
        )
    require(
        not bool(wrong.any()),
        f"{what} from cached features is not what the whole network gives for the same uniform numbers, at {where}: a"
        " feature written to a wrong place, kept when it should be computed anew, or without the context",
    )


def _tried(subject: Subject, rows: int, places: Tensor) -> Tensor:
    """Those of the dimensions to change, at `rows` rows each: all, or as many as are affordable, spread evenly."""
    count = min(len(places), max(1, subject.rows(MOST_ROWS, least=16, budget=BUDGET) // rows))
    return places[torch.linspace(0, len(places) - 1, count).round().long().unique()]


def _discrete_places(event: Event) -> list[tuple[int, Tensor]]:
    """How many values the discrete dimensions have, and which of them have so many."""
    counts = torch.tensor([support.values or 0 for support in event.supports])
    return [(count, (counts == count).nonzero()[:, 0]) for count in counts.unique().tolist() if count]


def _another(event: Event, x: Tensor, dimensions: Tensor) -> Tensor:
    """Other values of these dimensions, (dimensions,)."""
    counts = torch.tensor([support.values or 0 for support in event.supports])[dimensions].to(x)
    return torch.where(counts == 0, x + 1, (x + 1) % counts.clamp(min=1))


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


def _show(parameters: Tensor) -> str:
    return str([round(float(value), 4) for value in parameters[0].flatten()[:4]])


def _discrete(subject: Subject) -> str | None:
    if subject.event.densities == subject.event.size:
        return "its data are continuous"
    return needs(Autoregressive)(subject)


def _sharpened(subject: Subject) -> str | None:
    values = subject.event.values
    return needs(Autoregressive)(subject) or ("its data are not discrete of one kind" if values is None else None)


PROPERTIES = (
    Property("orders are permutations", needs(Autoregressive), orders_are_permutations),
    Property("a conditional sees earlier dimensions alone", needs(Autoregressive), conditionals_see_the_past_alone),
    Property("each conditional is normalised", _discrete, conditionals_are_normalised),
    Property("orders average probabilities", needs(Autoregressive), likelihood_averages_probabilities),
    Property("cached draws are the naive ones", needs(Autoregressive), cached_draws_are_the_naive_ones),
    Property(
        "cached parameters are those of one pass", needs(AutoregressiveModel), cached_parameters_are_those_of_one_pass
    ),
    Property(
        "draws follow their conditionals",
        needs(AutoregressiveModel),
        draws_follow_their_conditionals,
        by_chance=True,
    ),
    Property("cold draws are the likeliest values", _sharpened, cold_draws_are_the_likeliest),
    Property("a completion keeps what is known", needs(Completer), completions_keep_what_is_known),
)

#: Of models of sequences of any length.
LENGTHS = (
    Property(
        "conditionals do not hang on the length",
        needs(AnyLength, Autoregressive),
        conditionals_do_not_hang_on_the_length,
    ),
)
