"""The exact posterior of a 2-D latent on a grid, against what a VAE, an IWAE and a flow posterior put in its place.

With two latents p(z | x) = p(x, z) / p(x) can be had exactly: p(x, z) on a fine grid, and its sum for p(x). Each model
has the posterior of its own decoder, which learned beside its q: a VAE's (Kingma & Welling 2014) is drawn to what a
diagonal Gaussian can follow, an IWAE's (Burda et al. 2016) may be of any form, for its q is a proposal only. What the
bound of k samples puts in the posterior's place is the proposal resampled by its weights (Cremer, Morris & Duvenaud
2017, "Reinterpreting importance-weighted autoencoders", arXiv:1704.02916),

    q_IW(z | x) = E_{z_2..z_k ~ q}[p(x, z) / (1/k (w(z) + w(z_2) + ... + w(z_k)))],    w(z) = p(x, z) / q(z | x).

A flow (Rezende & Mohamed 2015; Kingma et al. 2016) bends q itself.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from torch import Tensor

from ancestral.data import load_data
from ancestral.evaluation import spread_rows, standard_error
from ancestral.interface import Encoder, InputError, JointDensity, Model, seeded
from ancestral.reproduction.figure import Drawn, Root, figure, fitted, seeded_build
from ancestral.reproduction.measurement import Measurement
from ancestral.training import Cosine

#: The mass of the smallest regions that the contours enclose.
_MASSES = (0.99, 0.9, 0.5)
#: How far from the origin latents are looked for, the step of that search, and how many nats below its mode a posterior
#: counts as nothing.
_REACH, _STEP, _DEPTH = 5.0, 0.075, 16.0
#: Draws that tell where q lies, and of the other k - 1 samples in q_IW.
_DRAWS, _OTHERS = 2000, 200
#: Points that go through a decoder at once.
_AT_ONCE = 8192
#: Observations that are drawn.
_SHOWN = 4


@dataclass(frozen=True)
class OnGrid:
    """Log-densities of z given one x in nats, (side, side) each, on a grid that holds the mass of them all."""

    #: The coordinates of the grid's columns and rows, (side,) each.
    horizontal: Tensor
    vertical: Tensor
    posterior: Tensor
    q: Tensor
    #: q resampled by importance weights; q itself where these are of one sample.
    q_iw: Tensor
    #: ln p(x), by the sum of p(x, z) over the grid.
    log_prob: float

    @property
    def cell(self) -> float:
        """The area that a point of the grid stands for."""
        return float((self.horizontal[1] - self.horizontal[0]) * (self.vertical[1] - self.vertical[0]))

    def divergence(self, q: Tensor) -> float:
        """KL(q || p(z | x)) in nats of a density on the grid."""
        return float((q.exp() * self.cell * (q - self.posterior)).sum())


@figure(
    model="vae, iwae, flow_vae",
    data="digits",
    metric="KL(q || p(z | x)) of the flow posterior",
    unit="nats",
    source="Burda et al. 2016; Rezende & Mohamed 2015; Cremer, Morris & Duvenaud 2017 (arXiv:1704.02916)",
    notes="mean over test rows; a few whose q misses the posterior weigh much, so medians stand beside it; p(z | x) is"
    " that of each model's own decoder, by a grid over its 2 latents, so the figures are of different posteriors; q_IW"
    " is the IWAE's q resampled by its importance weights",
)
def true_posterior(
    seed: int,
    data_root: Root,
    progress: bool,
    *,
    hidden: Sequence[int] = (200,),
    importance_samples: int = 20,
    posterior: str = "iaf",
    length: int = 4,
    epochs: int = 100,
    rows: int = 60,
    side: int = 200,
) -> Drawn:
    """The exact posterior of a 2-D latent, against a VAE's q, an IWAE's with its resampling, and a flow's."""
    data = load_data("digits", data_root=data_root)
    x = {split: of.x[spread_rows(rows, len(of))] for split, of in (("test", data.test), ("train", data.train))}
    own: Mapping[str, Mapping[str, Any]] = {
        "vae": {},
        "iwae": {"importance_samples": importance_samples},
        "flow_vae": {"posterior": posterior, "length": length},
    }
    found: dict[tuple[str, str], list[OnGrid]] = {}
    for name, settings in own.items():
        model = seeded_build(name, data, seed, {"latent_dim": 2, "hidden": list(hidden), **settings})
        fitted(model, data, epochs=epochs, batch_size=64, lr=2e-3, schedule=Cosine(), seed=seed, progress=progress)
        k = importance_samples if name == "iwae" else 1
        for split in x:
            grids = (posterior_on_grid(model, row[None], side, importance_samples=k, seed=seed) for row in x[split])
            found[name, split] = list(grids)

    def mean(name: str, split: str, *, resampled: bool = False) -> float:
        return float(_divergences(found[name, split], resampled=resampled).mean())

    flow = _divergences(found["flow_vae", "test"])
    baselines = {"of the VAE's q": mean("vae", "test"), "of the IWAE's q": mean("iwae", "test")}
    baselines["of the IWAE's q_IW"] = mean("iwae", "test", resampled=True)
    baselines |= {f"median, {name}": float(_divergences(found[name, "test"]).median()) for name in own}
    baselines |= {f"training rows, {name}": mean(name, "train") for name in own}
    measurement = Measurement(
        float(flow.mean()), standard_error(flow), f"a grid of {side} x {side}", baselines=baselines
    )
    of_iw = f"of q_IW {mean('iwae', 'test', resampled=True):.2f}"
    titles = {
        f"VAE\nmean KL {mean('vae', 'test'):.2f} nats": found["vae", "test"],
        f"IWAE, k = {importance_samples}\nmean KL {mean('iwae', 'test'):.2f} nats, {of_iw}": found["iwae", "test"],
        f"VAE with a flow ({posterior}, {length} maps)\nmean KL {flow.mean():.2f} nats": found["flow_vae", "test"],
    }
    return Drawn(_picture(x["test"], titles), measurement)


def _divergences(grids: Sequence[OnGrid], *, resampled: bool = False) -> Tensor:
    """KL(q || p(z | x)), or of q_IW, of each x in nats."""
    return torch.tensor([on.divergence(on.q_iw if resampled else on.q) for on in grids])


@torch.no_grad()
def posterior_on_grid(model: Model, x: Tensor, side: int, *, importance_samples: int = 1, seed: int = 0) -> OnGrid:
    """p(z | x), q(z | x) and q_IW(z | x) of k `importance_samples` of one observation (1, *event), on a grid of side x
    side points. The expectation over the other k - 1 samples is by draws."""
    if not isinstance(model, Encoder) or not isinstance(model, JointDensity) or model.latent_size != 2:
        raise InputError(f"{model.display_name} has no q(z | x) and p(x, z) of 2 latents to draw on a grid")
    q, decoder = model.encode(x), model

    def log_joint(z: Tensor) -> Tensor:
        return torch.cat([decoder.log_joint(x.expand(len(part), *x.shape[1:]), part) for part in z.split(_AT_ONCE)])

    with seeded(torch.Generator().manual_seed(seed), model.device):
        draws = q.sample((_DRAWS,))[:, 0]
        others = q.sample((_OTHERS, importance_samples - 1))[:, :, 0]
    line = torch.arange(-_REACH, _REACH, _STEP)
    coarse = torch.cartesian_prod(line, line).to(draws)
    height = log_joint(coarse)
    there = torch.cat([coarse[height > height.max() - _DEPTH], draws])
    # Of q a margin beyond its outermost draws, of the posterior a step.
    margin = _STEP + 0.25 * (draws.amax(0) - draws.amin(0))
    low, high = there.amin(0) - margin, there.amax(0) + margin
    horizontal, vertical = (torch.linspace(float(a), float(b), side).double() for a, b in zip(low, high, strict=True))
    z = torch.cartesian_prod(horizontal, vertical).to(draws)
    joint = log_joint(z).double()
    log_cell = math.log(float((horizontal[1] - horizontal[0]) * (vertical[1] - vertical[0])))
    log_prob = float(joint.logsumexp(0)) + log_cell
    log_q = q.log_prob(z[:, None])[:, 0].double()
    q_iw = log_q
    if importance_samples > 1:
        weights = log_joint(others.flatten(0, 1)).view(others.shape[:2]) - q.log_prob(others[:, :, None])[:, :, 0]
        total = torch.logaddexp((joint - log_q)[:, None], weights.double().logsumexp(1))
        q_iw = (joint[:, None] - total).logsumexp(1)
        q_iw -= q_iw.logsumexp(0) + log_cell
    posterior, log_q, q_iw = (log_density.view(side, side).T for log_density in (joint - log_prob, log_q, q_iw))
    return OnGrid(horizontal, vertical, posterior, log_q, q_iw, log_prob)


# -- The picture -------------------------------------------------------------------------------------------------------


def _picture(x: Tensor, found: Mapping[str, Sequence[OnGrid]]) -> Figure:
    shown = spread_rows(_SHOWN, len(x)).tolist()
    whole = Figure(figsize=(13, 3.1 * len(shown) + 1), dpi=110, layout="constrained")
    all_axes = whole.subplots(len(shown), 1 + len(found), squeeze=False, width_ratios=(0.55, *[1] * len(found)))
    for row, (first, *others) in zip(shown, all_axes, strict=True):
        first.imshow(x[row, 0].numpy(), cmap="gray_r")
        first.set_axis_off()
        for axes, grids in zip(others, found.values(), strict=True):
            _contours(axes, grids[row])
    for axes, title in zip(all_axes[0, 1:], found, strict=True):
        axes.set_title(title)
    words = [
        Patch(color="C0", alpha=0.5, label="p(z | x), exact"),
        Line2D([], [], color="C3", label="q(z | x)"),
        Line2D([], [], color="k", linestyle="--", label="q_IW(z | x)"),
    ]
    whole.legend(handles=words, loc="outside lower center", ncols=3, frameon=False)
    whole.suptitle(f"Regions of {', '.join(f'{mass:.0%}' for mass in reversed(_MASSES))} of the mass; 2 latents")
    return whole


def _contours(axes: Axes, on: OnGrid) -> None:
    where = (on.horizontal.numpy(), on.vertical.numpy())
    exact = on.posterior.exp()
    levels = [*_levels(exact, on.cell), float(exact.max())]
    axes.contourf(*where, exact.numpy(), levels, cmap="Blues", vmin=-float(exact.max()) / 3)
    drawn = [(on.q, "C3", "solid"), (on.q_iw, "k", "dashed")]
    resampled = not torch.equal(on.q_iw, on.q)
    for log_density, color, style in drawn if resampled else drawn[:1]:
        density = log_density.exp()
        levels = _levels(density, on.cell)
        axes.contour(*where, density.numpy(), levels, colors=color, linewidths=1.1, linestyles=style)
    said = f"KL {on.divergence(on.q):.2f}" + (f", of q_IW {on.divergence(on.q_iw):.2f}" if resampled else "")
    axes.text(0.03, 0.97, said, transform=axes.transAxes, va="top", fontsize="small")
    _zoom(axes, on)


def _levels(density: Tensor, cell: float) -> list[float]:
    """The densities at the edges of the smallest regions of each mass, from the lowest on."""
    sorted_ = density.flatten().sort(descending=True).values
    mass = sorted_.cumsum(0) * cell
    return [float(sorted_[min(int((mass < share * mass[-1]).sum()), len(sorted_) - 1)]) for share in _MASSES]


def _zoom(axes: Axes, on: OnGrid) -> None:
    """Cut the axes to what the outermost contours enclose."""
    inside = torch.zeros_like(on.q, dtype=torch.bool)
    for log_density in (on.posterior, on.q):
        density = log_density.exp()
        inside |= density >= _levels(density, on.cell)[0]
    for line, seen, limit in (
        (on.horizontal, inside.any(0), axes.set_xlim),
        (on.vertical, inside.any(1), axes.set_ylim),
    ):
        low, high = float(line[seen].min()), float(line[seen].max())
        limit(low - 0.1 * (high - low), high + 0.15 * (high - low))
