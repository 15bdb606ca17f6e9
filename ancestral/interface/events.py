"""What one observation is: its shape, and the values that it may take."""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


class InputError(ValueError):
    """Something a caller gave is wrong. The message says what was expected, what came and what to do."""


class Support(ABC):
    """The set of values that one dimension of an observation may take."""

    @abstractmethod
    def contains(self, x: Tensor) -> Tensor:
        """Elementwise truth of membership, (…) -> (…) bool; false for NaN."""

    @abstractmethod
    def project(self, x: Tensor) -> Tensor:
        """The nearest values of the support, elementwise."""

    @property
    def values(self) -> int | None:
        """How many values each dimension can take; None for a continuous one, and for `Columns`."""
        match self:
            case Binary():
                return 2
            case Levels(count) | Categories(count):
                return count
        return None

    @property
    def flag(self) -> str:
        """The support as flags and files spell it: binary, levels:N, categories:N, real."""
        match self:
            case Levels(count) | Categories(count):
                return f"{type(self).__name__.lower()}:{count}"
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Binary(Support):
    """{0, 1}."""

    def contains(self, x: Tensor) -> Tensor:
        return (x == 0) | (x == 1)

    def project(self, x: Tensor) -> Tensor:
        return (x > 0.5).to(x.dtype)


@dataclass(frozen=True)
class Levels(Support):
    """The integers 0 .. levels - 1, in their order: grey levels, counts."""

    levels: int

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise InputError(f"Levels needs at least 2 levels, got {self.levels}")

    def contains(self, x: Tensor) -> Tensor:
        return _integers_below(self.levels, x)

    def project(self, x: Tensor) -> Tensor:
        return x.round().clamp(0, self.levels - 1)


@dataclass(frozen=True)
class Categories(Support):
    """The integers 0 .. categories - 1 as names without an order: token ids, class labels.

    A core receives them as int64 and may use them by a softmax, an embedding or one-hot alone: there is no distance
    between them, so they have no mean, and they are never dequantized.
    """

    categories: int

    def __post_init__(self) -> None:
        if self.categories < 2:
            raise InputError(f"Categories needs at least 2 categories, got {self.categories}")

    def contains(self, x: Tensor) -> Tensor:
        return _integers_below(self.categories, x)

    def project(self, x: Tensor) -> Tensor:
        raise InputError(
            "categories have no order, so no value is nearest to a number; draw them, or take the likeliest by argmax"
        )


@dataclass(frozen=True)
class Real(Support):
    """The finite real numbers."""

    def contains(self, x: Tensor) -> Tensor:
        return torch.isfinite(x)

    def project(self, x: Tensor) -> Tensor:
        return x


@dataclass(frozen=True)
class Columns(Support):
    """A support for each column of a table, for example `Columns((Real(), Levels(90), Categories(5), Binary()))`.

    The event's shape is (columns,). A core receives the columns side by side in floats, where integers stay exact; what
    `Categories` may be used for holds for each column of them.
    """

    supports: tuple[Support, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "supports", tuple(self.supports))
        if not self.supports or any(isinstance(support, Columns) for support in self.supports):
            raise InputError(f"Columns needs one support for each column, got {self.supports}")

    def contains(self, x: Tensor) -> Tensor:
        return by_kind(self, lambda support, columns: support.contains(columns), x)

    def project(self, x: Tensor) -> Tensor:
        """The nearest values, elementwise; categories, which have none, must be values already."""
        return by_kind(self, lambda kind, part: part if isinstance(kind, Categories) else kind.project(part), x)

    @cached_property
    def kinds(self) -> dict[Support, list[int]]:
        """The supports that occur, each with the places of its columns."""
        places: dict[Support, list[int]] = {}
        for place, support in enumerate(self.supports):
            places.setdefault(support, []).append(place)
        return places

    @property
    def flag(self) -> str:
        return f"columns:{','.join(support.flag for support in self.supports)}"


@dataclass(frozen=True)
class Event:
    """The shape and the support of one observation, for example `Event((1, 28, 28), Binary())`."""

    shape: tuple[int, ...]
    support: Support

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        if any(side < 1 for side in self.shape):
            raise InputError(f"an event's sides must be at least 1, got {self.shape}")
        if isinstance(self.support, Columns) and self.shape != (len(self.support.supports),):
            raise InputError(f"an event of {len(self.support.supports)} columns has as many values, got {self.shape}")

    @property
    def size(self) -> int:
        """The number of dimensions of one observation."""
        return math.prod(self.shape)

    @property
    def values(self) -> int | None:
        """How many values each dimension can take; None for a continuous one, and for `Columns`."""
        return self.support.values

    @property
    def supports(self) -> tuple[Support, ...]:
        """The support of each dimension of the flattened event."""
        return self.support.supports if isinstance(self.support, Columns) else (self.support,) * self.size

    @property
    def densities(self) -> int:
        """How many of the dimensions are continuous, so that their likelihood is a density."""
        return sum(support.values is None for support in self.supports)

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
            support = self.support.supports[where[1]] if isinstance(self.support, Columns) else self.support
            raise InputError(
                f"{name} must lie in {support}, found {x[where].item()} at index {where}"
                f" ({int((~good).sum())} such values); clean or convert the data, or build the model for its support"
            )

    def _hint(self, x: Tensor) -> str:
        if tuple(x.shape) == self.shape:
            return "; add a batch dimension with x[None]"
        if x.dim() > 0 and x[:1].numel() == self.size:
            return f"; reshape it with x.reshape(-1, {', '.join(map(str, self.shape))})"
        return ""


class Described(ABC):
    """What a model must know of a data set to be built for it: `build(name, data)` reads these."""

    event: Event
    #: What each observation is conditioned on; None where on nothing.
    context_event: Event | None
    #: The names of the labels 0, 1, ...; None where there are no labels.
    classes: tuple[str, ...] | None
    #: The names of the domains y = 0 and y = 1 of unpaired data; None for all other data.
    domains: tuple[str, str] | None

    @property
    def labelled_share(self) -> float | None:
        """The share of the training rows that have a label, in [0, 1]; None where it is not known."""
        return None

    @property
    def frequencies(self) -> list[int] | None:
        """How often each value of `Categories` occurs in the training split; None of other data, and if not known."""
        return None

    @abstractmethod
    def moments(self) -> tuple[Tensor, Tensor]:
        """The mean and the standard deviation of each dimension over the training split, float64 (*event.shape) each;
        over the values that are not missing. The deviation is 0 of what does not vary, but for rounding."""


def by_kind(support: Support, work: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """`work(support, *tensors)`; of `Columns` for the columns of each kind on their own, put back in their places.

    Tensors are (..., columns), and so is what `work` returns.
    """
    if not isinstance(support, Columns):
        return work(support, *tensors)
    kinds = support.kinds
    done = [work(kind, *(tensor[..., places] for tensor in tensors)) for kind, places in kinds.items()]
    places = torch.tensor([place for places in kinds.values() for place in places])
    return torch.cat(done, dim=-1)[..., places.argsort()]


def parse_support(text: str) -> Support:
    """The support that 'binary', 'levels:N', 'categories:N' or 'real' names."""
    match = re.fullmatch(r"binary|real|(levels|categories):(\d+)", text.strip().lower())
    if match is None:
        raise InputError(f"support must be binary, levels:N (as levels:256), categories:N or real, got {text!r}")
    if match[1]:
        return Levels(int(match[2])) if match[1] == "levels" else Categories(int(match[2]))
    return Binary() if match[0] == "binary" else Real()


def _integers_below(bound: int, x: Tensor) -> Tensor:
    if x.is_floating_point():
        return (x >= 0) & (x <= bound - 1) & (x == x.round())
    # A bound beyond the dtype would wrap around in the comparison.
    top = bound - 1 if x.dtype == torch.bool else min(bound - 1, torch.iinfo(x.dtype).max)
    return (x >= 0) & (x <= top)
