"""What is missing of rows, filled in by a model."""

from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Num
from torch import Tensor

from ancestral.interface import Autoregressive, Categories, Completer, InputError, by_kind, repeated

#: A draw from p(missing | observed), or the mean of many; of categories the most frequent.
Filling: TypeAlias = Literal["draw", "mean"]
#: Completions that go through a model at once: bounds the memory.
_AT_ONCE = 4096
#: Completions of a row by an autoregressive model of which one is drawn, or means are taken.
DRAWS = 100


@torch.no_grad()
def filled_in(
    model: Completer,
    x: Num[Tensor, "batch *event"],
    *,
    how: Filling = "draw",
    draws: int = DRAWS,
    context: Tensor | None = None,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> Num[Tensor, "batch *event"]:
    """`x` with what is NaN filled in, in data space.

    A draw of an autoregressive model is one of `draws` completions, which do not look ahead to what is observed later
    in an order: each is chosen with a probability in proportion to p(x) over that of having been drawn (importance
    resampling, Rubin 1987), which nears p(missing | observed) as their number grows. Where nothing observed comes
    later (`needs_no_look_ahead`) one completion is exact, and more are not drawn. Means are over `draws` completions,
    weighted likewise, and rounded to the support.

    A model that `predicts` fills in its one prediction, whatever is asked for.

    Below a `temperature` of 1 the one completion of an autoregressive model is sharpened, as `sample`.
    """
    if draws < 1:
        raise InputError(f"draws must be at least 1, got {draws}")
    if temperature != 1 and (not isinstance(model, Autoregressive) or how == "mean" or draws > 1):
        raise InputError(
            f"temperature={temperature} sharpens single draws (draws=1) of autoregressive models; leave it out"
        )
    if model.predicts:
        draws = 1
    generator = generator or torch.Generator().manual_seed(0)
    known, rows = ~x.isnan(), x.clone()
    holes = (~known).flatten(1).any(1).nonzero()[:, 0]
    weighed = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    if isinstance(model, Autoregressive) and draws > 1:
        weighed = ~needs_no_look_ahead(model, known)
    for weigh in (False, True):
        many = draws if how == "mean" or weigh else 1
        part = holes[weighed[holes] == weigh]
        for some in part.split(max(1, _AT_ONCE // many)) if len(part) else ():
            given, seen = x[some], known[some]
            at = None if context is None else context[some]
            candidates = _completed(
                model, repeated(given, many), repeated(seen, many), repeated(at, many), temperature, generator
            )
            log_weights = given.new_zeros(many, len(some), dtype=torch.float64)
            if weigh:
                assert isinstance(model, Autoregressive)
                log_weights = _log_weights(model, candidates, repeated(seen, many), repeated(at, many)).view(many, -1)
            candidates = candidates.unflatten(0, (many, -1))
            if how == "mean":
                filling = _mean(model, candidates, log_weights.softmax(0))
            else:
                chosen = torch.multinomial(log_weights.softmax(0).T.cpu(), 1, generator=generator)[:, 0]
                filling = candidates[chosen, torch.arange(len(some))]
            rows[some] = torch.where(seen, given, filling.to(given))
    return rows


def needs_no_look_ahead(model: Autoregressive, known: Bool[Tensor, "batch *event"]) -> Bool[Tensor, " batch"]:
    """Of which rows a completion follows p(unknown | known) as it is, (batch,).

    Those whose known dimensions come before all unknown ones in the model's one order; of a model with several orders,
    which what is known makes more or less likely, those of which all is known or nothing.
    """
    flat = known.flatten(1)
    if len(model.orders) == 1:
        flat = flat[:, model.orders[0].to(flat.device)]
        return ~(~flat[:, :-1] & flat[:, 1:]).any(1)
    return flat.all(1) | ~flat.any(1)


def in_words(
    model: Completer,
    how: Filling,
    draws: int,
    known: Bool[Tensor, "batch *event"],
    temperature: float = 1.0,
) -> str:
    """How a model fills in what is missing of rows, of which so much is `known`."""
    what = "a draw of p(missing | observed)" if how == "draw" else f"means of {draws} draws of p(missing | observed)"
    if model.predicts:
        return f"no draw of p(missing | observed): filled in {model.completion}"
    if not isinstance(model, Autoregressive):
        return f"{what}, {model.completion}"
    no_look_ahead = bool(needs_no_look_ahead(model, known).all())
    if no_look_ahead and temperature == 1:
        return f"{what}, exactly: what is observed comes first in the model's order"
    if draws > 1:
        return f"{what}, by importance resampling of {draws} completions in the model's orders"
    sharpened = "" if temperature == 1 else f", sharpened by the temperature {temperature:g}"
    ahead = "" if no_look_ahead else " and does not look ahead to the rest"
    return (
        f"a draw in the model's order{sharpened}, which follows what is observed before it{ahead}:"
        " not an exact draw of p(missing | observed)"
    )


def _completed(
    model: Completer,
    x: Tensor,
    known: Tensor,
    context: Tensor | None,
    temperature: float,
    generator: torch.Generator,
) -> Tensor:
    if isinstance(model, Autoregressive):
        return model.complete(x, known, context=context, temperature=temperature, generator=generator)
    return model.complete(x, known, context=context, generator=generator)


def _log_weights(model: Autoregressive, x: Tensor, seen: Tensor, context: Tensor | None) -> Tensor:
    """ln p(x) less ln of the probability that the walk along an order drew what was not seen, (batch,) float64."""
    each = model.conditional_log_probs(x, context=context).double().flatten(2)  # (orders, batch, dimensions)
    drawn = torch.where(seen.flatten(1), 0.0, each).sum(2).logsumexp(0)
    return each.sum(2).logsumexp(0) - drawn


def _mean(model: Completer, candidates: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean of (draws, batch, *event), of categories the value of most weight, within the support."""

    def of_kind(kind: object, values: Tensor) -> Tensor:
        shares = weights.view(*weights.shape, *[1] * (values.dim() - 2))
        if not isinstance(kind, Categories):
            return (values.double() * shares).sum(0)
        counts = torch.stack([((values == value) * shares).sum(0) for value in range(kind.categories)])
        return counts.argmax(0).double()

    mean = by_kind(model.event.support, of_kind, candidates)
    return mean if isinstance(model.event.support, Categories) else model.event.support.project(mean)
