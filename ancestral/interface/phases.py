"""How a model is trained: batches, losses, optimizers, and phases, the moves of one training step."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from jaxtyping import Float, Int64, Num
from torch import Tensor, nn

from ancestral.interface.events import InputError


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

    def __post_init__(self) -> None:
        if not isinstance(self.lr, int | float) or isinstance(self.lr, bool) or not 0 < self.lr < math.inf:
            raise InputError(f"lr of {type(self).__name__} must be a finite number above 0, got {self.lr!r}")

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
class SparseSGD(OptimizerSpec):
    """Stochastic gradient descent along sparse gradients: only those rows of a table move that a step looked up.

    A row that it looked up more than `most` times moves by `most` times the mean of its gradients, not by their sum, so
    that a step of many examples is stable where it adds up what single ones would have done one after another.
    """

    lr: float = 1e-2
    most: int = 8

    def build(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        return _SparseDescent(parameters, self.lr, self.most)


class _SparseDescent(torch.optim.Optimizer):
    def __init__(self, parameters: Sequence[nn.Parameter], lr: float, most: int) -> None:
        super().__init__(parameters, {"lr": lr, "most": most})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is None:
                    continue
                rows, values = table.grad._indices()[0], table.grad._values()
                # By what was looked up, and not by the whole table, which may be a large vocabulary.
                _, places, times = rows.unique(return_inverse=True, return_counts=True)
                values.mul_((group["most"] / times.to(table.dtype)).clamp(max=1)[places].unsqueeze(1))
                table.add_(table.grad, alpha=-group["lr"])


@dataclass(frozen=True)
class Phase:
    """One player's move: the parameters that it may change, and the loss that it changes them for.

    The engine runs the phases in order on each batch, in training mode, with every other parameter frozen. Buffers
    (batch-norm statistics) may move in any phase. A parameter that the caller has frozen before the fit stays frozen.

    A phase runs on every `every`-th batch, while the share of the training budget that is used lies in
    [`starts`, `ends`): a model that is made in stages has phases one after another.
    """

    name: str
    parameters: Sequence[nn.Parameter]
    loss: Callable[[Batch], Losses]
    every: int = 1
    optimizer: OptimizerSpec = Adam()
    after_step: Callable[[], None] | None = None
    starts: float = 0.0
    ends: float = 1.0
    #: Whether its gradients are sparse: of those rows of a table alone that a batch looks up.
    sparse: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.starts < self.ends <= 1:
            raise InputError(
                f"the phase {self.name!r} must run between two shares 0 <= starts < ends <= 1 of the budget,"
                f" got starts={self.starts} and ends={self.ends}"
            )


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


Batching: TypeAlias = Shuffled | LabelledMix | Unpaired
