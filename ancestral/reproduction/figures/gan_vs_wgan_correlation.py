"""Whether a loss says how good the samples are: a GAN's does not, a Wasserstein critic's distance does.

A DCGAN and a WGAN with gradient penalty, of convolutional networks of one size on the same images, are stopped every so
many batches, from the start of training on, and their samples judged by the Fréchet distance in a classifier's
features. Beside it stands the loss that each logged over those batches: of the GAN the generator's, of the WGAN the
critic's estimate of W_1 (Arjovsky et al. 2017, section 4.2 and figures 3 and 4; Gulrajani et al. 2017, section 5). Both
have Spearman's rank correlation with the Fréchet distance over all stops.
"""

import csv
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ancestral.data import Data, load_data
from ancestral.evaluation import SampleJudge
from ancestral.interface import InputError, Sampler
from ancestral.reproduction.figure import Drawn, Root, figure, fitted, seeded_build
from ancestral.reproduction.measurement import Measurement
from ancestral.training.logs import METRICS

_GAN, _WGAN = "dcgan", "wgan_gp"
_QUALITY = "Fréchet distance of the samples"
#: Of each model: what to call it, and the logged loss that is to speak for its samples.
_SPOKEN = {
    _GAN: ("DCGAN", "generator", "the generator's loss, nats"),
    _WGAN: ("WGAN-GP", "critic/distance", "the critic's estimate of the distance"),
}


@dataclass(frozen=True)
class Training:
    """A training that was stopped now and then: the batches until then, the mean losses since the stop before by name,
    and the Fréchet distance of the samples."""

    steps: Sequence[int]
    losses: Mapping[str, Sequence[float]]
    frechet: Sequence[float]

    def correlation(self, loss: str) -> float:
        """Spearman's, of a loss and the Fréchet distance over all stops."""
        # Imported on demand: scipy costs a second.
        from scipy.stats import spearmanr

        return float(spearmanr(self.losses[loss], self.frechet).statistic)


@figure(
    model="dcgan, wgan_gp",
    data="digits",
    split="train",
    metric="1 - rank correlation of the critic's distance and the Fréchet distance over training, WGAN-GP",
    unit="1 - Spearman's rho",
    source="Arjovsky et al. 2017 (arXiv:1701.07875), figures 3 and 4; Gulrajani et al. 2017 (arXiv:1704.00028)",
    notes="losses are means over the batches between two stops, which are evenly spaced from the start of training on"
    " and the same for both models; of both quantities lower is better, so that a loss that tells the samples' quality"
    " has a correlation near 1",
)
def gan_vs_wgan_correlation(
    seed: int,
    data_root: Root,
    progress: bool,
    *,
    data: str = "digits",
    latent_dim: int = 32,
    channels: int = 16,
    batch_size: int = 64,
    stops: int = 30,
    every: int = 100,
    samples: int = 1000,
    lr: Mapping[str, float] = {_GAN: 2e-4, _WGAN: 5e-4},
) -> Drawn:
    """Loss curves beside sample quality for a GAN and a WGAN, and the rank correlation of both over training."""
    rows = load_data(data, data_root=data_root)
    judge = SampleJudge(rows, samples=samples, seed=seed, features="classifier")
    shared = {"latent_dim": latent_dim, "channels": channels, "upsampling": "nearest"}
    own: Mapping[str, Mapping[str, Any]] = {_GAN: {}, _WGAN: {"network": "conv"}}
    found, floor = {}, 0.0
    for name, settings in own.items():
        how = {"batch_size": batch_size, "lr": lr[name], "seed": seed, "progress": progress}
        found[name], floor = watched(name, rows, {**shared, **settings}, judge, stops, every, how)
    told = {name: found[name].correlation(loss) for name, (_, loss, _) in _SPOKEN.items()}
    baselines = {
        "rank correlation, WGAN-GP's critic distance": told[_WGAN],
        "rank correlation, DCGAN's generator loss": told[_GAN],
        "rank correlation, DCGAN's discriminator loss": found[_GAN].correlation("discriminator"),
        "rank correlation, WGAN-GP's generator loss": found[_WGAN].correlation("generator"),
        "Fréchet at the end, DCGAN": found[_GAN].frechet[-1],
        "Fréchet at the end, WGAN-GP": found[_WGAN].frechet[-1],
        "Fréchet, real against real": floor,
    }
    return Drawn(
        _picture(found, floor, judge.extractor.name, data),
        Measurement(1 - told[_WGAN], None, f"{stops} stops", baselines=baselines),
    )


def watched(
    name: str,
    data: Data,
    settings: Mapping[str, Any],
    judge: SampleJudge,
    stops: int,
    every: int,
    how: Mapping[str, Any],
) -> tuple[Training, float]:
    """Train on and judge the samples after every `every` batches; and the Fréchet distance of real rows."""
    if stops < 3 or every < 1:
        raise InputError(f"a rank correlation needs at least 3 stops, 1 batch apart, got {stops} and {every}")
    model = seeded_build(name, data, how["seed"], settings)
    assert isinstance(model, Sampler)
    marks, frechet, floor = [every * stop for stop in range(1, stops + 1)], [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        # A run that is resumed has the weights of one that never stopped.
        run: dict[str, Any] = {"run_dir": Path(folder) / "run", "log_every": every, **how}
        for step in marks:
            fitted(model, data, steps=step, resume=step > every, **run)
            quality = judge.frechet(judge.draw(model))
            frechet.append(quality.frechet)
            floor = quality.reference
        losses = logged(Path(folder) / "run" / METRICS, marks)
    return Training(marks, losses, frechet), floor


def logged(path: Path, marks: Sequence[int]) -> dict[str, list[float]]:
    """The training losses by name that `fit` has logged at these steps, each the mean since the one before."""
    found: dict[str, dict[int, float]] = {}
    with path.open(newline="") as stream:
        for row in csv.DictReader(stream):
            if row["name"].startswith("loss/"):
                found.setdefault(row["name"].removeprefix("loss/"), {})[int(row["step"])] = float(row["value"])
    return {name: [values[step] for step in marks] for name, values in found.items()}


# -- The picture -------------------------------------------------------------------------------------------------------


def _picture(found: Mapping[str, Training], floor: float, features: str, data: str) -> Figure:
    whole = Figure(figsize=(13, 8.2), dpi=110, layout="constrained")
    whole.suptitle(f"Does the loss say how good the samples are? On {data}; Fréchet distance in {features}")
    for (name, (shown, loss, label)), row in zip(_SPOKEN.items(), whole.subplots(2, 2), strict=True):
        curves, cloud = row
        _curves(curves, found[name], loss, label, floor)
        curves.set_title(f"{shown}: loss and sample quality over training")
        points = cloud.scatter(found[name].losses[loss], found[name].frechet, c=found[name].steps, cmap="viridis", s=22)
        whole.colorbar(points, ax=cloud).set_label("batches")
        cloud.set_yscale("log")
        cloud.set_title(f"{shown}: rank correlation {found[name].correlation(loss):.2f}")
        cloud.set_xlabel(label)
        cloud.set_ylabel(_QUALITY)
        cloud.grid(alpha=0.3)
    return whole


def _curves(axes: Axes, of: Training, loss: str, label: str, floor: float) -> None:
    (first,) = axes.plot(of.steps, of.losses[loss], "o-", color="C3", markersize=3, label=label)
    axes.set_xlabel("batches")
    axes.set_ylabel(label, color="C3")
    axes.grid(alpha=0.3)
    quality = axes.twinx()
    (second,) = quality.semilogy(of.steps, of.frechet, "s-", color="C0", markersize=3, label=_QUALITY)
    third = quality.axhline(floor, color="C0", linestyle=":", label="the same, real against real")
    quality.set_ylabel(_QUALITY, color="C0")
    axes.legend(handles=[first, second, third], fontsize="small", loc="upper right")
