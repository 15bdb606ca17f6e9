"""What the generator descends when it climbs ln D: at the best discriminator, KL(p_G || p) - 2 JS(p, p_G).

The usual objective of a generator is E_z[-ln D(G(z))]. At D* = p / (p + p_G) of the present generator, held fixed, its
gradient is that of KL(p_G || p) - 2 JS(p, p_G) (Arjovsky & Bottou 2017, arXiv:1701.04862, theorem 2.5): the JS has the
wrong sign, and the KL is the one that punishes samples where there are no data far more than data without samples. The
minimax objective E_z[ln(1 - D(G(z)))] has the gradient of 2 JS (theorem 2.4 and Goodfellow et al. 2014).

The generator is a GAN's, x = b + w z with z ~ N(0, 1), so that p_G = N(b, w^2). Its objectives are integrals over z
through the network, the divergences integrals over x of densities: two ways that share nothing. Both are trapezoidal
sums in float64, which converge faster than any power of the step. The same gradient by the GAN's own phase, with D* in
place of its discriminator, is a mean over draws.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.distributions import Categorical, Distribution, MixtureSameFamily, Normal
from torch.nn import functional as F

from ancestral.interface import Batch, Event, MeanDecoder, Model, Real, seeded
from ancestral.registry import build
from ancestral.reproduction.figure import Drawn, Root, figure
from ancestral.reproduction.games import linear_generator
from ancestral.reproduction.measurement import Measurement

#: The quadrature's reach, in standard deviations of the noise and on the line.
_NOISE_REACH, _REACH = 11.0, 30.0
_NON_SATURATING, _MINIMAX = "E[-ln D*(G(z))]", "E[ln(1 - D*(G(z)))]"


@figure(
    model="gan",
    data="mixture of 2 Gaussians on the line",
    split="none",
    metric="largest relative difference of the gradients of E[-ln D*(G(z))] and of KL(p_G || p) - 2 JS(p, p_G)",
    unit="relative",
    source="Arjovsky & Bottou 2017 (arXiv:1701.04862), theorem 2.5",
    notes="by quadrature in float64, over mean and deviation of a linear generator at every mean drawn; beside it the"
    " same for the minimax objective and 2 JS, and the largest error of the GAN's own phase on draws, in its errors",
)
def log_d_gradient(
    seed: int,
    data_root: Root,
    progress: bool,
    *,
    means: int = 41,
    deviation: float = 0.7,
    points: int = 20_001,
    draws: int = 20_000,
) -> Drawn:
    """The gradient of E[-ln D*(G(z))] against that of KL(p_G || p) - 2 JS(p, p_G), both by quadrature."""
    data = two_bumps()
    at = torch.linspace(-3.5, 3.5, means, dtype=torch.float64)
    found = [gradients(linear_gan(float(mean), deviation), data, points) for mean in at]
    curves = {name: torch.stack([one[name] for one in found]) for name in found[0]}
    every = max(1, means // 10)
    of_draws = [
        phase_gradient(linear_gan(float(mean), deviation), data, draws, seed + place)
        for place, mean in enumerate(at[::every])
    ]
    values, errors = (torch.stack(part) for part in zip(*of_draws, strict=True))
    deviations = (values - curves[_NON_SATURATING][::every]) / errors
    measurement = Measurement(
        value=relative_difference(curves[_NON_SATURATING], curves["KL(p_G || p) - 2 JS"]),
        stderr=None,
        kind="quadrature",
        baselines={
            "minimax against 2 JS": relative_difference(curves[_MINIMAX], curves["2 JS"]),
            "-ln D against KL(p_G || p) + 2 JS": relative_difference(
                curves[_NON_SATURATING], curves["KL(p_G || p)"] + curves["2 JS"]
            ),
            "-ln D against KL(p_G || p)": relative_difference(curves[_NON_SATURATING], curves["KL(p_G || p)"]),
            "the phase on draws, largest error in standard errors": float(deviations.abs().max()),
        },
    )
    shown = (at[::every], values[:, 0], errors[:, 0])
    return Drawn(_picture(at, curves, shown, data, deviation), measurement)


def two_bumps() -> Distribution:
    """A mode to find and one to miss, in float64."""
    mean, deviation = torch.tensor([[-1.5, 1.5], [0.5, 0.8]], dtype=torch.float64)
    return MixtureSameFamily(Categorical(torch.tensor([0.4, 0.6], dtype=torch.float64)), Normal(mean, deviation))


def linear_gan(mean: float, deviation: float) -> Model:
    """A GAN whose generator is x = mean + deviation z, in float64."""
    gan = build("gan", Event((1,), Real()), latent_dim=1, hidden=[], discriminator_hidden=[4]).double()
    linear = linear_generator(gan)
    with torch.no_grad():
        linear.weight.fill_(deviation)
        linear.bias.fill_(mean)
    return gan


def gradients(gan: Model, data: Distribution, points: int) -> dict[str, Tensor]:
    """The gradient by the generator's (mean, deviation) of both objectives at the best D, and of the divergences; (2,)
    each."""
    linear = linear_generator(gan)
    parameters = (linear.bias, linear.weight)

    def gradient(of: Tensor) -> Tensor:
        return torch.cat([part.flatten() for part in torch.autograd.grad(of, parameters, retain_graph=True)]).detach()

    z = torch.linspace(-_NOISE_REACH, _NOISE_REACH, points, dtype=torch.float64)
    weight = Normal(0.0, 1.0).log_prob(z).exp() * (2 * _NOISE_REACH / (points - 1))
    assert isinstance(gan, MeanDecoder)
    x = gan.decode_mean(z[:, None])[:, 0]
    logit = data.log_prob(x) - Normal(linear.bias.detach(), linear.weight.detach().abs()[0]).log_prob(x)
    line = torch.linspace(-_REACH, _REACH, points, dtype=torch.float64)
    log_p, log_q = data.log_prob(line), Normal(linear.bias, linear.weight.abs()[0]).log_prob(line)
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    step = 2 * _REACH / (points - 1)
    kl = (log_q.exp() * (log_q - log_p)).sum() * step
    two_js = ((log_p.exp() * (log_p - log_m)).sum() + (log_q.exp() * (log_q - log_m)).sum()) * step
    return {
        # Not by softplus, which torch cuts at 20.
        _NON_SATURATING: gradient(-(weight * F.logsigmoid(logit)).sum()),
        _MINIMAX: gradient((weight * F.logsigmoid(-logit)).sum()),
        "KL(p_G || p)": gradient(kl),
        "2 JS": gradient(two_js),
        "KL(p_G || p) - 2 JS": gradient(kl - two_js),
    }


def phase_gradient(gan: Model, data: Distribution, draws: int, seed: int, batches: int = 20) -> tuple[Tensor, Tensor]:
    """The gradient that the GAN's own generator phase takes, the mean over draws, and its standard error; (2,) each."""
    linear = linear_generator(gan)
    generated = Normal(linear.bias.detach().clone(), linear.weight.detach()[0].abs())

    def best_logit(x: Tensor, context: Tensor | None) -> Tensor:
        return data.log_prob(x[:, 0]) - generated.log_prob(x[:, 0])

    # The best discriminator, of the generator as it is, takes the place of the GAN's network.
    gan.get_submodule("discriminator").forward = best_logit
    (phase,) = (phase for phase in gan.phases() if phase.name == "generator")
    found = []
    with seeded(torch.Generator().manual_seed(seed)):
        for _ in range(batches):
            total = phase.loss(Batch(torch.zeros(draws // batches, 1, dtype=torch.float64))).total
            found.append(
                torch.cat([part.flatten() for part in torch.autograd.grad(total, (linear.bias, linear.weight))])
            )
    values = torch.stack(found)
    return values.mean(0), values.std(0) / batches**0.5


def relative_difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest distance of two gradients, (means, parameters) each, relative to the second one's length."""
    return float(((ours - theirs).norm(dim=1) / theirs.norm(dim=1)).max())


def _picture(
    at: Tensor,
    curves: Mapping[str, Tensor],
    of_draws: Sequence[Tensor],
    data: Distribution,
    deviation: float,
) -> Figure:
    whole = Figure(figsize=(13, 8), dpi=110, layout="constrained")
    (first, second), (third, fourth) = whole.subplots(2, 2)
    x = torch.linspace(-5, 5, 801, dtype=torch.float64)
    first.fill_between(x.numpy(), data.log_prob(x).exp().numpy(), color="C0", alpha=0.35, linewidth=0, label="p, data")
    for mean, style in ((-3.0, ":"), (0.0, "-")):
        label = f"p_G with b = {mean:g}, w = {deviation:g}"
        first.plot(
            x.numpy(), Normal(mean, deviation).log_prob(x).exp().numpy(), color="C1", linestyle=style, label=label
        )
    first.set_title("the data, and the generator x = b + w z, z ~ N(0, 1)")
    first.set_xlabel("x")
    first.set_ylabel("density")
    mean_, spread = (2 * of_draws[2]).numpy(), of_draws[1].numpy()
    for axes, objective, theory, parts in (
        (second, _NON_SATURATING, "KL(p_G || p) - 2 JS", True),
        (third, _MINIMAX, "2 JS", False),
    ):
        axes.plot(at, curves[theory][:, 0], color="0.6", linewidth=5, label=f"of {theory}")
        axes.plot(at, curves[objective][:, 0], color="C3", linestyle="--", label=f"of {objective}, D* held fixed")
        if parts:
            axes.plot(at, curves["KL(p_G || p)"][:, 0], color="C2", linewidth=1, label="of KL(p_G || p) alone")
            axes.errorbar(of_draws[0], spread, mean_, fmt="k.", label="by the GAN's phase on draws, ± 2 errors")
        axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        axes.set_title(f"gradient of {objective} by b")
        axes.set_xlabel("mean b of the generator")
        axes.set_ylabel("nats per unit of b")
    for objective, theory, color in ((_NON_SATURATING, "KL(p_G || p) - 2 JS", "C3"), (_MINIMAX, "2 JS", "C4")):
        away = (curves[objective] - curves[theory]).norm(dim=1) / curves[theory].norm(dim=1)
        fourth.semilogy(at, away.clamp(min=1e-17), "o-", color=color, markersize=3, label=f"{objective} and {theory}")
    fourth.set_title("relative difference of the two gradients, by (b, w)")
    fourth.set_xlabel("mean b of the generator")
    fourth.set_ylabel("relative difference")
    fourth.set_ylim(1e-17, 1e-8)
    for axes in (first, second, third, fourth):
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    return whole
