"""The base of every model."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Num
from torch import Tensor, nn

from ancestral.interface.events import Categories, Event, InputError, Levels
from ancestral.interface.phases import Batch, Batching, Phase, Shuffled
from ancestral.interface.standardization import Standardization

Monitor: TypeAlias = Literal["log_prob", "elbo", "log_prob_lower_bound", "accuracy", "loss"]


@dataclass(frozen=True)
class QuickSettings:
    """What a comparison, and a fit without flags, use for events of one kind: minutes on two cores."""

    #: The constructor's settings that differ from its defaults.
    model: Mapping[str, Any] = field(default_factory=dict)
    #: `fit`'s settings as a recipe spells them, for example `{"lr": 2e-3, "schedule": {"name": "cosine"}}`.
    training: Mapping[str, Any] = field(default_factory=dict)


class Model(nn.Module, ABC):
    """The base of every model.

    A subclass is final: it inherits the abilities that it has, calls `super().__init__(event, context_event=...)`
    first, takes JSON values beyond the events, and defines `phases`. A registered one also defines `examples`.
    """

    batching: Batching = Shuffled()
    #: Whether NaN may stand for a value that was not observed, in a fit, a likelihood or its bounds, and in `encode`:
    #: their cores then condition on what was, and a likelihood is that of the observed values.
    accepts_missing: bool = False
    #: The validation quantity that picks the best checkpoint: the mean `log_prob`, `elbo`, `log_prob_lower_bound` (of
    #: `monitor_samples`) or `accuracy` (highest), or the total `loss` of the first phase that runs (lowest); None where
    #: there is none, as for a GAN: then the last weights are kept.
    monitor: Monitor | None = "loss"
    #: Importance samples of a monitored `log_prob_lower_bound`.
    monitor_samples: int = 1
    #: Why the first phase's loss is not minus the mean of the monitored likelihood (a beta, labels, an auxiliary loss);
    #: None where it is.
    loss_differs: str | None = None
    #: Why the gradient of a loss is not its derivative draw by draw but in expectation alone, as one of less variance;
    #: None where it is.
    gradient_differs: str | None = None
    #: Options of data, as `{"context": "grey"}`, without which it runs but is not what it is made for: `ancestral fit`
    #: says so where they are left out.
    made_for: Mapping[str, str] = {}
    #: Set by the registry: the public name, and the constructor's arguments beyond the events (None: made by hand).
    registered_name: str | None = None
    settings: Mapping[str, Any] | None = None
    #: Of `Real` data and columns: what the cores see, (x - shift) / scale. Set by `standardize`.
    standardization: Standardization | None

    def __init__(self, event: Event, *, context_event: Event | None = None) -> None:
        super().__init__()
        if reason := type(self).supports(event, context_event):
            what = f"{event}" if context_event is None else f"{event} given {context_event}"
            raise InputError(f"{self.display_name} does not support {what}: {reason}")
        self.event = event
        self.context_event = context_event
        self.standardization = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Not its parent's: saved under that, it would come back as its parent.
        cls.registered_name = None
        taken = [name for name in vars(cls) if name.startswith("_") and not name.startswith("__") and name in _TAKEN]
        if taken:
            raise TypeError(
                f"{cls.__name__} defines {', '.join(taken)}, which torch.nn.Module uses for itself: choose another name"
            )

    @property
    def display_name(self) -> str:
        """What messages and tables call the model: the name it is registered by, or its class's."""
        return self.registered_name or type(self).__name__

    @abstractmethod
    def phases(self) -> Sequence[Phase]:
        """The moves of one training step, in order; asked for once, when the model is on its device."""

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        """None if the model can be built for `event` given `context_event`, otherwise the reason why not."""
        return None

    @classmethod
    def examples(cls) -> Iterable["Model"]:
        """Small instances that build in milliseconds, at least one per kind of event; they feed the contract suite."""
        return ()

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        """What `compare`, and a fit without flags, should use for events of this kind; by default the defaults."""
        return QuickSettings()

    def training_state(self) -> Mapping[str, Tensor]:
        """Tensors that training moves but that are no part of the model, by name: they survive a resumption, and are
        not in a saved model. Each is a buffer of fixed shape registered with `persistent=False` (a GAN's image pool).
        """
        return {}

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
        """The batch on the model's device, in its dtypes and standardised, as `Phase.loss` takes it; values are not
        checked."""
        y = None if batch.y is None else batch.y.to(self.device, torch.int64, non_blocking=True)
        context = None if batch.context is None else self._cast_context(batch.context)
        return Batch(self._to_core(batch.x), y, context)

    # -- From data units to what the cores see, and back --------------------------------------------------------------

    def standardize(self, shift: Num[Tensor, "*event"], scale: Num[Tensor, "*event"]) -> None:
        """From now on let the cores and the losses see (x - shift) / scale, one pair for each dimension of the event.

        `build(name, data)` does this on `Real` data, from the training split. What is discrete must have a shift of 0
        and a scale of 1.
        """
        if tuple(shift.shape) != self.event.shape:
            raise InputError(f"shift must have the event's shape {self.event.shape}, got {tuple(shift.shape)}")
        moved = ((shift != 0) | (scale != 1)).flatten().nonzero()[:, 0].tolist()
        if self.event.densities == 0 or any(self.event.supports[place].values is not None for place in moved):
            raise InputError(f"only Real data are standardised; this {self.display_name} is of {self.event.support}")
        self.standardization = Standardization(shift, scale).to(self.device)

    def _to_core(self, x: Tensor) -> Tensor:
        """Data as the cores see them: on the model's device and in its dtype, int64 for `Categories`, standardised."""
        if self.standardization is not None:
            x = self.standardization(x.to(self.device, non_blocking=True))
        dtype = torch.int64 if isinstance(self.event.support, Categories) else self.dtype
        return x.to(self.device, dtype, non_blocking=True)

    def _from_core(self, x: Tensor) -> Tensor:
        """The inverse of `_to_core`, up to the dtype."""
        return x if self.standardization is None else self.standardization.inverse(x)

    def _in_data_units(self, log_density: Tensor, x: Tensor | None = None) -> Tensor:
        """A log-density (…) of whole observations, of what the cores see, as that of the data; or one (batch,) of the
        values of each row of `x`, as the cores see it, that are not missing."""
        if self.standardization is None:
            return log_density
        if x is None or not self.accepts_missing:
            return log_density - self.log_volume.to(log_density.dtype)
        seen = (~x.isnan()).flatten(1).double()
        return log_density - (seen @ self.standardization.log_scale.flatten()).to(log_density.dtype)

    @property
    def log_volume(self) -> Tensor:
        """ln |det| of the map from what the cores see to the data, in nats, (): what a loss that is a negative
        log-likelihood lacks of the data's own."""
        if self.standardization is None:
            return torch.zeros((), dtype=torch.float64, device=self.device)
        return self.standardization.log_scale.sum()

    def _cast_context(self, context: Tensor) -> Tensor:
        discrete = self.context_event is not None and isinstance(self.context_event.support, Levels | Categories)
        return context.to(self.device, torch.int64 if discrete else self.dtype, non_blocking=True)

    def _checked(self, x: Tensor, *, missing: bool = False) -> Tensor:
        self.event.check(x, missing=missing)
        self._check_device(x, "x")
        return self._to_core(x)

    def _checked_context(self, context: Tensor | None, batch: int) -> Tensor | None:
        name = self.display_name
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


#: Private names of torch.nn.Module, which a model's own methods must not take: a core of that name would break it.
_TAKEN = frozenset(vars(nn.Module)) | frozenset(vars(nn.Linear(1, 1)))


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
