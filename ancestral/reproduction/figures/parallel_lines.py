"""Two parallel lines: where Kullback-Leibler and Jensen-Shannon see nothing but that they differ, and Wasserstein how.

P_0 is the law of (0, Z) and P_theta that of (theta, Z), Z ~ U(0, 1) (Arjovsky et al. 2017, "Wasserstein GAN", example
1). Unless theta = 0, KL = infinity both ways, JS = ln 2, and W_1 = |theta|: only the last says which way to move theta.

Both lines share Z, so that the divergences are those of their first coordinates, atoms at 0 and theta: exact. Beside
them what is estimated from draws alone: JS by a GAN's discriminator, W_1 by the critic of a WGAN with gradient penalty
and by exact transport (POT), and the bound on KL of a discriminator that is trained on and on, which has no end. The
models' generators are replaced by P_theta and do not move.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.distributions import Categorical

from ancestral.data import Split
from ancestral.evaluation import (
    Divergence,
    jensen_shannon,
    jensen_shannon_from_discriminator,
    kl_divergence,
    kl_from_discriminator,
    wasserstein,
    wasserstein_from_critic,
    wasserstein_from_samples,
)
from ancestral.interface import Critic, Event, Model, Real, seeded
from ancestral.registry import build
from ancestral.reproduction.figure import Drawn, Root, figure, fitted
from ancestral.reproduction.games import OnePlayer
from ancestral.reproduction.measurement import Measurement
from ancestral.training import Cosine

_KL_POINTS = 15


class Line(nn.Module):
    """(theta, Z), with Z uniform of one Gaussian latent."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = theta

    def forward(self, z: Tensor) -> Tensor:
        return torch.cat([torch.full_like(z, self.theta), torch.special.ndtr(z)], dim=1)


@dataclass(frozen=True)
class _At:
    """The divergences of P_0 and P_theta, exact and as they are estimated."""

    theta: float
    kl: Divergence
    js: Divergence
    w1: Divergence
    js_by_discriminator: Divergence
    w1_by_critic: Divergence
    #: Without a division by the largest slope.
    w1_as_trained: Divergence
    w1_by_transport: Divergence
    #: Of the bound on KL, by steps of the discriminator.
    kl_over_training: Sequence[tuple[int, float]]

    @property
    def errors(self) -> dict[str, float]:
        """Relative to what theory says, in %, where theta is not 0."""
        theory = {"JS": math.log(2), "W_1": abs(self.theta)}
        found = {
            "JS, exact": ("JS", self.js),
            "W_1, exact": ("W_1", self.w1),
            "JS by the discriminator": ("JS", self.js_by_discriminator),
            "W_1 by the critic": ("W_1", self.w1_by_critic),
            "W_1 by transport": ("W_1", self.w1_by_transport),
        }
        return {name: 100 * abs(of.value - theory[which]) / theory[which] for name, (which, of) in found.items()}


@figure(
    model="gan, wgan_gp",
    data="parallel lines",
    split="none",
    metric="largest relative error of JS = ln 2 and W_1 = |theta|",
    unit="%",
    source="Arjovsky et al. 2017 (arXiv:1701.07875), example 1",
    notes="over every theta but 0, exact and by discriminator, critic and POT on fresh draws; KL is infinite, as the"
    " closed form says: what stands here is the largest lower bound that a discriminator gave; the critic's difference"
    " of means is divided by its largest slope, without which the gradient penalty leaves it too large",
)
def parallel_lines(
    seed: int,
    data_root: Root,
    progress: bool,
    *,
    thetas: Sequence[float] = (-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0),
    hidden: Sequence[int] = (32, 32),
    penalty: float = 10.0,
    steps: int = 1000,
    batch_size: int = 256,
    lr: float = 5e-3,
    rows: int = 50_000,
    transported: int = 1000,
) -> Drawn:
    """KL = infinity, JS = ln 2 and W = |theta| on parallel lines: exact, and by discriminator, critic and transport."""
    how = {"steps": steps, "batch_size": batch_size, "lr": lr, "seed": seed, "progress": progress}
    found = []
    for theta in thetas:
        atoms = Categorical(torch.tensor([1.0, 0.0]).double()), Categorical(torch.tensor([0.0, 1.0]).double())
        if theta == 0:
            atoms = atoms[0], atoms[0]
        points = torch.tensor([[0.0], [theta]], dtype=torch.float64)
        train, x, y = (line(place, rows, seed + i) for i, place in enumerate((0.0, 0.0, theta)))
        curve: list[tuple[int, float]] = []
        gan = trained("gan", train, theta, seed, {"discriminator_hidden": list(hidden)}, how, curve, x, y)
        judged = {"critic_hidden": list(hidden), "penalty": penalty}
        critic = trained("wgan_gp", train, theta, seed, judged, {**how, "schedule": Cosine()})
        found.append(
            _At(
                theta,
                kl_divergence(*atoms),
                jensen_shannon(*atoms),
                wasserstein(*atoms, points=points),
                jensen_shannon_from_discriminator(gan, x, y),
                wasserstein_from_critic(critic, x, y, lipschitz=None),
                wasserstein_from_critic(critic, x, y, lipschitz=1.0),
                wasserstein_from_samples(x[:transported], y[:transported]),
                curve,
            )
        )
    apart = [at for at in found if at.theta]
    worst = {name: max(at.errors[name] for at in apart) for name in apart[0].errors}
    as_trained = max(100 * abs(at.w1_as_trained.value / abs(at.theta) - 1) for at in apart)
    baselines = {f"error of {name}, %": value for name, value in worst.items()}
    baselines["error of W_1 by the critic without its slope, %"] = as_trained
    baselines["infinite KL, at least"] = max(value for at in apart for _, value in at.kl_over_training)
    for at in found:
        if at.theta == 0:
            same = {
                "JS by the discriminator": at.js_by_discriminator,
                "W_1 by the critic": at.w1_as_trained,
                "W_1 by transport": at.w1_by_transport,
            }
            baselines |= {f"theta = 0, {name}": of.value for name, of in same.items()}
    if not all(at.kl.value == math.inf for at in apart):
        raise AssertionError("KL of disjoint lines must be infinite")
    return Drawn(_picture(found), Measurement(max(worst.values()), None, "estimate", baselines=baselines))


def line(theta: float, n: int, seed: int) -> Tensor:
    """Draws of (theta, Z)."""
    z = torch.rand(n, 1, generator=torch.Generator().manual_seed(seed))
    return torch.cat([torch.full_like(z, theta), z], dim=1)


def trained(
    name: str,
    x: Tensor,
    theta: float,
    seed: int,
    settings: Mapping[str, object],
    training: Mapping[str, object],
    curve: list[tuple[int, float]] | None = None,
    *fresh: Tensor,
) -> Critic:
    """The discriminator or critic of P_0 against P_theta; into `curve` go its bounds on KL on `fresh` draws."""
    with seeded(torch.Generator().manual_seed(seed)):
        game: Model = build(name, Event((2,), Real()), latent_dim=1, hidden=[4], **settings)
    assert isinstance(game, Critic)
    game.generator = Line(theta)
    marks = set(torch.logspace(0, math.log10(int(str(training["steps"]))), _KL_POINTS).round().int().tolist())

    def note(step: int) -> None:
        if curve is not None and step in marks:
            curve.append((step, kl_from_discriminator(game, *fresh).value))

    fitted(OnePlayer(game, game.phases()[0].name, note), Split(x, game.event), **training)
    return game


# -- The picture -------------------------------------------------------------------------------------------------------


def _picture(found: Sequence[_At]) -> Figure:
    whole = Figure(figsize=(13, 8.2), dpi=110, layout="constrained")
    (lines, kl), (js, w1) = whole.subplots(2, 2)
    _lines(lines, found)
    _kl(kl, found)
    thetas = [at.theta for at in found]
    js.plot(thetas, [at.js.value for at in found], "o", color="0.4", markersize=11, fillstyle="none", label="exact")
    js.plot(thetas, [at.js_by_discriminator.value for at in found], "x", color="C3", label="by a GAN's discriminator")
    js.axhline(math.log(2), color="0.7", linestyle="--", linewidth=1, label="ln 2")
    js.set_title("Jensen-Shannon divergence: ln 2, wherever the lines are")
    js.set_ylabel("JS, nats")
    js.set_ylim(-0.03, 0.8)
    w1.plot(thetas, [at.w1.value for at in found], "o", color="0.4", markersize=11, fillstyle="none", label="exact")
    w1.plot(thetas, [at.w1_by_critic.value for at in found], "x", color="C0", label="by a WGAN-GP critic and its slope")
    w1.plot(thetas, [at.w1_as_trained.value for at in found], "+", color="C4", label="by the critic as trained")
    w1.plot(thetas, [at.w1_by_transport.value for at in found], "_", color="C2", markersize=14, label="by transport")
    reach = [min(thetas), 0, max(thetas)]
    w1.plot(reach, [abs(theta) for theta in reach], color="0.7", linestyle="--", linewidth=1, zorder=0, label="|θ|")
    w1.set_title("Wasserstein distance: it says how far")
    w1.set_ylabel("W_1, in the unit of θ")
    for axes in (js, w1):
        axes.set_xlabel("θ, distance of the lines")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small", loc="center right" if axes is js else "upper center")
    return whole


def _lines(axes: Axes, found: Sequence[_At]) -> None:
    for at in found:
        if at.theta:
            axes.plot([at.theta] * 2, [0, 1], color="C1", alpha=0.8)
    axes.plot([], [], color="C1", label="P_θ, the law of (θ, Z)")
    axes.plot([0, 0], [0, 1], color="C0", linewidth=3, label="P_0, the law of (0, Z)")
    axes.set_title("uniform distributions on parallel lines, Z ~ U(0, 1)")
    axes.set_xlabel("first coordinate")
    axes.set_ylabel("second coordinate")
    axes.set_ylim(-0.1, 1.45)
    axes.legend(fontsize="small", loc="upper center", ncols=2)


def _kl(axes: Axes, found: Sequence[_At]) -> None:
    for at in found:
        if at.theta >= 0:
            steps, values = zip(*at.kl_over_training, strict=True)
            exact = "infinite" if math.isinf(at.kl.value) else f"{at.kl.value:g}"
            axes.plot(steps, values, "o-", markersize=3, label=f"θ = {at.theta:g}, KL is {exact}")
    axes.set_xscale("log")
    axes.set_title("Kullback-Leibler: a discriminator's lower bound never ends")
    axes.set_xlabel("steps of the discriminator")
    axes.set_ylabel("Donsker-Varadhan bound, nats")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
