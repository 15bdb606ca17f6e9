"""The generator's gradient as its discriminator gets better: the saturating one vanishes, the other grows unstable.

A generator is trained for some epochs and then held fixed, while a new discriminator is trained against it from its
initial weights on (Arjovsky & Bottou 2017, arXiv:1701.04862, figures 2 and 3). At each of its steps the generator's
gradient is taken for both objectives: of E[ln(1 - D(G(z)))] it falls with the discriminator's error by orders of
magnitude, as images lie near a manifold that a generator's rarely meets (theorem 2.4); of E[-ln D(G(z))] it does not.
Here on digits with perceptrons, where they have DCGANs and larger images.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ancestral.data import Data, load_data
from ancestral.interface import Batch, Model, seeded
from ancestral.output import counted
from ancestral.reproduction.figure import Drawn, Root, figure, fitted, seeded_build
from ancestral.reproduction.games import OnePlayer
from ancestral.reproduction.measurement import Measurement

_OBJECTIVES = {"minimax": "E[ln(1 - D(G(z)))]", "non_saturating": "E[-ln D(G(z))]"}
_POINTS = 25
#: Gradients whose mean norm is taken, and the noise of each.
_GRADIENTS, _NOISE = 8, 64


@dataclass(frozen=True)
class Course:
    """By steps of a new discriminator, (points,): the norm of the generator's gradient for each objective, its mean and
    standard deviation over batches of noise."""

    steps: Tensor
    norms: Mapping[str, tuple[Tensor, Tensor]]

    def left(self, objective: str) -> float:
        """The last norm as a share of the first, in %."""
        mean, _ = self.norms[objective]
        return 100 * float(mean[-1] / mean[0])


@figure(
    model="gan",
    data="digits",
    split="train",
    metric="saturating gradient that is left at the end of the discriminator's training",
    unit="%",
    source="Arjovsky & Bottou 2017 (arXiv:1701.04862), figures 2 and 3",
    notes="norm of the generator's gradient of E[ln(1 - D(G(z)))] by the last discriminator over that by the first, the"
    " largest over generators trained for several epochs; beside it the same of E[-ln D(G(z))]",
)
def generator_gradients(
    seed: int,
    data_root: Root,
    progress: bool,
    *,
    epochs: Sequence[int] = (1, 10, 25),
    latent_dim: int = 16,
    hidden: Sequence[int] = (128, 128),
    discriminator_hidden: Sequence[int] = (128, 128),
    steps: int = 2000,
    batch_size: int = 64,
    lr: float = 2e-4,
) -> Drawn:
    """The generator's gradient under both objectives as a new discriminator is trained against it."""
    data = load_data("digits", data_root=data_root)
    settings = {
        "latent_dim": latent_dim,
        "hidden": list(hidden),
        "discriminator_hidden": list(discriminator_hidden),
    }
    how = {"batch_size": batch_size, "seed": seed, "progress": progress}
    found = {}
    for number in epochs:
        gan = fitted(seeded_build("gan", data, seed, settings), data, epochs=number, **how)
        found[number] = course(gan, data, seed, settings, steps, {**how, "lr": lr})
    left = {objective: [one.left(objective) for one in found.values()] for objective in _OBJECTIVES}
    baselines = {
        f"{objective.replace('_', '-')}, {number} epochs": one.left(objective)
        for objective in _OBJECTIVES
        for number, one in found.items()
    }
    return Drawn(_picture(found), Measurement(max(left["minimax"]), None, "measured", baselines=baselines))


def course(
    gan: Model, data: Data, seed: int, settings: Mapping[str, object], steps: int, how: Mapping[str, object]
) -> Course:
    """Train a new discriminator against the generator of `gan`, with the gradients that both objectives would give."""
    games = {name: seeded_build("gan", data, seed + 1, {**settings, "objective": name}) for name in _OBJECTIVES}
    discriminator = games["minimax"].get_submodule("discriminator")
    for game in games.values():
        game.generator, game.discriminator = gan.get_submodule("generator"), discriminator
    marks = [0, *sorted(set(torch.logspace(0, math.log10(steps), _POINTS).round().int().tolist()))]
    found: dict[str, list[Tensor]] = {name: [] for name in games}

    def note(step: int) -> None:
        if step in marks:
            for name, game in games.items():
                found[name].append(gradient_norms(game, seed))

    note(0)
    fitted(OnePlayer(games["minimax"], "discriminator", note), data, steps=steps, **how)
    norms = {name: torch.stack(values) for name, values in found.items()}
    return Course(torch.tensor(marks), {name: (of.mean(1), of.std(1)) for name, of in norms.items()})


def gradient_norms(game: Model, seed: int) -> Tensor:
    """Of the generator's own phase, on batches of noise; (batches,)."""
    (phase,) = (phase for phase in game.phases() if phase.name == "generator")
    parameters = [*phase.parameters]
    frozen = [parameter for parameter in parameters if not parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)
    batch, norms = game.prepare(Batch(torch.zeros(_NOISE, *game.event.shape))), []
    with seeded(torch.Generator().manual_seed(seed)):
        for _ in range(_GRADIENTS):
            gradient = torch.autograd.grad(phase.loss(batch).total, parameters)
            norms.append(torch.stack([part.double().square().sum() for part in gradient]).sum().sqrt())
    for parameter in frozen:
        parameter.requires_grad_(False)
    return torch.stack(norms)


def _picture(found: Mapping[int, Course]) -> Figure:
    whole = Figure(figsize=(12.5, 4.8), dpi=110, layout="constrained")
    titles = ("the minimax objective: it vanishes", "the non-saturating objective: it does not")
    for axes, (objective, formula), title in zip(
        whole.subplots(1, 2, sharey=True), _OBJECTIVES.items(), titles, strict=True
    ):
        for color, (epochs, one) in zip(("C0", "C1", "C2", "C3", "C4"), found.items(), strict=False):
            mean, spread = one.norms[objective]
            factor = one.left(objective) / 100
            label = (
                f"generator of {counted(epochs, 'epoch')}: times {factor:.3f}"
                if factor < 1
                else (f"generator of {counted(epochs, 'epoch')}: times {factor:.0f}")
            )
            axes.plot(one.steps, mean, "o-", color=color, markersize=3, label=label)
            low = (mean - spread).clamp(min=1e-3 * float(mean.min()))
            axes.fill_between(one.steps, low, mean + spread, color=color, alpha=0.2, linewidth=0)
        axes.set_xscale("symlog", linthresh=1)
        axes.set_yscale("log")
        axes.set_title(f"{title}\n{formula}")
        axes.set_xlabel("steps of a new discriminator, generator fixed")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small", loc="lower left")
        axes.yaxis.set_tick_params(labelleft=True)
        axes.set_ylabel("norm of the generator's gradient\n(mean and deviation over batches)")
    return whole
