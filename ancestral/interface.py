"""What a generative model is: an event, phases of training, and declared abilities. Read this file first.

A model subclasses every ability that it has and writes their private cores (`_log_prob`, `_sample`, ...). The
abilities publish each core once as a checked method. The rules that hold everywhere:

* Observations go in and come out as stored: {0, 1}, integers 0..L-1, or floats. Any numeric dtype is accepted; a core
  receives `x` in the model's own floating dtype, and `context` as int64 where its support is `Levels`, otherwise in
  the model's dtype.
* Log-likelihoods are natural logarithms (nats) per example, summed over dimensions; larger is better.
* Public methods run in evaluation mode. Phases are run in training mode by the engine.
* Randomness is the argument `generator`: the base forks the global generators and seeds them from it, so a core may
  use any torch randomness freely.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from jaxtyping import Float, Int64, Num
from torch import Tensor, nn
from torch.distributions import Distribution


class InputError(ValueError):
    """Something a caller gave is wrong. The message says what was expected, what came and what to do."""


# -- What one observation is ----------------------------------------------------------------------------------------


class Support(ABC):
    """The set of values that one dimension of an observation may take."""

    @abstractmethod
    def contains(self, x: Tensor) -> Tensor:
        """Elementwise truth of membership, (…) -> (…) bool; false for NaN."""

    @abstractmethod
    def project(self, x: Tensor) -> Tensor:
        """The nearest values of the support, elementwise."""


@dataclass(frozen=True)
class Binary(Support):
    """{0, 1}."""

    def contains(self, x: Tensor) -> Tensor:
        return (x == 0) | (x == 1)

    def project(self, x: Tensor) -> Tensor:
        return (x > 0.5).to(x.dtype)


@dataclass(frozen=True)
class Levels(Support):
    """The integers 0 .. levels - 1."""

    levels: int

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise InputError(f"Levels needs at least 2 levels, got {self.levels}")

    def contains(self, x: Tensor) -> Tensor:
        if x.is_floating_point():
            return (x >= 0) & (x <= self.levels - 1) & (x == x.round())
        # A bound beyond the dtype would wrap around in the comparison.
        top = self.levels - 1 if x.dtype == torch.bool else min(self.levels - 1, torch.iinfo(x.dtype).max)
        return (x >= 0) & (x <= top)

    def project(self, x: Tensor) -> Tensor:
        return x.round().clamp(0, self.levels - 1)


@dataclass(frozen=True)
class Real(Support):
    """The finite real numbers."""

    def contains(self, x: Tensor) -> Tensor:
        return torch.isfinite(x)

    def project(self, x: Tensor) -> Tensor:
        return x


@dataclass(frozen=True)
class Event:
    """The shape and the support of one observation, for example `Event((1, 28, 28), Binary())`."""

    shape: tuple[int, ...]
    support: Support

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        if any(side < 1 for side in self.shape):
            raise InputError(f"an event's sides must be at least 1, got {self.shape}")

    @property
    def size(self) -> int:
        """The number of dimensions of one observation."""
        return math.prod(self.shape)

    def check(self, x: Tensor, name: str = "x", *, missing: bool = False) -> None:
        """Raise `InputError` unless `x` is (batch, *shape) with every value in the support.

        With `missing`, NaN stands for a value that was not observed and is allowed.
        """
        if not isinstance(x, Tensor):
            raise InputError(f"{name} must be a torch.Tensor, got {type(x).__name__}; use torch.as_tensor")
        if tuple(x.shape[1:]) != self.shape or x.dim() == 0:
            expected = ", ".join(["batch", *map(str, self.shape)])
            raise InputError(f"{name} must have shape ({expected}), got {tuple(x.shape)}{self._hint(x)}")
        if x.is_complex() or x.dtype in (torch.uint16, torch.uint32, torch.uint64):
            raise InputError(f"{name} must be real-valued (floats, booleans, uint8, signed integers), got {x.dtype}")
        good = self.support.contains(x)
        if missing:
            good = good | torch.isnan(x)
        if not bool(good.all()):
            where = tuple(int(i) for i in (~good).nonzero()[0])
            raise InputError(
                f"{name} must lie in {self.support}, found {x[where].item()} at index {where}"
                f" ({int((~good).sum())} such values); clean or convert the data, or build the model for its support"
            )

    def _hint(self, x: Tensor) -> str:
        if tuple(x.shape) == self.shape:
            return "; add a batch dimension with x[None]"
        if x.dim() > 0 and x[:1].numel() == self.size:
            return f"; reshape it with x.reshape(-1, {', '.join(map(str, self.shape))})"
        return ""


# -- How a model is trained -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """Some observations in data space, with labels (-1 where unlabelled) and what they are conditioned on."""

    x: Num[Tensor, "batch *event"]
    y: Int64[Tensor, " batch"] | None = None
    context: Num[Tensor, "batch *context_event"] | None = None


@dataclass(frozen=True)
class Losses:
    """A scalar to minimise (nats per example where it is a likelihood) and its named parts, which are logged."""

    total: Float[Tensor, ""]
    parts: Mapping[str, Tensor] = field(default_factory=dict)


class OptimizerSpec(ABC):
    """How to make an optimizer, before its parameters are known."""

    lr: float

    @abstractmethod
    def build(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """The torch optimizer over `parameters`."""


@dataclass(frozen=True)
class Adam(OptimizerSpec):
    """Adam (Kingma & Ba 2015); AdamW (Loshchilov & Hutter 2019) where `weight_decay` is above 0."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0

    def build(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        kind = torch.optim.AdamW if self.weight_decay else torch.optim.Adam
        betas = (self.betas[0], self.betas[1])
        return kind(parameters, lr=self.lr, betas=betas, eps=self.eps, weight_decay=self.weight_decay, fused=True)


@dataclass(frozen=True)
class RMSProp(OptimizerSpec):
    """RMSProp (Tieleman & Hinton 2012)."""

    lr: float = 1e-3
    alpha: float = 0.99

    def build(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(parameters, lr=self.lr, alpha=self.alpha)


@dataclass(frozen=True)
class SGD(OptimizerSpec):
    """Stochastic gradient descent with momentum."""

    lr: float = 1e-2
    momentum: float = 0.0

    def build(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=self.lr, momentum=self.momentum)


@dataclass(frozen=True)
class Phase:
    """One player's move: the parameters that it may change, and the loss that it changes them for.

    The engine runs the phases in order on each batch, in training mode, with every other parameter frozen. Buffers
    (batch-norm statistics) may move in any phase. A parameter that the caller has frozen before the fit stays frozen.
    """

    name: str
    parameters: Sequence[nn.Parameter]
    loss: Callable[[Batch], Losses]
    every: int = 1
    optimizer: OptimizerSpec = Adam()
    after_step: Callable[[], None] | None = None


@dataclass(frozen=True)
class Shuffled:
    """Each epoch is one random permutation of the data set."""


@dataclass(frozen=True)
class LabelledMix:
    """A share `ratio` of every batch is rows with a label, drawn anew as often as needed; the rest has none."""

    ratio: float


@dataclass(frozen=True)
class Unpaired:
    """Half of every batch from the domain y = 0, then half from y = 1, without correspondence."""


@dataclass(frozen=True)
class Windows:
    """Each observation is a random window of `length` steps, cut along the last axis."""

    length: int


Batching: TypeAlias = Shuffled | LabelledMix | Unpaired | Windows
Monitor: TypeAlias = Literal["log_prob", "elbo", "loss"]


class Model(nn.Module, ABC):
    """The base of every model.

    A subclass is final: it inherits the abilities that it has, calls `super().__init__(event, context_event=...)`
    first, takes JSON values beyond the events, and defines `phases`. A registered one also defines `examples`.
    """

    batching: Batching = Shuffled()
    #: The validation quantity that picks the best checkpoint: the mean `log_prob` or `elbo` (highest), or the total of
    #: the first phase's `loss` (lowest); None where there is none, as for a GAN: then the last weights are kept.
    monitor: Monitor | None = "loss"
    #: Set by the registry: the public name, and the constructor's arguments beyond the events (None: made by hand).
    registered_name: str | None = None
    settings: Mapping[str, Any] | None = None

    def __init__(self, event: Event, *, context_event: Event | None = None) -> None:
        super().__init__()
        if reason := type(self).supports(event):
            raise InputError(f"{type(self).__name__} does not support {event}: {reason}")
        self.event = event
        self.context_event = context_event

    @abstractmethod
    def phases(self) -> Sequence[Phase]:
        """The moves of one training step, in order; asked for once, when the model is on its device."""

    @classmethod
    def supports(cls, event: Event) -> str | None:
        """None if the model can be built for `event`, otherwise the reason why not."""
        return None

    @classmethod
    def examples(cls) -> Iterable["Model"]:
        """Small instances that build in milliseconds, at least one per kind of event; they feed the contract suite."""
        return ()

    @property
    def dtype(self) -> torch.dtype:
        """The floating dtype that the model computes in."""
        return self._reference.dtype

    @property
    def device(self) -> torch.device:
        return self._reference.device

    @property
    def _reference(self) -> Tensor:
        for group in (self.parameters(), self.buffers()):
            for tensor in group:
                if tensor.is_floating_point():
                    return tensor
        return torch.empty(0)

    def prepare(self, batch: Batch) -> Batch:
        """The batch on the model's device and in its dtypes, as `Phase.loss` takes it; values are not checked."""
        y = None if batch.y is None else batch.y.to(self.device, torch.int64, non_blocking=True)
        context = None if batch.context is None else self._cast_context(batch.context)
        return Batch(batch.x.to(self.device, self.dtype, non_blocking=True), y, context)

    def _cast_context(self, context: Tensor) -> Tensor:
        discrete = self.context_event is not None and isinstance(self.context_event.support, Levels)
        return context.to(self.device, torch.int64 if discrete else self.dtype, non_blocking=True)

    def _checked(self, x: Tensor, *, missing: bool = False) -> Tensor:
        self.event.check(x, missing=missing)
        self._check_device(x, "x")
        return x.to(self.dtype)

    def _checked_context(self, context: Tensor | None, batch: int) -> Tensor | None:
        name = type(self).__name__
        if self.context_event is None:
            if context is not None:
                raise InputError(f"this {name} is unconditional but got a context; build it with context_event=...")
            return None
        if context is None:
            raise InputError(f"this {name} is conditional: pass context=, (batch, ...) of {self.context_event}")
        if tuple(context.shape) == self.context_event.shape:
            context = context.expand(batch, *context.shape)
        self.context_event.check(context, "context")
        if len(context) != batch:
            raise InputError(f"context must have one row for each of {batch} observations, got {len(context)}")
        self._check_device(context, "context")
        return self._cast_context(context)

    def _check_device(self, tensor: Tensor, name: str) -> None:
        if tensor.device != self.device:
            raise InputError(f"{name} is on {tensor.device} but the model is on {self.device}; move one with .to(...)")

    @contextmanager
    def _public(self, generator: torch.Generator | None = None) -> Iterator[None]:
        """Evaluation mode, and randomness from `generator`, for the length of one public call."""
        training = [module for module in self.modules() if module.training]
        for module in training:
            module.training = False
        try:
            with seeded(generator, self.device):
                yield
        finally:
            for module in training:
                module.training = True


@contextmanager
def seeded(generator: torch.Generator | None, device: torch.device | None = None) -> Iterator[None]:
    """Draw all global torch randomness inside the block from `generator`, and leave it outside untouched."""
    if generator is None:
        yield
        return
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    on_cuda = device is not None and device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_cuda else []):
        # torch.manual_seed would reseed every device, also those that are not forked.
        torch.default_generator.manual_seed(seed)
        if on_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


# -- Abilities ------------------------------------------------------------------------------------------------------


class Sampler(Model):
    """Draws observations. Write `_sample(n, context) -> (n, *event.shape)` in data space."""

    @abstractmethod
    def _sample(self, n: int, context: Tensor | None) -> Tensor: ...

    @torch.no_grad()
    def sample(
        self, n: int, *, context: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Float[Tensor, "n *event"]:
        """`n` independent observations in data space, (n, *event.shape).

        `context` is (n, *context_event.shape), or one context for all of them, (*context_event.shape).
        """
        if n < 1:
            raise InputError(f"n must be at least 1, got {n}")
        context = self._checked_context(context, n)
        with self._public(generator):
            return self._sample(n, context)


class ExactDensity(Model):
    """Has an exact log-likelihood. Write `_log_prob(x, context) -> (batch,)` nats."""

    monitor = "log_prob"

    @abstractmethod
    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor: ...

    def log_prob(self, x: Num[Tensor, "batch *event"], *, context: Tensor | None = None) -> Float[Tensor, " batch"]:
        """ln p(x | context) in nats, (batch,), exact. A density on `Real`, a probability otherwise."""
        x, context = self._checked(x), self._checked_context(context, len(x))
        with self._public():
            return self._log_prob(x, context)


class Autoregressive(ExactDensity):
    """An exact density that is a product of conditionals, each of one dimension given those before it in an order.

    Write `orders` and `_conditional_log_probs(x, context) -> (orders, batch, *event)`, each entry ln p of that
    dimension given the earlier ones in that order. A model with several orders averages their probabilities.
    """

    @property
    @abstractmethod
    def orders(self) -> Int64[Tensor, "orders size"]:
        """Each row is a permutation of the flat dimensions of an event, in the order in which they are generated."""

    @abstractmethod
    def _conditional_log_probs(self, x: Tensor, context: Tensor | None) -> Tensor: ...

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        per_order = self._conditional_log_probs(x, context).flatten(2).sum(2)
        return per_order.logsumexp(0) - math.log(len(per_order))

    def conditional_log_probs(
        self, x: Num[Tensor, "batch *event"], *, context: Tensor | None = None
    ) -> Float[Tensor, "orders batch *event"]:
        """ln p(x_d | the dimensions before d) in nats for every d, in each order: (orders, batch, *event.shape)."""
        x, context = self._checked(x), self._checked_context(context, len(x))
        with self._public():
            return self._conditional_log_probs(x, context)


class BoundedDensity(Model):
    """Has stochastic lower bounds of its log-likelihood.

    Write `_log_weights(x, context, samples) -> (samples, batch)`: logarithms of independent unbiased estimates of
    p(x | context), for a VAE ln p(x, z) - ln q(z | x) with z ~ q. Where the bound has a form of less variance (a
    closed-form KL), write `_elbo` too.
    """

    monitor = "elbo"
    #: Rows (samples times observations) that go through the model at once; bounds the memory of the estimates.
    rows_at_once: int = 4096

    @abstractmethod
    def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor: ...

    def _elbo(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        return self._log_weights(x, context, samples).mean(0)

    def elbo(
        self,
        x: Num[Tensor, "batch *event"],
        *,
        samples: int = 1,
        context: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, " batch"]:
        """An unbiased estimate of the evidence lower bound in nats, (batch,), from `samples` draws of q."""
        if samples < 1:
            raise InputError(f"samples must be at least 1, got {samples}")
        x, context = self._checked(x), self._checked_context(context, len(x))
        with self._public(generator):
            return self._elbo(x, context, samples)

    def log_prob_lower_bound(
        self,
        x: Num[Tensor, "batch *event"],
        *,
        importance_samples: int,
        context: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, " batch"]:
        """ln of the mean of `importance_samples` weights in nats, (batch,): Burda et al. 2016, equation 8.

        A lower bound in expectation that rises with the number of samples towards ln p(x). Without gradients its
        memory does not grow with `importance_samples`.
        """
        if importance_samples < 1:
            raise InputError(f"importance_samples must be at least 1, got {importance_samples}")
        x, context = self._checked(x), self._checked_context(context, len(x))
        with self._public(generator):
            rows = range(0, len(x), self.rows_at_once)
            parts = [slice(start, start + self.rows_at_once) for start in rows]
            return (
                torch.cat(
                    [
                        self._mean_weight(x[p], None if context is None else context[p], importance_samples)
                        for p in parts
                    ]
                )
                if parts
                else x.new_empty(0)
            )

    def _mean_weight(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        at_once = max(1, self.rows_at_once // len(x))
        total = x.new_full((len(x),), -math.inf)
        for done in range(0, samples, at_once):
            weights = self._log_weights(x, context, min(at_once, samples - done))
            total = torch.logaddexp(total, weights.logsumexp(0))
        return total - math.log(samples)


class Decoder(Model):
    """Turns latents into observations. Write `latent_shapes`, `prior` and `_decode(z, context)`.

    A latent z is flat, (batch, n): the model's latents side by side in the order of `latent_shapes`. `_decode` returns
    the expected observation in data units, (batch, *event.shape), not yet rounded to the support.
    """

    @property
    @abstractmethod
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each latent by name, in the order in which they lie in z."""

    @property
    @abstractmethod
    def prior(self) -> Distribution | None:
        """p(z), with event shape (n,); None for a decoder without one (an autoencoder)."""

    @abstractmethod
    def _decode(self, z: Tensor, context: Tensor | None) -> Tensor: ...

    @property
    def latent_size(self) -> int:
        return sum(math.prod(shape) for shape in self.latent_shapes.values())

    def split_latents(self, z: Float[Tensor, "batch n"]) -> dict[str, Tensor]:
        """The named latents, (batch, *shape) each, as views of z."""
        parts = z.split([math.prod(shape) for shape in self.latent_shapes.values()], dim=1)
        return {
            name: part.unflatten(1, shape) if shape else part.squeeze(1)
            for (name, shape), part in zip(self.latent_shapes.items(), parts, strict=True)
        }

    def join_latents(self, latents: Mapping[str, Tensor]) -> Float[Tensor, "batch n"]:
        """The inverse of `split_latents`."""
        return torch.cat([latents[name].reshape(len(latents[name]), -1) for name in self.latent_shapes], dim=1)

    def decode_mean(
        self, z: Float[Tensor, "batch n"], *, context: Tensor | None = None
    ) -> Float[Tensor, "batch *event"]:
        """The expected observation in data units; for `Binary` the probability of a 1, the picture that papers show."""
        if z.dim() != 2 or z.shape[1] != self.latent_size:
            raise InputError(f"z must have shape (batch, {self.latent_size}), got {tuple(z.shape)}")
        self._check_device(z, "z")
        context = self._checked_context(context, len(z))
        with self._public():
            return self._decode(z.to(self.dtype), context)

    def decode(self, z: Float[Tensor, "batch n"], *, context: Tensor | None = None) -> Float[Tensor, "batch *event"]:
        """The observation in data space that is nearest to `decode_mean`, (batch, *event.shape)."""
        return self.event.support.project(self.decode_mean(z, context=context))


class Encoder(Model):
    """Infers latents. Write `_encode(x, context)`, a distribution of batch shape (batch,) and event shape (n,)."""

    @abstractmethod
    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution: ...

    def encode(self, x: Num[Tensor, "batch *event"], *, context: Tensor | None = None) -> Distribution:
        """q(z | x): a distribution over flat latents (batch, n), a `Delta` where the code is deterministic."""
        x, context = self._checked(x), self._checked_context(context, len(x))
        with self._public():
            return self._encode(x, context)


class Translator(Model):
    """Maps observations between two domains. Write `domains` and `_translate(x, to)`."""

    @property
    @abstractmethod
    def domains(self) -> tuple[str, str]: ...

    @abstractmethod
    def _translate(self, x: Tensor, to: str) -> Tensor: ...

    def translate(self, x: Num[Tensor, "batch *event"], *, to: str) -> Float[Tensor, "batch *event"]:
        """`x` from the other domain, as an observation of the domain `to`."""
        if to not in self.domains:
            raise InputError(f"to must be one of {self.domains}, got {to!r}")
        with self._public():
            return self.event.support.project(self._translate(self._checked(x), to))


class Classifier(Model):
    """Infers a label. Write `classes` and `_class_log_probs(x) -> (batch, classes)`, normalised."""

    @property
    @abstractmethod
    def classes(self) -> int: ...

    @abstractmethod
    def _class_log_probs(self, x: Tensor) -> Tensor: ...

    def class_log_probs(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, "batch classes"]:
        """ln p(y | x) in nats for every class, (batch, classes)."""
        with self._public():
            return self._class_log_probs(self._checked(x))


class Features(Model):
    """Has a representation to transfer. Write `_features(x) -> (batch, n)`."""

    @abstractmethod
    def _features(self, x: Tensor) -> Tensor: ...

    def features(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, "batch n"]:
        """The representation of `x`, (batch, n)."""
        with self._public():
            return self._features(self._checked(x))


@dataclass(frozen=True)
class FitStep:
    """What one step of a closed-form fit reached: the objective after it (nats per example where it is a likelihood;
    larger is better), and after each of its half-steps by name, as ("E", ...), ("M", ...). After an M step the
    objective is the ELBO under the responsibilities before it, at most the likelihood of the new parameters."""

    objective: float
    trace: tuple[tuple[str, float], ...] = ()


class ClosedFormFit(Model):
    """Is fitted without gradients. Write `_fit_start(x)` and `_fit_step(x) -> FitStep`; the parameters are buffers.

    The engine for expectation-maximisation calls `fit_start` once, then `fit_step` until the objective settles.
    """

    accepts_missing: ClassVar[bool] = False

    def phases(self) -> Sequence[Phase]:
        return ()

    @abstractmethod
    def _fit_start(self, x: Tensor) -> None: ...

    @abstractmethod
    def _fit_step(self, x: Tensor) -> FitStep: ...

    @torch.no_grad()
    def fit_start(self, x: Num[Tensor, "batch *event"], *, generator: torch.Generator | None = None) -> None:
        """Set the parameters from which the fit starts, from all the training data."""
        if len(x) == 0:
            raise InputError("the training data are empty")
        x = self._checked(x, missing=self.accepts_missing)
        with self._public(generator):
            self._fit_start(x)

    @torch.no_grad()
    def fit_step(self, x: Num[Tensor, "batch *event"]) -> FitStep:
        """One EM iteration, or the closed solution, on all the training data."""
        x = self._checked(x, missing=self.accepts_missing)
        with self._public():
            return self._fit_step(x)


ABILITIES: tuple[type[Model], ...] = (
    Sampler,
    ExactDensity,
    Autoregressive,
    BoundedDensity,
    Decoder,
    Encoder,
    Translator,
    Classifier,
    Features,
    ClosedFormFit,
)


def abilities(model: Model | type[Model]) -> tuple[str, ...]:
    """The names of the abilities that a model declares."""
    cls = model if isinstance(model, type) else type(model)
    return tuple(ability.__name__ for ability in ABILITIES if issubclass(cls, ability))
