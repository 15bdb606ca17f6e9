"""Amortized against per-example inference: what an encoder loses on its own decoder, and on one trained without it.

Both decoders are of one architecture and take as many steps of Adam on the ELBO (the M steps of variational EM, Neal &
Hinton 1998). The first is a VAE's: its E step is an inference network (Kingma & Welling 2014). The second has a
diagonal Gaussian q of its own for each training row, which some steps of Adam improve before each M step; an encoder
is trained on it afterwards, with the decoder fixed. The bounds of both are then taken by their encoder and by the best
q of each row (Cremer et al. 2018). No checkpoint is chosen: the last weights count.
"""

import math
from collections.abc import Iterable, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ancestral.data import Split, load_data
from ancestral.distributions import DiagonalGaussian
from ancestral.evaluation import spread_rows, standard_error
from ancestral.evaluation.amortization import InferenceBounds, fit_posteriors, inference_bounds
from ancestral.interface import InputError, JointDensity, Model
from ancestral.reproduction.figure import Drawn, Root, figure, fitted, seeded_build
from ancestral.reproduction.measurement import Measurement
from ancestral.training import Cosine

_LR, _BATCH = 2e-3, 64
_NAMES = ("the VAE's decoder", "variational EM's decoder")


@figure(
    model="vae",
    data="digits",
    metric="amortization gap",
    unit="nats",
    source="Cremer et al. 2018 (arXiv:1801.03558); Neal & Hinton 1998",
    notes="the mean ELBO of a test row by the best diagonal Gaussian of its own less that by the encoder, one decoder;"
    " beside it the same of a decoder trained by variational EM with a q for each example, an encoder trained on it"
    " afterwards; -ln p(x) is bounded by importance samples from the best q",
)
def amortization_gap(
    seed: int,
    data_root: Root,
    progress: bool,
    *,
    latent_dim: int = 8,
    hidden: Sequence[int] = (128,),
    epochs: int = 100,
    e_steps: int = 10,
    rows: int = 180,
    steps: int = 500,
    samples: int = 1000,
) -> Drawn:
    """What an encoder's ELBO lacks of the best one of each example, on a VAE's decoder and on one of variational EM."""
    data = load_data("digits", data_root=data_root)
    settings = {"latent_dim": latent_dim, "hidden": list(hidden), "activation": "relu"}
    how = {"epochs": epochs, "batch_size": _BATCH, "lr": _LR, "schedule": Cosine(), "seed": seed, "progress": progress}
    amortized, per_example = (seeded_build("vae", data, seed, settings) for _ in _NAMES)
    fitted(amortized, data.train, **how)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        _variational_em(per_example, data.train, epochs, e_steps, progress)
    fitted(per_example, data.train, **how)
    shown = {
        f"{name}, {split} rows": inference_bounds(
            model,
            of.take(spread_rows(rows, len(of))),
            steps=steps,
            samples=samples,
            seed=seed,
            progress=progress,
        )
        for split, of in (("test", data.test), ("train", data.train))
        for name, model in zip(_NAMES, (amortized, per_example), strict=True)
    }
    test, test_em, train, train_em = shown.values()
    gaps = test.per_example - test.amortized
    baselines = {"gap on training rows": _gap(train), **_bounds(test)}
    of_em = {"gap": _gap(test_em), "gap on training rows": _gap(train_em), **_bounds(test_em)}
    baselines |= {f"variational EM: {name}": value for name, value in of_em.items()}
    measurement = Measurement(
        float(gaps.mean()), standard_error(gaps), f"{samples:,} fresh draws a row", None, baselines
    )
    return Drawn(_picture(shown), measurement)


def _variational_em(model: Model, train: Split, epochs: int, e_steps: int, progress: bool) -> None:
    """Train the decoder in place with a q of its own for each row, and leave its weights frozen."""
    if not isinstance(model, JointDensity):
        raise InputError(f"{model.display_name} has no ln p(x, z) to climb")
    x = train.x
    #: The mean and the log-variance of each row's q, from the prior on.
    posteriors = torch.zeros(len(x), 2 * model.latent_size)
    decoder = _decoder_parameters(model, x[:1])
    optimizer = torch.optim.Adam(decoder, lr=_LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * math.ceil(len(x) / _BATCH))
    for _ in _shown(epochs, progress):
        for rows in torch.randperm(len(x)).split(_BATCH):
            posteriors[rows] = fit_posteriors(model, x[rows], None, posteriors[rows], steps=e_steps, draws=1, lr=0.1)
            (z,), _ = DiagonalGaussian(posteriors[rows], like=posteriors).rsample(1)
            optimizer.zero_grad()
            (-model.log_joint(x[rows], z).mean()).backward()
            optimizer.step()
            schedule.step()
    for parameter in decoder:
        parameter.requires_grad_(False)


def _decoder_parameters(model: JointDensity, x: torch.Tensor) -> list[torch.nn.Parameter]:
    """The parameters that ln p(x, z) hangs on: all but the encoder's."""
    joint = model.log_joint(x, torch.zeros(len(x), model.latent_size)).sum()
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(joint, parameters, allow_unused=True)
    return [parameter for parameter, gradient in zip(parameters, gradients, strict=True) if gradient is not None]


def _shown(epochs: int, progress: bool) -> Iterable[int]:
    if not progress:
        return range(epochs)
    from rich.progress import track

    return track(range(epochs), "variational EM", transient=True)


def _gap(bounds: InferenceBounds) -> float:
    return float((bounds.per_example - bounds.amortized).mean())


def _bounds(bounds: InferenceBounds) -> dict[str, float]:
    return {
        "-ELBO by the encoder": -float(bounds.amortized.mean()),
        "-ELBO by a q for each example": -float(bounds.per_example.mean()),
        "-ln p(x)": -float(bounds.log_prob.mean()),
    }


def _picture(shown: dict[str, InferenceBounds]) -> Figure:
    whole = Figure(figsize=(13, 4.6), dpi=120, layout="constrained")
    left, right = whole.subplots(1, 2)
    _levels(left, shown)
    _histogram(right, dict(list(shown.items())[: len(_NAMES)]))
    return whole


def _levels(axes: Axes, shown: dict[str, InferenceBounds]) -> None:
    """The three bounds of each decoder and split on one line, with the gaps between them."""
    for height, bounds in enumerate(reversed(shown.values())):
        levels = [float(bound.mean()) for bound in (bounds.amortized, bounds.per_example, bounds.log_prob)]
        marks = {
            "ELBO by the encoder": ("o", "C0"),
            "ELBO by the best q of each row": ("s", "C1"),
            "ln p(x), by importance samples": ("^", "0.2"),
        }
        for low, high, color in ((levels[0], levels[1], "C3"), (levels[1], levels[2], "0.4")):
            axes.plot([low, high], [height] * 2, color=color, linewidth=4, alpha=0.5, zorder=1)
            axes.text((low + high) / 2, height + 0.12, f"{high - low:.2f}", color=color, ha="center")
        for level, (label, (marker, color)) in zip(levels, marks.items(), strict=True):
            axes.plot([level], [height], marker, color=color, label=None if height else label, zorder=2)
    axes.set_yticks(range(len(shown)), [name.replace(", ", "\n") for name in reversed(shown)])
    axes.set_ylim(-0.5, len(shown) - 0.5)
    axes.set_xlabel("mean over rows, nats")
    axes.set_title("the amortization gap (red) and the approximation gap (grey)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower left", fontsize="small")


def _histogram(axes: Axes, shown: dict[str, InferenceBounds]) -> None:
    gaps = {name: bounds.per_example - bounds.amortized for name, bounds in shown.items()}
    bins = torch.linspace(0, float(max(gap.max() for gap in gaps.values())), 40).tolist()
    for color, (name, gap) in zip(("C0", "C1"), gaps.items(), strict=True):
        axes.hist(gap, bins, color=color, alpha=0.55, label=f"{name}: mean {gap.mean():.2f}")
        axes.axvline(float(gap.mean()), color=color, linewidth=1.5, linestyle="--")
    axes.set_xlabel("amortization gap of a row, nats")
    axes.set_ylabel("rows")
    axes.set_title("row by row")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
