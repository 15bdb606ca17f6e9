"""How much of the power of images is in their details: the radial power spectrum."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Num
from torch import Tensor

from ancestral.evaluation.likelihood import standard_error
from ancestral.interface import InputError

#: Cycles per pixel from which on a frequency is high: half of the highest along an axis.
HIGH = 0.25


@dataclass(frozen=True)
class PowerSpectrum:
    """The power of images at each radial frequency, in cycles per pixel: the mean square of a coefficient."""

    frequencies: Float[Tensor, " bins"]
    power: Float[Tensor, " bins"]
    #: The mean power of the high frequencies of each image, (n,).
    high: Float[Tensor, " n"]

    def relative_to(self, real: "PowerSpectrum") -> tuple[float, float]:
        """The high-frequency power as a share of that of real images, with its standard error."""
        ours, theirs = float(self.high.mean()), float(real.high.mean())
        if theirs == 0:
            raise InputError("the real images have no power at high frequencies, of which others could have a share")
        relative = ((standard_error(x) / float(x.mean())) if float(x.mean()) else 0.0 for x in (self.high, real.high))
        return ours / theirs, ours / theirs * sum(error**2 for error in relative) ** 0.5


def power_spectrum(x: Num[Tensor, "n colours height width"], *, high: float = HIGH) -> PowerSpectrum:
    """The radial power spectrum of images, in the squared unit of their values.

    The squares of the coefficients of the orthonormal cosine transform (DCT-II) of each colour: coefficient k along an
    axis of N pixels is of k / (2 N) cycles per pixel. Cosines continue an image by its mirror image, so that borders
    that differ make no power of their own, as they do in a Fourier transform; white noise has its variance everywhere.

    Args:
        x: images of at least 4 x 4 pixels.
        high: cycles per pixel from which on a frequency counts as high, at most 1/2, the highest along an axis.
    """
    height, width = x.shape[2:]
    if len(x) == 0 or min(height, width) < 4 or not 0 < high <= 0.5:
        raise InputError(
            f"a spectrum is of images of at least 4 x 4 pixels, and high in (0, 1/2], got {tuple(x.shape)} and {high}"
        )
    squares = (_cosines(height) @ x.double() @ _cosines(width).T).square().mean(1)
    down, across = (torch.arange(n, dtype=torch.float64) / (2 * n) for n in (height, width))
    radius = (down[:, None].square() + across.square()).sqrt()
    bins = (radius * 2 * min(height, width)).round().long().flatten()
    counts = torch.bincount(bins)
    power = torch.bincount(bins, squares.mean(0).flatten()) / counts.clamp(min=1)
    # Beyond the highest along an axis there are corners alone.
    kept = (counts > 0) & (torch.arange(len(counts)) < min(height, width))
    frequencies = torch.bincount(bins, radius.flatten()) / counts.clamp(min=1)
    return PowerSpectrum(frequencies[kept], power[kept], squares[:, radius >= high].mean(1))


def _cosines(n: int) -> Float[Tensor, "n n"]:
    """The orthonormal DCT-II as a matrix."""
    places, order = torch.arange(n, dtype=torch.float64), torch.arange(n, dtype=torch.float64)[:, None]
    rows = torch.cos(torch.pi * (places + 0.5) * order / n) * (2 / n) ** 0.5
    rows[0] /= 2**0.5
    return rows
