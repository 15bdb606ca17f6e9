"""The discriminator that training finds against the best one, where both densities are known.

For a fixed generator the best discriminator is D*(x) = p(x) / (p(x) + p_G(x)) (Goodfellow et al. 2014, proposition 1),
where the game's value is max_D V(D, G) = -ln 4 + 2 JS(p, p_G) (theorem 1). A linear generator of Gaussian noise has
p_G = N(b, W W^T) exactly: here with the mean and the covariance of the data, so that only their form tells them apart.
D is trained on draws, as in any GAN; V of the trained D and of D* are integrals over a grid.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal, Normal
from torch.nn import functional as F

from ancestral.data import Split, load_data
from ancestral.evaluation import jensen_shannon, jensen_shannon_from_discriminator
from ancestral.interface import Critic, Event, InputError, Model, Real, Sampler, seeded
from ancestral.registry import build
from ancestral.reproduction.figure import Drawn, Root, figure, fitted
from ancestral.reproduction.games import OnePlayer, linear_generator
from ancestral.reproduction.measurement import Measurement
from ancestral.training import Cosine

#: Points of a grid at once.
_AT_ONCE = 2**16
#: Values of V that are drawn over training.
_DRAWN = 25


@dataclass(frozen=True)
class Source:
    """Data of a known density: draws of it, and what it is on a grid that holds all its mass and the generator's."""

    x: Tensor
    log_density: Callable[[Tensor], Tensor]
    lines: Sequence[Tensor]


@dataclass(frozen=True)
class Game:
    """A trained discriminator on a grid, (points,) each: both log-densities in nats, its logit; and V in training."""

    lines: Sequence[Tensor]
    log_p: Tensor
    log_q: Tensor
    logit: Tensor
    over_training: Sequence[tuple[int, float]]
    #: max V = -ln 4 + 2 JS.
    largest: float
    #: -ln 4 + 2 JS by the discriminator on fresh draws, and its standard error.
    on_draws: tuple[float, float]

    @property
    def value(self) -> float:
        return game_value(self.log_p, self.log_q, self.logit)

    @property
    def error(self) -> float:
        """Of max V, relative, in %."""
        return 100 * abs(self.value - self.largest) / abs(self.largest)

    @property
    def distance(self) -> float:
        """The mean of |D - D*| over the mixture of both."""
        mass = 0.5 * (self.log_p.softmax(0) + self.log_q.softmax(0))
        return float((mass * (self.logit.sigmoid() - (self.log_p - self.log_q).sigmoid()).abs()).sum())


@figure(
    model="gan",
    data="mixture of 2 Gaussians on the line, two-moons, gaussian-ring",
    split="none",
    metric="largest relative error of max V against -ln 4 + 2 JS",
    unit="%",
    source="Goodfellow et al. 2014 (arXiv:1406.2661), proposition 1 and theorem 1",
    notes="the trained discriminator's V by quadrature on known densities; the generator is linear, its p_G the"
    " Gaussian of the data's mean and covariance",
)
def optimal_discriminator(
    seed: int,
    data_root: Root,
    progress: bool,
    *,
    discriminator_hidden: Sequence[int] = (128, 128),
    steps: int = 5000,
    batch_size: int = 512,
    lr: float = 2e-3,
    rows: int = 200_000,
    side: int = 320,
    moons_noise: float = 0.2,
    ring_noise: float = 0.3,
) -> Drawn:
    """The trained discriminator against p / (p + p_G), and its V against -ln 4 + 2 JS, on known densities."""
    sources = {
        "on the line": _two_bumps(rows, seed),
        "two moons": _plane("two-moons", rows, seed, data_root, side, reach=6.0, noise=moons_noise),
        "ring of 8 Gaussians": _plane("gaussian-ring", rows, seed, data_root, side, reach=8.0, noise=ring_noise),
    }
    how = {"steps": steps, "batch_size": batch_size, "lr": lr, "schedule": Cosine(), "seed": seed}
    games = {
        name: play(source, seed, discriminator_hidden, {**how, "progress": progress})
        for name, source in sources.items()
    }
    baselines: dict[str, float] = {}
    for name, game in games.items():
        baselines |= {f"max V, {name}": game.largest, f"V reached, {name}": game.value}
        baselines |= {f"V on fresh draws, {name}": game.on_draws[0], f"mean |D - D*|, {name}": game.distance}
    measurement = Measurement(max(game.error for game in games.values()), None, "quadrature", baselines=baselines)
    return Drawn(_picture(games), measurement)


def _two_bumps(rows: int, seed: int) -> Source:
    mean, deviation = torch.tensor([[-1.5, 1.5], [0.4, 0.8]], dtype=torch.float64)
    density = MixtureSameFamily(Categorical(torch.tensor([0.4, 0.6], dtype=torch.float64)), Normal(mean, deviation))
    with seeded(torch.Generator().manual_seed(seed)):
        x = density.sample((rows, 1)).float()
    return Source(x, lambda x: density.log_prob(x[:, 0]), [torch.linspace(-12, 12, 9601, dtype=torch.float64)])


def _plane(name: str, rows: int, seed: int, data_root: Root, side: int, reach: float, noise: float) -> Source:
    data = load_data(name, data_root=data_root, n=rows, seed=seed, noise=noise)
    assert data.density is not None
    line = torch.linspace(-reach, reach, side, dtype=torch.float64)
    return Source(data.train.x, data.density, [line, line])


def play(source: Source, seed: int, hidden: Sequence[int], training: Mapping[str, object]) -> Game:
    """Train a GAN's discriminator on `source` against a linear generator of the same mean and covariance."""
    d = source.x.shape[1]
    with seeded(torch.Generator().manual_seed(seed)):
        gan = build("gan", Event((d,), Real()), latent_dim=d, hidden=[], discriminator_hidden=list(hidden))
    generated = match_moments(gan, source.x)
    points = torch.cartesian_prod(*source.lines).view(-1, d)
    log_p, log_q = source.log_density(points), generated.log_prob(points)
    steps = int(cast(int, training["steps"]))
    marks = set(torch.logspace(0, math.log10(steps), _DRAWN).round().int().tolist())
    curve: list[tuple[int, float]] = []

    def note(step: int) -> None:
        if step in marks:
            curve.append((step, game_value(log_p, log_q, logits(gan, points))))

    fitted(OnePlayer(gan, "discriminator", note), Split(source.x, gan.event), **training)
    assert isinstance(gan, Sampler)
    fresh = gan.sample(len(source.x), generator=torch.Generator().manual_seed(seed + 1))
    assert isinstance(gan, Critic)
    bound = jensen_shannon_from_discriminator(gan, source.x, fresh)
    assert bound.stderr is not None
    largest = -math.log(4) + 2 * jensen_shannon(Categorical(logits=log_p), Categorical(logits=log_q)).value
    on_draws = (-math.log(4) + 2 * bound.value, 2 * bound.stderr)
    return Game(source.lines, log_p, log_q, logits(gan, points), curve, largest, on_draws)


@torch.no_grad()
def match_moments(gan: Model, x: Tensor) -> MultivariateNormal:
    """Give a linear generator the mean and the covariance of `x`; p_G, float64."""
    linear = linear_generator(gan)
    if linear.weight.shape != (x.shape[1], x.shape[1]):
        raise InputError("the generator must be linear, of as many latents as dimensions")
    linear.weight.copy_(torch.linalg.cholesky(torch.atleast_2d(torch.cov(x.double().T))))
    linear.bias.copy_(x.double().mean(0))
    return MultivariateNormal(linear.bias.double(), scale_tril=linear.weight.double())


@torch.no_grad()
def logits(gan: Model, points: Tensor) -> Tensor:
    assert isinstance(gan, Critic)
    return torch.cat([gan.criticise(part.float()).double() for part in points.split(_AT_ONCE)])


def game_value(log_p: Tensor, log_q: Tensor, logit: Tensor) -> float:
    """V = E_p[ln D] + E_q[ln(1 - D)] by the cells of a grid."""
    return float((log_p.softmax(0) * F.logsigmoid(logit) + log_q.softmax(0) * F.logsigmoid(-logit)).sum())


# -- The picture -------------------------------------------------------------------------------------------------------


def _picture(games: Mapping[str, Game]) -> Figure:
    whole = Figure(figsize=(13, 9.6), dpi=110, layout="constrained")
    top, *below = cast(Sequence[SubFigure], whole.subfigures(3, 1, height_ratios=(1.25, 0.8, 1)))
    left, right = top.subplots(1, 2)
    (line, on_line), *planes = games.items()
    _line(left, on_line)
    left.set_title(f"{line}: D against p / (p + p_G)")
    _values(right, games)
    for part, (name, game) in zip(below, planes, strict=True):
        _plane_row(part, name, game)
    return whole


def _line(axes: Axes, game: Game) -> None:
    x = game.lines[0].numpy()
    axes.fill_between(x, game.log_p.exp().numpy(), color="C0", alpha=0.3, linewidth=0, label="p, data")
    axes.fill_between(x, game.log_q.exp().numpy(), color="C1", alpha=0.3, linewidth=0, label="p_G, generated")
    axes.plot(x, (game.log_p - game.log_q).sigmoid().numpy(), color="0.2", linewidth=2.5, label="D* = p / (p + p_G)")
    axes.plot(x, game.logit.sigmoid().numpy(), color="C3", linewidth=1.2, linestyle="--", label="D, trained")
    seen = game.lines[0][torch.logaddexp(game.log_p, game.log_q) > math.log(1e-4)]
    axes.set_xlim(float(seen.min()), float(seen.max()))
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("x")
    axes.set_ylabel("probability of being real; density")
    axes.legend(loc="upper left", fontsize="small")
    axes.grid(alpha=0.3)


def _values(axes: Axes, games: Mapping[str, Game]) -> None:
    for color, (name, game) in zip(("C2", "C4", "C5"), games.items(), strict=True):
        steps, values = zip(*game.over_training, strict=True)
        label = f"{name}: reached {game.value:.4f} of {game.largest:.4f}"
        axes.semilogx(steps, values, "o-", color=color, markersize=3, label=label)
        axes.axhline(game.largest, color=color, linestyle="--", linewidth=1)
    axes.set_ylim(top=max(game.largest for game in games.values()) + 0.3)
    axes.set_xlabel("steps of the discriminator")
    axes.set_ylabel("V(D, G), nats")
    axes.set_title("V of the trained D (points) and -ln 4 + 2 JS (dashed)")
    axes.legend(loc="upper left", fontsize="small")
    axes.grid(alpha=0.3)


def _plane_row(part: SubFigure, name: str, game: Game) -> None:
    density = torch.logaddexp(game.log_p, game.log_q) > math.log(1e-3)
    shown = density.view(len(game.lines[0]), -1)
    spans = [line[shown.any(axis)] for line, axis in zip(game.lines, (1, 0), strict=True)]
    panels = {
        "p, data": game.log_p.exp(),
        "p_G, generated": game.log_q.exp(),
        "D* = p / (p + p_G)": (game.log_p - game.log_q).sigmoid(),
        f"D, trained\nmean |D - D*| = {game.distance:.4f}": game.logit.sigmoid(),
    }
    all_axes = part.subplots(1, len(panels))
    for place, (axes, (title, values)) in enumerate(zip(all_axes, panels.items(), strict=True)):
        cmap, top = ("magma", None) if place < 2 else ("RdBu", 1)
        image = axes.pcolormesh(
            *(line.numpy() for line in game.lines), values.view(shown.shape).T.numpy(), cmap=cmap, vmin=0, vmax=top
        )
        axes.set_xlim(float(spans[0].min()), float(spans[0].max()))
        axes.set_ylim(float(spans[1].min()), float(spans[1].max()))
        axes.set_aspect("equal")
        axes.set_xlabel("x₁")
        axes.set_ylabel("x₂")
        axes.set_title(f"{name}: {title}" if place == 0 else title, fontsize="medium")
        bar = part.colorbar(image, ax=axes, orientation="horizontal", shrink=0.75, aspect=30)
        bar.set_label("density" if place < 2 else "probability of being real")
