"""EM as coordinate ascent on the ELBO (Neal & Hinton 1998; Bishop 2006, section 9.4).

For any q over the latents,

    ln p(x; theta) = F(theta, q) + KL(q || p(z | x; theta)),    F = E_q[ln p(x, z; theta)] + H(q).

The E step climbs F in q: at the exact posterior F touches ln p(x). The M step climbs F in theta with that q, which is
no longer the posterior of the new theta: ln p(x) rises by more than F does, and the gap, the KL, opens again. F is what
the fit reports after each half-step; ln p(x) is taken from the model's density at the same moments.
"""

from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ancestral.data import Data, load_data
from ancestral.interface import ClosedFormFit, ExactDensity, InputError
from ancestral.reproduction.figure import Drawn, Root, figure, seeded_build
from ancestral.reproduction.measurement import Measurement

#: Iterations whose staircase is drawn.
_SHOWN = 8
#: A gap that is zero in float64 has no logarithm: it is drawn here.
_ZERO = 1e-17


@dataclass(frozen=True)
class _Ascent:
    """F after each E and each M step in turn, and ln p(x) of the parameters at that moment; both (2 * iterations,)."""

    f: Tensor
    log_prob: Tensor

    @property
    def gap(self) -> Tensor:
        return self.log_prob - self.f

    @property
    def largest_fall(self) -> float:
        return max(0.0, -float(self.f.diff().min()))


@figure(
    model="gaussian_mixture, ppca",
    data="wine",
    split="train",
    metric="largest distance of F to ln p(x) after an E step",
    unit="nats",
    source="Neal & Hinton 1998; Bishop 2006, section 9.4",
    notes="F(theta, q) as the fit reports it after each half-step, against ln p(x) by the density at that moment",
)
def em_elbo(
    seed: int,
    data_root: Root,
    progress: bool,
    *,
    components: int = 5,
    covariance: str = "diagonal",
    latent_dim: int = 3,
    iterations: int = 60,
) -> Drawn:
    """F(theta, q) after each E and each M step of a mixture and of PPCA, and its gap to ln p(x)."""
    data = load_data("wine", data_root=data_root)
    mixture = _ascent("gaussian_mixture", data, seed, iterations, components=components, covariance=covariance)
    ppca = _ascent("ppca", data, seed, iterations, latent_dim=latent_dim, method="em")
    ascents = {
        f"Gaussian mixture, {components} components": mixture,
        f"probabilistic PCA, {latent_dim} latent dimensions": ppca,
    }
    both = (mixture, ppca)
    measurement = Measurement(
        value=max(float(ascent.gap[::2].abs().max()) for ascent in both),
        stderr=None,
        kind="exact",
        baselines={
            "largest fall of F in a half-step": max(ascent.largest_fall for ascent in both),
            "gap after the first M step of the mixture": float(mixture.gap[1]),
            "gap after the first M step of PPCA": float(ppca.gap[1]),
        },
    )
    return Drawn(_picture(ascents, data.name), measurement)


def _ascent(name: str, data: Data, seed: int, iterations: int, **settings: object) -> _Ascent:
    model, x = seeded_build(name, data, seed, settings), data.train.x
    if not isinstance(model, ClosedFormFit) or not isinstance(model, ExactDensity):
        raise InputError(f"{name} has no EM with a likelihood to draw")
    model.fit_start(x, generator=torch.Generator().manual_seed(seed))
    f: list[float] = []
    log_prob: list[float] = []
    for _ in range(iterations):
        before = float(model.log_prob(x).mean())
        trace = dict(model.fit_step(x).trace)
        f += [trace["E"], trace["M"]]
        log_prob += [before, float(model.log_prob(x).mean())]
    return _Ascent(torch.tensor(f, dtype=torch.float64), torch.tensor(log_prob, dtype=torch.float64))


def _picture(ascents: dict[str, _Ascent], data: str) -> Figure:
    whole = Figure(figsize=(12, 4.2 * len(ascents)), dpi=120, layout="constrained")
    whole.suptitle(f"EM as coordinate ascent on F(θ, q), {data}")
    for (name, ascent), (left, right) in zip(ascents.items(), whole.subplots(len(ascents), 2), strict=True):
        _staircase(left, ascent)
        left.set_title(f"{name}: the first {_SHOWN} iterations")
        _gaps(right, ascent)
        right.set_title("the gap to ln p(x), all iterations")
    return whole


def _staircase(axes: Axes, ascent: _Ascent) -> None:
    f, log_prob = ascent.f[: 2 * _SHOWN].numpy(), ascent.log_prob[: 2 * _SHOWN].numpy()
    at = [step / 2 for step in range(len(f))]
    axes.fill_between(at, f, log_prob, step="post", color="C3", alpha=0.25, linewidth=0, label="gap, KL(q || p(z|x))")
    axes.step(at, log_prob, where="post", color="0.2", linewidth=1.2, label="ln p(x; θ)")
    axes.step(at, f, where="post", color="C0", linewidth=1.2, label="F(θ, q)")
    axes.plot(at[::2], f[::2], "o", color="C0", markersize=5, label="F after an E step")
    axes.plot(at[1::2], f[1::2], "s", color="C1", markersize=5, label="F after an M step")
    axes.set_xlabel("iteration")
    axes.set_ylabel("nats per example")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")


def _gaps(axes: Axes, ascent: _Ascent) -> None:
    gap = ascent.gap.abs().clamp(min=_ZERO)
    at = torch.arange(len(gap)) / 2
    axes.semilogy(at[1::2], gap[1::2], "s-", color="C1", markersize=3, linewidth=1, label="after an M step")
    axes.semilogy(at[::2], gap[::2], "o", color="C0", markersize=3, label=f"after an E step (0 at {_ZERO:g})")
    axes.axhspan(0, 1e-14, color="0.5", alpha=0.12, label="rounding in float64")
    axes.set_xlabel("iteration")
    axes.set_ylabel("|ln p(x) - F|, nats per example")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="center right")
