"""Samples of a VAE are blurred, those of a GAN detailed: their power at high frequencies against that of real images.

A VAE is shown, as in its papers, by the means of p(x | z). These are averages of all images that z may stand for, and
averages lack the details that differ; draws of p(x | z), each pixel on its own, have noise in their place. A GAN has no
likelihood to average for: its discriminator sees a lack of detail at once.
"""

from collections.abc import Mapping

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ancestral.data import Data, load_data
from ancestral.evaluation import PowerSpectrum, power_spectrum, spread_rows
from ancestral.evaluation.spectra import HIGH
from ancestral.interface import Decoder, MeanDecoder, Model
from ancestral.plots import panels_figure, samples_figure
from ancestral.reproduction.figure import Drawn, Root, figure, fitted, seeded_build
from ancestral.reproduction.measurement import Measurement
from ancestral.reproduction.recipes import load_recipe
from ancestral.training import training_arguments

_REAL, _MEANS, _DRAWS, _GAN = "real test images", "VAE, means of p(x | z)", "VAE, draws of p(x | z)", "DCGAN"
_COLOURS = {_REAL: "black", _MEANS: "#1f77b4", _DRAWS: "#9ecae1", _GAN: "#d62728"}
#: Images of each kind in the picture, and their columns.
_SHOWN, _COLUMNS = 36, 6


@figure(
    model="vae, dcgan",
    data="mnist",
    metric="distance of the DCGAN's high-frequency power from that of real images",
    unit="%",
    budget="cpu",
    source="the lecture's claim; the guidelines of Radford et al. 2016 (arXiv:1511.06434)",
    notes=f"by the recipes dcgan-mnist and vae-mnist; mean power from {HIGH:g} cycles per pixel on, of the cosine"
    " transform; beside it the distance of the VAE's, and the power of each as a share of that of real images",
)
def vae_blur_gan_detail(
    seed: int, data_root: Root, progress: bool, *, images: int = 10_000, steps: int | None = None
) -> Drawn:
    """How much of the detail of real images the samples of a VAE and of a DCGAN have."""
    data = load_data("mnist", data_root=data_root)
    gan, vae = (_trained(name, data, seed, steps, progress) for name in ("dcgan-mnist", "vae-mnist"))
    assert isinstance(gan, MeanDecoder)
    assert isinstance(vae, MeanDecoder)
    generator = torch.Generator().manual_seed(seed)
    kinds = {
        _REAL: data.test.x[spread_rows(images, len(data.test))].float(),
        _MEANS: _drawn(vae, images, generator, means=True),
        _DRAWS: _drawn(vae, images, generator, means=False),
        _GAN: _drawn(gan, images, generator, means=False),
    }
    spectra = {name: power_spectrum(x) for name, x in kinds.items()}
    shares = {name: spectrum.relative_to(spectra[_REAL]) for name, spectrum in spectra.items() if name != _REAL}
    beside = {f"{name}: share of the power of real images, %": 100 * share for name, (share, _) in shares.items()}
    beside[f"{_MEANS}: distance"] = 100 * abs(shares[_MEANS][0] - 1)
    beside[f"{_DRAWS}: distance"] = 100 * abs(shares[_DRAWS][0] - 1)
    share, error = shares[_GAN]
    kind = f"n = {len(kinds[_GAN]):,} against {len(kinds[_REAL]):,}"
    measurement = Measurement(100 * abs(share - 1), 100 * error, kind, baselines=beside)
    return Drawn(_picture(kinds, spectra, shares, data), measurement)


def _trained(name: str, data: Data, seed: int, steps: int | None, progress: bool) -> Model:
    recipe = load_recipe(name)
    model = seeded_build(recipe.model, data, seed, recipe.model_settings)
    how = training_arguments(recipe.training) | ({} if steps is None else {"epochs": None, "steps": steps})
    return fitted(model, data, **{**how, "seed": seed, "progress": progress})


@torch.no_grad()
def _drawn(model: Decoder, n: int, generator: torch.Generator, *, means: bool) -> Tensor:
    """Images of latents from the prior, in batches."""
    parts = []
    for start in range(0, n, 500):
        z = model.sample_latents(min(500, n - start), generator=generator)
        if means:
            assert isinstance(model, MeanDecoder)
            parts.append(model.decode_mean(z).float())
        else:
            parts.append(model.decode(z, generator=generator).float())
    return torch.cat(parts)


def _picture(
    kinds: Mapping[str, Tensor],
    spectra: Mapping[str, PowerSpectrum],
    shares: Mapping[str, tuple[float, float]],
    data: Data,
) -> Figure:
    panels = {}
    for name, x in kinds.items():
        said = f"{name}: {shares[name][0]:.0%} of the high-frequency power" if name in shares else name
        shown = x[spread_rows(_SHOWN, len(x))] if name == _REAL else x[:_SHOWN]
        panels[said] = samples_figure(shown, data.event, columns=_COLUMNS)
    return panels_figure({**panels, "radial power spectra": _curves(spectra)})


def _curves(spectra: Mapping[str, PowerSpectrum]) -> Figure:
    """The spectra, and each over that of real images."""
    whole = Figure(figsize=(9.0, 3.9), dpi=120, layout="constrained")
    power, ratio = whole.subplots(1, 2)
    real = spectra[_REAL]
    for name, spectrum in spectra.items():
        style = {"color": _COLOURS[name], "linewidth": 1.8, "linestyle": "--" if name == _DRAWS else "-"}
        power.semilogy(spectrum.frequencies[1:], spectrum.power[1:], label=name, **style)
        ratio.plot(spectrum.frequencies[1:], (spectrum.power / real.power)[1:], **style)
    power.set_ylabel("mean square of a coefficient, squared grey levels")
    ratio.set_ylabel("relative to real images")
    ratio.set_ylim(bottom=0)
    for axes in (power, ratio):
        axes.axvspan(HIGH, float(real.frequencies[-1]), color="0.93", zorder=0)
        axes.set_xlabel("cycles per pixel; grey: high")
        axes.grid(alpha=0.3)
    power.legend(frameon=False, fontsize=8)
    return whole
