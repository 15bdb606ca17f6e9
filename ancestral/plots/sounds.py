"""Sounds as spectrograms."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from ancestral.interface import Event, Real
from ancestral.mu_law import MU, mu_law_decode
from ancestral.plots.pixels import image_grid

#: In seconds: what a spectrum is taken of; in decibels: what is seen below the loudest.
_FRAME, _RANGE = 0.032, 70.0
#: Sounds in a picture, and spectra of one.
_SOUNDS, _SPECTRA = 64, 400


def spectrograms_figure(
    x: Tensor,
    event: Event,
    sample_rate: int,
    columns: int | None = None,
    *,
    row_names: Sequence[str] = (),
    column_names: Sequence[str] = (),
) -> Figure:
    """Sounds (n, time), of 256 levels by the mu-law or as waves, in a grid: time to the right, frequency upwards."""
    n, length = x.shape
    shown = x[:_SOUNDS]
    pictures = spectrograms(mu_law_decode(shown) if event.values == MU + 1 else shown, sample_rate)
    kept = f"{len(shown)} of {n} sounds shown, " if len(shown) < n else ""
    words = f"{kept}{length / sample_rate:.3g} s each, 0 to {sample_rate / 2000:g} kHz"
    whole = Event(tuple(pictures.shape[1:]), Real())
    return image_grid(pictures, whole, columns, row_names=row_names, column_names=column_names, words=words)


def spectrograms(waves: Float[Tensor, "n time"], sample_rate: int) -> Float[Tensor, "n 1 frequencies spectra"]:
    """Decibels below the loudest of all, at most 70, as pictures: the highest frequency first.

    Spectra of 32 ms (fewer samples where a sound is shorter) through a Hann window, an eighth of that apart, and closer
    in a sound so short that its picture would be a strip.
    """
    time = waves.shape[1]
    frame = 2 ** max(1, min(round(math.log2(_FRAME * sample_rate)), int(math.log2(max(2, time)))))
    hop = max(1, min(frame // 8, 2 * time // frame), math.ceil(time / _SPECTRA))
    padded = F.pad(waves, (frame // 2, frame // 2))
    window = torch.hann_window(frame, dtype=waves.dtype)
    found = torch.stft(padded, frame, hop, window=window, center=False, return_complex=True).abs()
    decibels = 20 * found.clamp(min=1e-12).log10()
    return (decibels - decibels.max()).clamp(min=-_RANGE).flip(1)[:, None]
