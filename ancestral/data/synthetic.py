"""Synthetic sets in the plane, each with the exact density that its points are drawn from.

A set is a mixture of equally likely classes. Its `Source` draws a point of a given class, and knows ln p(x) in nats.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from ancestral.data.catalogue import builtin
from ancestral.data.dataset import Data
from ancestral.data.files import Store
from ancestral.data.split import Split
from ancestral.interface import Event, InputError, Real

_LOG_2PI = math.log(2 * math.pi)


class Source(ABC):
    """A distribution in the plane: `classes` equally likely parts. Everything is computed in float64."""

    def __init__(self, classes: int) -> None:
        self.classes = classes

    @abstractmethod
    def draw(self, y: Int64[Tensor, " n"], generator: Generator) -> Float[Tensor, "n 2"]:
        """A point of each of the classes `y`."""

    @abstractmethod
    def log_density(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        """ln p(x) in nats, -inf outside the support."""

    def __call__(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        """ln p(x) in nats, in the dtype of `x`."""
        return self.log_density(x.double()).to(x.dtype)


class Gaussians(Source):
    """Round Gaussians of one standard deviation."""

    def __init__(self, centres: Float[Tensor, "classes 2"], deviation: float) -> None:
        super().__init__(len(centres))
        self.centres, self.deviation = centres, deviation

    def draw(self, y: Int64[Tensor, " n"], generator: Generator) -> Float[Tensor, "n 2"]:
        return self.centres[y] + self.deviation * _normal(len(y), 2, generator=generator)

    def log_density(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        return _mixture(x, self.centres, self.deviation)


class Checkerboard(Source):
    """Uniform on the eight dark squares, of side 1, of a board of 4x4 around the origin."""

    def __init__(self) -> None:
        super().__init__(8)

    def draw(self, y: Int64[Tensor, " n"], generator: Generator) -> Float[Tensor, "n 2"]:
        row = y // 2
        corner = torch.stack([2 * (y % 2) + row % 2, row], dim=1) - 2
        # Centres of 2^20 cells a side: never on an edge, and without rounding in float32.
        cell = torch.randint(2**20, (len(y), 2), generator=generator)
        return corner + (cell + 0.5).double() / 2**20

    def log_density(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        dark = (x.floor().sum(1) % 2 == 0) & (x >= -2).all(1) & (x < 2).all(1)
        return torch.where(dark, -math.log(8), -math.inf).to(x.dtype)


class Rings(Source):
    """Circles around the origin; the radius has a Gaussian error e, folded at 0: |R + e|.

    p(x) = p(r) / (2 pi r), with p(r) the mean over the rings of N(r; R, s^2) + N(-r; R, s^2).
    """

    def __init__(self, radii: Sequence[float], deviation: float) -> None:
        super().__init__(len(radii))
        self._radii, self._deviation = torch.tensor(radii, dtype=torch.float64), deviation

    def draw(self, y: Int64[Tensor, " n"], generator: Generator) -> Float[Tensor, "n 2"]:
        radius = (self._radii[y] + self._deviation * _normal(len(y), generator=generator)).abs()
        return radius[:, None] * _direction(2 * math.pi * _uniform(len(y), generator))

    def log_density(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        r = x.norm(dim=1)
        signed = torch.stack([r, -r])[..., None] - self._radii
        log_each = -0.5 * (signed / self._deviation) ** 2 - math.log(self._deviation * self.classes) - _LOG_2PI / 2
        return log_each.logsumexp(dim=2).logsumexp(dim=0) - _LOG_2PI - r.log()


class TwoMoons(Source):
    """Two half circles of radius 1, interleaved, with a round Gaussian error.

    The density is the convolution of the arcs with the error, an integral over the angle by Gauss-Legendre quadrature
    with as many nodes as bring its error down to the rounding of float64.
    """

    def __init__(self, deviation: float, nodes: int | None = None) -> None:
        super().__init__(2)
        nodes = nodes or 32 + int(12 / deviation)
        self._deviation = deviation
        place, weight = (torch.from_numpy(values) for values in np.polynomial.legendre.leggauss(nodes))
        self._arcs = torch.cat([self._point(math.pi * (place + 1) / 2, torch.tensor(moon)) for moon in (0, 1)])
        self._log_weights = torch.cat([weight, weight]).div(4).log()

    def draw(self, y: Int64[Tensor, " n"], generator: Generator) -> Float[Tensor, "n 2"]:
        arc = self._point(math.pi * _uniform(len(y), generator), y)
        return arc + self._deviation * _normal(len(y), 2, generator=generator)

    def log_density(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        # In parts: every point meets every node.
        return torch.cat([_mixture(part, self._arcs, self._deviation, self._log_weights) for part in x.split(4096)])

    @staticmethod
    def _point(angle: Tensor, moon: Tensor) -> Tensor:
        """The upper moon around (0, 0), and the lower one, turned by a half circle, around (1, 1/2)."""
        arc = _direction(angle)
        return torch.where(moon[..., None] == 0, arc, torch.tensor([1.0, 0.5], dtype=torch.float64) - arc)


class Pinwheel(Source):
    """Gaussian arms, longer than wide, bent into spirals (after Johnson et al. 2016, figure 1).

    Each point is turned by an angle that depends on its distance from the origin alone. This keeps areas, so the
    density is that of the unbent arms at the point turned back.
    """

    def __init__(self, arms: int, length: float, width: float, twist: float) -> None:
        super().__init__(arms)
        self._scale = torch.tensor([length, width], dtype=torch.float64)
        self._twist = twist

    def draw(self, y: Int64[Tensor, " n"], generator: Generator) -> Float[Tensor, "n 2"]:
        arm = self._scale * _normal(len(y), 2, generator=generator)
        arm[:, 0] += 1
        return _rotate(arm, self._angle(arm, y))

    def log_density(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        arms = torch.arange(self.classes)
        back = torch.stack([_rotate(x, -self._angle(x, arm)) for arm in arms])
        back[..., 0] -= 1
        log_each = -0.5 * (back / self._scale).square().sum(-1) - _LOG_2PI - self._scale.log().sum()
        return log_each.logsumexp(0) - math.log(self.classes)

    def _angle(self, x: Tensor, arm: Tensor) -> Tensor:
        return 2 * math.pi * arm / self.classes + self._twist * x.norm(dim=1).exp()


@builtin("two-moons", "(2,), real")
def two_moons(store: Store, seed: int, n: int = 10_000, noise: float = 0.1) -> Data:
    """Two interleaved half circles with Gaussian noise."""
    return _data("two-moons", TwoMoons(_at_least("noise", noise, 0.01)), seed, n)


@builtin("rings", "(2,), real")
def rings(store: Store, seed: int, n: int = 10_000, noise: float = 0.08) -> Data:
    """Four circles around one centre with Gaussian noise in the radius."""
    return _data("rings", Rings((0.5, 1.0, 1.5, 2.0), _at_least("noise", noise)), seed, n)


@builtin("pinwheel", "(2,), real")
def pinwheel(store: Store, seed: int, n: int = 10_000) -> Data:
    """Five spiral arms."""
    return _data("pinwheel", Pinwheel(5, length=0.3, width=0.1, twist=0.25), seed, n)


@builtin("checkerboard", "(2,), real")
def checkerboard(store: Store, seed: int, n: int = 10_000) -> Data:
    """Uniform on the dark squares of a board of 4x4."""
    return _data("checkerboard", Checkerboard(), seed, n)


@builtin("gaussian-ring", "(2,), real")
def gaussian_ring(store: Store, seed: int, n: int = 10_000, noise: float = 0.2) -> Data:
    """Eight Gaussians on a circle of radius 2."""
    angle = torch.arange(8, dtype=torch.float64) * (math.pi / 4)
    return _data("gaussian-ring", Gaussians(2 * _direction(angle), _at_least("noise", noise)), seed, n)


@builtin("gaussian-grid", "(2,), real")
def gaussian_grid(store: Store, seed: int, n: int = 10_000, noise: float = 0.1) -> Data:
    """Twenty-five Gaussians on a grid of 5x5 with spacing 1."""
    side = torch.arange(-2, 3, dtype=torch.float64)
    return _data("gaussian-grid", Gaussians(torch.cartesian_prod(side, side), _at_least("noise", noise)), seed, n)


def _data(name: str, source: Source, seed: int, n: int) -> Data:
    """`n` points in all, 80/10/10, drawn by `seed`."""
    if n < 10:
        raise InputError(f"n must be at least 10, to be split 80/10/10, got {n}")
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(source.classes, (n,), generator=generator)
    x = source.draw(y, generator).to(torch.float32)
    event, held_out = Event((2,), Real()), n // 10
    sizes = [n - 2 * held_out, held_out, held_out]
    train, valid, test = (
        Split(points, event, labels, name=f"{name} ({part})")
        for part, points, labels in zip(("train", "valid", "test"), x.split(sizes), y.split(sizes))
    )
    classes = tuple(str(label) for label in range(source.classes))
    return Data(name, event, train, valid, test, classes, density=source, note=f"drawn by seed {seed}")


def _at_least(name: str, value: float, least: float = 1e-6) -> float:
    if not value >= least:
        raise InputError(f"{name} must be at least {least}, got {value}")
    return value


def _mixture(x: Tensor, centres: Tensor, deviation: float, log_weights: Tensor | None = None) -> Tensor:
    """ln of a mixture of round Gaussians at `x`, equally weighted by default."""
    distance = (x[:, None] - centres).square().sum(-1)
    log_each = -0.5 * distance / deviation**2 - _LOG_2PI - 2 * math.log(deviation)
    return (log_each + (-math.log(len(centres)) if log_weights is None else log_weights)).logsumexp(1)


def _normal(*shape: int, generator: Generator) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _uniform(n: int, generator: Generator) -> Tensor:
    return torch.rand(n, generator=generator, dtype=torch.float64)


def _direction(angle: Tensor) -> Tensor:
    """The unit vectors at `angle`."""
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def _rotate(x: Tensor, angle: Tensor) -> Tensor:
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos * x[:, 0] - sin * x[:, 1], sin * x[:, 0] + cos * x[:, 1]], dim=1)
