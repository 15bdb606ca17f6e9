"""What is missing of rows, filled in by a model."""

from typing import Literal, TypeAlias

import torch
from jaxtyping import Num
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
    generator: torch.Generator | None = None,
) -> Num[Tensor, "batch *event"]:
    """`x` with what is NaN filled in, in data space.

    A draw of an autoregressive model is one of `draws` completions, which do not look ahead to what is observed later
    in an order: each is chosen with a probability in proportion to p(x) over that of having been drawn (importance
    resampling, Rubin 1987), which nears p(missing | observed) as their number grows. Means are over `draws`
    completions, weighted likewise, and rounded to the support.
    """
    if draws < 1:
        raise InputError(f"draws must be at least 1, got {draws}")
    generator = generator or torch.Generator().manual_seed(0)
    known, rows = ~x.isnan(), x.clone()
    holes = (~known).flatten(1).any(1).nonzero()[:, 0]
    many = draws if how == "mean" or isinstance(model, Autoregressive) else 1
    for some in holes.split(max(1, _AT_ONCE // many)):
        given, seen = x[some], known[some]
        at = None if context is None else context[some]
        candidates = model.complete(
            repeated(given, many), repeated(seen, many), context=repeated(at, many), generator=generator
        )
        log_weights = given.new_zeros(many, len(some), dtype=torch.float64)
        if isinstance(model, Autoregressive):
            log_weights = _log_weights(model, candidates, repeated(seen, many), repeated(at, many)).view(many, -1)
        candidates = candidates.unflatten(0, (many, -1))
        if how == "mean":
            filling = _mean(model, candidates, log_weights.softmax(0))
        else:
            chosen = torch.multinomial(log_weights.softmax(0).T.cpu(), 1, generator=generator)[:, 0]
            filling = candidates[chosen, torch.arange(len(some))]
        rows[some] = torch.where(seen, given, filling.to(given))
    return rows


def in_words(model: Completer, how: Filling, draws: int) -> str:
    """How a model fills in what is missing."""
    what = "a draw of p(missing | observed)" if how == "draw" else f"means of {draws} draws of p(missing | observed)"
    if isinstance(model, Autoregressive):
        return f"{what}, by importance resampling of {draws} completions in the model's orders"
    return f"{what}, {model.completion}"


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
