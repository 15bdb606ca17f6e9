"""Adversarial models on a mixture of Gaussians whose modes are known: how many each misses, over several seeds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.distributions import Categorical

from ancestral.data import Data, load_data
from ancestral.data.synthetic import Gaussians
from ancestral.evaluation import kl_divergence, standard_error
from ancestral.evaluation.modes import ModeCoverage, mode_coverage
from ancestral.interface import InputError, Sampler
from ancestral.output import counted
from ancestral.reproduction.figure import Drawn, Root, fitted, seeded_build
from ancestral.reproduction.measurement import Measurement
from ancestral.training import training_arguments

#: Samples in which modes are counted, as many as Srivastava et al. 2017 (VEEGAN) draw.
_SAMPLES = 2500


@dataclass(frozen=True)
class Player:
    """A model to train: its registered name, its settings, and those of `fit` as a recipe spells them."""

    model: str
    settings: Mapping[str, Any]
    training: Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """Samples of a model from one seed, the modes that they hit, and how unevenly: KL(nearest modes || uniform), in
    nats up to ln(modes), where all lie at one."""

    x: Tensor
    coverage: ModeCoverage
    unevenness: float


def players(
    hidden: Sequence[int],
    latent_dim: int,
    training: Mapping[str, Any],
    lr: float,
    wgan: Mapping[str, Any],
    wgan_gp: Mapping[str, Any],
) -> dict[str, Player]:
    """Both GANs, WGAN and WGAN-GP of networks of one size, which see as many batches at one learning rate; and the GANs
    at their own, which stays as it is."""
    judged = {"latent_dim": latent_dim, "hidden": list(hidden)}
    discriminator, critic = {"discriminator_hidden": list(hidden)}, {"critic_hidden": list(hidden)}
    tuned = {**training, "lr": lr}
    own = {name: value for name, value in training.items() if name != "schedule"}
    minimax = {**judged, **discriminator, "objective": "minimax"}
    return {
        "minimax": Player("gan", minimax, tuned),
        "non-saturating": Player("gan", {**judged, **discriminator}, tuned),
        "WGAN": Player("wgan", {**judged, **critic, **wgan}, tuned),
        "WGAN-GP": Player("wgan_gp", {**judged, **critic, **wgan_gp}, tuned),
        "minimax, constant rate": Player("gan", minimax, own),
        "non-saturating, constant rate": Player("gan", {**judged, **discriminator}, own),
    }


def modes_drawn(
    data_name: str,
    named: Mapping[str, Player],
    value_of: str,
    seed: int,
    data_root: Root,
    progress: bool,
    *,
    repetitions: int,
    noise: float,
    rows: int,
) -> Drawn:
    """Train each of the players from `repetitions` seeds; the number is how many modes `value_of` misses."""
    if repetitions < 1:
        raise InputError(f"repetitions must be at least 1, got {repetitions}")
    data = load_data(data_name, data_root=data_root, noise=noise, n=rows, seed=seed)
    if not isinstance(data.density, Gaussians):
        raise InputError(f"modes are counted on a mixture of Gaussians; {data_name} is none")
    found = {
        name: [trial(player, data, seed + repetition, progress) for repetition in range(repetitions)]
        for name, player in named.items()
    }
    real = _counted(data.test.x[:_SAMPLES], data)
    baselines: dict[str, float] = {}
    for name, trials in found.items():
        missed = torch.tensor([one.coverage.missed for one in trials]).double()
        low = torch.tensor([one.coverage.low_quality for one in trials]).double()
        if name != value_of:
            baselines[f"missed, {name}"] = float(missed.mean())
        baselines[f"low quality, {name}, %"] = 100 * float(low.mean())
        uneven = torch.tensor([one.unevenness for one in trials]).double()
        baselines[f"KL(modes drawn || uniform), {name}, nats"] = float(uneven.mean())
    baselines["low quality, real rows, %"] = 100 * real.low_quality
    missed = torch.tensor([one.coverage.missed for one in found[value_of]]).double()
    stderr = standard_error(missed) if repetitions > 1 else None
    return Drawn(_picture(data, found, real), Measurement(float(missed.mean()), stderr, "counted", baselines=baselines))


def trial(player: Player, data: Data, seed: int, progress: bool) -> Trial:
    """Train from one seed, and count."""
    model = seeded_build(player.model, data, seed, player.settings)
    fitted(model, data, **{**training_arguments(player.training), "seed": seed, "progress": progress})
    assert isinstance(model, Sampler)
    x = model.sample(_SAMPLES, generator=torch.Generator().manual_seed(seed))
    return Trial(x, _counted(x, data), unevenness(x, cast(Gaussians, data.density).centres))


def unevenness(x: Tensor, centres: Tensor) -> float:
    """KL of the shares of samples that are nearest to each mode from equal shares, in nats."""
    nearest = torch.cdist(x.double(), centres).argmin(1).bincount(minlength=len(centres)).double()
    return kl_divergence(Categorical(nearest), Categorical(torch.ones(len(centres)).double())).value


def _counted(x: Tensor, data: Data) -> ModeCoverage:
    source = cast(Gaussians, data.density)
    return mode_coverage(x, source.centres.to(x), source.deviation)


# -- The picture -------------------------------------------------------------------------------------------------------


def _picture(data: Data, found: Mapping[str, Sequence[Trial]], real: ModeCoverage) -> Figure:
    columns = 4
    rows = math.ceil((2 + len(found)) / columns)
    whole = Figure(figsize=(4 * columns, 4.2 * rows), dpi=110, layout="constrained")
    panels = whole.subplots(rows, columns).flatten()
    source = cast(Gaussians, data.density)
    reach = 1.25 * float(source.centres.abs().max()) + 3 * source.deviation
    _cloud(panels[0], data.test.x[:_SAMPLES], f"data: {real.modes} modes\n{real.low_quality:.1%} at none", reach)
    for axes, (name, trials) in zip(panels[1:], found.items(), strict=False):
        shown = trials[0].coverage
        title = f"{name}\n{shown.missed} of {shown.modes} missed, {shown.low_quality:.1%} at none (first seed)"
        _cloud(axes, trials[0].x, title, reach)
        circle = source.centres.numpy()
        axes.plot(circle[:, 0], circle[:, 1], "o", color="C3", markersize=9, fillstyle="none", alpha=0.5)
    _bars(panels[1 + len(found)], found)
    for axes in panels[2 + len(found) :]:
        axes.set_axis_off()
    return whole


def _cloud(axes: Axes, x: Tensor, title: str, reach: float) -> None:
    axes.plot(x[:, 0], x[:, 1], ".", color="C0", markersize=2, alpha=0.5)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.set_aspect("equal")
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel("x₁")
    axes.set_ylabel("x₂")


def _bars(axes: Axes, found: Mapping[str, Sequence[Trial]]) -> None:
    """The modes missed by every seed, and the share of samples at none."""
    share = axes.twinx()
    for place, trials in enumerate(found.values()):
        missed = [one.coverage.missed for one in trials]
        axes.bar(place - 0.2, sum(missed) / len(missed), 0.38, color="C3", alpha=0.6)
        axes.plot([place - 0.2] * len(missed), missed, "k.", markersize=4)
        low = [100 * one.coverage.low_quality for one in trials]
        share.bar(place + 0.2, sum(low) / len(low), 0.38, color="C0", alpha=0.6)
        share.plot([place + 0.2] * len(low), low, "k.", markersize=4)
    axes.set_xticks(range(len(found)), list(found), rotation=35, ha="right")
    axes.set_ylabel("modes missed", color="C3")
    most = max(one.coverage.missed for trials in found.values() for one in trials)
    axes.set_ylim(0, max(1, 1.1 * most))
    share.set_ylabel("samples at no mode, %", color="C0")
    share.set_ylim(0, 100)
    axes.set_title(f"mean of {counted(len(next(iter(found.values()))), 'seed')} (points: each)", fontsize="medium")
