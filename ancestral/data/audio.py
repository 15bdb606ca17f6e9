"""Folders and zip archives of WAV files, as sequences of a fixed length."""

import io
import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ancestral.data.assembly import assemble
from ancestral.data.dataset import Data
from ancestral.data.entries import Entry, Tree, open_tree
from ancestral.data.images import group
from ancestral.interface import InputError, Levels, Support

SOUNDS = frozenset({".wav"})
_MU = 255


def load_sounds(
    path: Path, seed: int, support: Support | None, *, length: int | None = None, mu_law: bool = True
) -> Data:
    """The mono WAV files in a folder or a zip archive, (time,).

    Args:
        path: The folder or archive; class folders are labels, top folders train, valid and test are splits.
        seed: Draws the splits that there are no top folders for.
        support: By default `Levels(256)` with `mu_law`, otherwise `Real()`.
        length: The samples of each observation: longer files are cut at the end, shorter ones padded with silence.
            Without it all files must have one length.
        mu_law: Companded to 8 bits (ITU-T G.711; van den Oord et al. 2016, section 2.2), otherwise in [-1, 1].
    """
    if length is not None and length < 1:
        raise InputError(f"length must be at least 1, got {length}")
    with open_tree(path) as tree:
        entries = tree.entries(SOUNDS)
        waves, rate = _decode(tree, entries, length)
    x = mu_law_encode(waves) if mu_law else waves
    parts, classes = group(entries, x)
    default = Levels(_MU + 1) if mu_law else None
    return assemble(path.name, parts, seed=seed, support=support or default, classes=classes, sample_rate=rate)


def mu_law_encode(wave: Float[Tensor, "..."]) -> UInt8[Tensor, "..."]:
    """Levels 0..255 of a wave in [-1, 1]: sign(x) ln(1 + 255 |x|) / ln 256, quantised evenly."""
    wave = wave.clamp(-1, 1)
    companded = wave.sign() * torch.log1p(_MU * wave.abs()) / math.log1p(_MU)
    return ((companded + 1) / 2 * _MU + 0.5).floor().to(torch.uint8)


def mu_law_decode(levels: UInt8[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The wave in [-1, 1] of levels 0..255; the inverse of `mu_law_encode` up to its rounding."""
    companded = 2 * levels.to(torch.float32) / _MU - 1
    return companded.sign() * torch.expm1(companded.abs() * math.log1p(_MU)) / _MU


def _decode(tree: Tree, entries: list[Entry], length: int | None) -> tuple[Float[Tensor, "n time"], int]:
    """All sounds as one tensor, and their one sampling rate."""
    waves: list[np.ndarray] = []
    rates: list[int] = []
    for entry in entries:
        wave, rate = _read(tree, entry)
        if rates and rate != rates[0]:
            raise InputError(
                f"{entry.path} in {tree.source} has {rate} samples a second, but {entries[0].path} has {rates[0]};"
                " resample them to one rate"
            )
        if length is None and waves and len(wave) != len(waves[0]):
            raise InputError(
                f"{entry.path} in {tree.source} has {len(wave)} samples, but {entries[0].path} has {len(waves[0])};"
                " pass length= to cut and pad them"
            )
        waves.append(wave[:length])
        rates.append(rate)
    out = torch.zeros(len(waves), length or len(waves[0]))
    for row, wave in enumerate(waves):
        out[row, : len(wave)] = torch.from_numpy(wave)
    return out, rates[0]


def _read(tree: Tree, entry: Entry) -> tuple[np.ndarray, int]:
    import soundfile

    content = tree.read(entry)
    try:
        wave, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{entry.path} in {tree.source} ({len(content)} bytes) is no WAV file, or a damaged one ({error})"
        ) from error
    if wave.shape[1] != 1:
        raise InputError(f"{entry.path} in {tree.source} has {wave.shape[1]} channels, expected 1: mix them to mono")
    if not len(wave):
        raise InputError(f"{entry.path} in {tree.source} has no samples")
    return wave[:, 0], int(rate)
