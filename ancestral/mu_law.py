"""The mu-law (ITU-T G.711), by which the waves of sound become 256 levels (van den Oord et al. 2016, WaveNet, 2.2)."""

import math

import torch
from jaxtyping import Float, Num, UInt8
from torch import Tensor

MU = 255


def mu_law_encode(wave: Float[Tensor, "..."]) -> UInt8[Tensor, "..."]:
    """Levels 0..255 of a wave in [-1, 1]: sign(x) ln(1 + 255 |x|) / ln 256, quantised evenly."""
    wave = wave.clamp(-1, 1)
    companded = wave.sign() * torch.log1p(MU * wave.abs()) / math.log1p(MU)
    return ((companded + 1) / 2 * MU + 0.5).floor().to(torch.uint8)


def mu_law_decode(levels: Num[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The wave in [-1, 1] of levels 0..255; the inverse of `mu_law_encode` up to its rounding."""
    companded = 2 * levels.to(torch.float32) / MU - 1
    return companded.sign() * torch.expm1(companded.abs() * math.log1p(MU)) / MU
