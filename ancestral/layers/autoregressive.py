"""The one mechanism of autoregressive models: from its conditionals to its density, its samples and its completions.

A model writes the parameters of all conditionals in one pass. One walk along an order then samples, completes, and
sharpens by a temperature: at each step the parameters of one dimension, a value by the inverse of its distribution
function at a uniform number, and the value told to whatever computes the parameters. That is a `Stepwise`: the whole
network again for every step, which is the oracle, or a model's own, which computes each feature once.
"""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int64, Num
from torch import Tensor

from ancestral.distributions import Observation
from ancestral.interface import Autoregressive, Binary, Categories, Event, Levels

#: Multiply-adds of one product from which a second thread gains more than waking it costs; on a busy machine, waiting
#: for it costs a thousand times more than the product.
_WORTH_THREADS = 2**20
#: Parameters of conditionals that are computed at once where no gradients are: bounds the memory of a score.
_AT_ONCE = 2**24
#: Outputs for one observation beyond which a model is refused: a batch of them would fill a machine.
MOST_OUTPUTS = 1_000_000


class Stepwise(ABC):
    """The conditionals of n rows, one dimension after another in an order.

    For each step from 0 on, `parameters` is called once and then `write` once. Layers keep what they need of the past
    in caches of their own: a masked layer its units, a convolution the features of rows and pixels that are done, a
    recurrent layer its state, a dilated one a queue.

    A step is one dimension. Where dimensions that follow one another are independent given those before them, a step
    may be a run of them: then `widths` says how many each step has, parameters are (n, size, width) and values (n,
    width).
    """

    #: How many dimensions each step has; None where it is one, without an axis for it.
    widths: Sequence[int] | None = None

    #: Multiply-adds of the largest matrix product of one step: where they are few, steps run on a single thread.
    work: float = math.inf

    @abstractmethod
    def parameters(self, step: int) -> Float[Tensor, "n size *width"]:
        """The observation's parameters of the dimension that comes at `step`, from the values written before."""

    @abstractmethod
    def write(self, step: int, values: Num[Tensor, "n *width"]) -> None:
        """The values of the dimension that comes at `step`, as a core sees data."""

    def runs(self, size: int) -> Sequence[int | slice]:
        """Where in an order of `size` dimensions those of each step are."""
        if self.widths is None:
            return range(size)
        ends = list(itertools.accumulate(self.widths))
        return [slice(end - width, end) for end, width in zip(ends, self.widths, strict=True)]

    @contextmanager
    def walked(self) -> Iterator[None]:
        """What to take the steps in: on one thread where they are small, and without gradients.

        Inference mode saves a tenth of what the many small calls cost. Tensors made outside can be trained on.
        """
        with torch.inference_mode(), threads(1 if self.work < _WORTH_THREADS else torch.get_num_threads()):
            yield


class AutoregressiveModel(Autoregressive):
    """An autoregressive model by its conditionals: the density, samples and completions follow from them.

    Write `observation` (what one conditional is), `orders`, and `_conditionals`; then, for samplers that compute each
    feature once, `_stepwise`. The fewest lines are those of a fully visible sigmoid belief network (Frey et al. 1996):

        >>> class SigmoidBeliefNetwork(AutoregressiveModel):
        ...     def __init__(self, event, *, context_event=None):
        ...         super().__init__(event, context_event=context_event)
        ...         self.observation = Bernoulli()
        ...         self.weight = nn.Parameter(torch.zeros(event.size, event.size))
        ...
        ...     @property
        ...     def orders(self):
        ...         return torch.arange(self.event.size)[None]
        ...
        ...     def _conditionals(self, x, context, order):
        ...         return F.linear(x.flatten(1), self.weight.tril(-1)).view(len(x), 1, *self.event.shape)
        ...
        ...     def phases(self):
        ...         return maximum_likelihood(self)
        >>> model = SigmoidBeliefNetwork(Event((4,), Binary()))
        >>> model.sample(3).shape
        torch.Size([3, 4])
        >>> model.log_prob(torch.ones(1, 4)).exp()
        tensor([0.0625], grad_fn=<ExpBackward0>)
    """

    #: The distribution of one dimension, given its parameters.
    observation: Observation

    @abstractmethod
    def _conditionals(self, x: Tensor, context: Tensor | None, order: int) -> Tensor:
        """The parameters of every conditional in one order, a row of `orders`: (batch, size, *event)."""

    def _stepwise(self, n: int, context: Tensor | None, order: int) -> Stepwise:
        """The same conditionals of `n` rows step by step; by default the whole network for each."""
        return _WholeNetwork(self, n, context, order)

    def _conditional_log_probs(self, x: Tensor, context: Tensor | None) -> Tensor:
        # Without gradients the memory does not grow with the rows.
        most = len(x) if torch.is_grad_enabled() else _AT_ONCE // (self.event.size * self.observation.size)
        at_once = max(1, most)
        rows = [slice(start, start + at_once) for start in range(0, max(1, len(x)), at_once)]
        return torch.cat([self._log_probs_of_rows(x[r], None if context is None else context[r]) for r in rows], dim=1)

    def _log_probs_of_rows(self, x: Tensor, context: Tensor | None) -> Tensor:
        orders = range(len(self.orders))
        return torch.stack([self.observation.log_prob(self._conditionals(x, context, order), x) for order in orders])

    @torch.no_grad()
    def _draw(
        self,
        n: int,
        context: Tensor | None,
        *,
        given: Tensor | None = None,
        known: Tensor | None = None,
        temperature: float = 1.0,
        naively: bool = False,
    ) -> Tensor:
        orders, size = self.orders.to(self.device), self.event.size
        chosen = self._chosen_orders(n)
        u = torch.rand(n, size, dtype=self.dtype, device=self.device)
        x = _values(self, n).flatten(1)
        for order in chosen.unique().tolist():
            rows = (chosen == order).nonzero()[:, 0]
            places = rows[:, None], orders[order]
            theirs = None if context is None else context[rows]
            steps = (len(rows), theirs, order)
            stepwise = _WholeNetwork(self, *steps) if naively else self._stepwise(*steps)
            fixed = None
            if given is not None and known is not None:
                fixed = known.flatten(1)[places].T, given.flatten(1)[places].T
            with stepwise.walked():
                x[places] = self._walk(stepwise, orders[order].tolist(), u[places], x.dtype, temperature, fixed)
        return x.unflatten(1, self.event.shape)

    def _chosen_orders(self, n: int) -> Int64[Tensor, " n"]:
        """The order in which each of `n` observations is drawn: any with the same probability."""
        if len(self.orders) == 1:
            return torch.zeros(n, dtype=torch.int64, device=self.device)
        return torch.randint(len(self.orders), (n,), device=self.device)

    def _walk(
        self,
        stepwise: Stepwise,
        path: Sequence[int],
        u: Float[Tensor, "n size"],
        dtype: torch.dtype,
        temperature: float,
        fixed: tuple[Tensor, Tensor] | None,
    ) -> Num[Tensor, "n size"]:
        """The values of the dimensions of `path`, step by step, by the conditional of each at `u`.

        `fixed` has which dimensions are known, (size, n), and their values there. The draws then follow these, and do
        not look ahead to them.
        """
        values: list[Tensor] = []
        single, uniforms = stepwise.widths is None, u.T.contiguous()

        def at(rows: Tensor, place: int | slice) -> Tensor:
            return rows[place] if single else rows[place].mT

        for step, place in enumerate(stepwise.runs(len(path))):
            # Dimensions of one step are of one kind.
            observation = self.observation.at(path[place] if isinstance(place, int) else path[place][0])
            parameters = stepwise.parameters(step)[:, : observation.size]
            value = observation.from_uniform(parameters, at(uniforms, place), temperature).to(dtype)
            if fixed is not None:
                known, given = fixed
                value = torch.where(at(known, place), at(given, place), value)
            stepwise.write(step, value)
            values.append(value)
        return torch.stack(values, dim=1) if single else torch.cat(values, dim=1)


class _WholeNetwork(Stepwise):
    """All conditionals anew for every step."""

    def __init__(self, model: AutoregressiveModel, n: int, context: Tensor | None, order: int) -> None:
        self.model, self.context, self.order = model, context, order
        self.path = model.orders[order].tolist()
        self.x = _values(model, n)

    def parameters(self, step: int) -> Tensor:
        return self.model._conditionals(self.x, self.context, self.order).flatten(2)[:, :, self.path[step]]

    def write(self, step: int, values: Tensor) -> None:
        self.x.flatten(1)[:, self.path[step]] = values


def _values(model: Autoregressive, n: int) -> Tensor:
    """Room for `n` observations as a core sees them, (n, *event)."""
    dtype = torch.int64 if isinstance(model.event.support, Categories) else model.dtype
    return torch.zeros(n, *model.event.shape, dtype=dtype, device=model.device)


def raster_order(event: Event) -> Int64[Tensor, "1 size"]:
    """Rows, then columns, then colours of an image (colours, height, width), as the one row of `orders`; of a video
    (frames, colours, height, width), frame after frame."""
    return torch.arange(event.size).view(event.shape).movedim(-3, -1).reshape(1, -1)


def no_discrete_image(event: Event) -> str | None:
    """Why pixels cannot be modelled one after another with discrete conditionals, or None."""
    if len(event.shape) != 3:
        return f"it models images, (channels, height, width), got the shape {event.shape}"
    if not isinstance(event.support, Binary | Levels):
        return "its conditionals are discrete and its inputs numbers; use Binary or Levels data"
    return None


def too_many_outputs(outputs: int) -> str | None:
    """Why so many parameters of the conditionals of one observation are out of the question; None if they are not."""
    if outputs <= MOST_OUTPUTS:
        return None
    return (
        f"its output would be {outputs:,} numbers an observation, a softmax over all values of each dimension, and"
        f" {MOST_OUTPUTS:,} are the most; use fewer dimensions (of images: size=, grey=True) or values"
        " (support=levels:8), or a model that is dequantized for levels"
    )


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run on `count` threads, and on as many as before afterwards."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(count)
        yield
    finally:
        torch.set_num_threads(before)
