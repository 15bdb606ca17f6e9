"""Folders and zip archives of WAV files, as sequences of a fixed length or as windows."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Num
from torch import Tensor
from torch.nn import functional as F

from ancestral.data.assembly import Sequences, assemble, assemble_windows, complete
from ancestral.data.dataset import Data
from ancestral.data.entries import Entry, Tree, open_tree
from ancestral.data.images import group
from ancestral.interface import Event, InputError, Levels, Real, Support
from ancestral.mu_law import MU, mu_law_decode, mu_law_encode
from ancestral.output import write_bytes, write_folder

SOUNDS = frozenset({".wav"})


def load_sounds(
    path: Path,
    seed: int | None,
    support: Support | None,
    *,
    length: int | None = None,
    mu_law: bool = True,
    window: int | None = None,
    classes: Sequence[str] = (),
) -> Data:
    """The mono WAV files in a folder or a zip archive, (time,).

    Args:
        path: The folder or archive; its folders are splits, classes or domains, see `load_data`.
        seed: Draws the splits that there are no top folders for.
        support: By default `Levels(256)` with `mu_law`, otherwise `Real()`.
        length: The samples of each observation: longer files are cut at the end, shorter ones padded with silence.
            Without it all files must have one length, unless there is a `window`.
        mu_law: Companded to 8 bits (ITU-T G.711; van den Oord et al. 2016, section 2.2), otherwise in [-1, 1].
        window: The samples of each observation, cut from files of any length; see `load_data`.
        classes: The names of known classes, whose folders label files even where there is one alone.
    """
    with open_tree(path) as tree:
        entries = tree.entries(SOUNDS, classes)
        waves, rate = read_sounds(tree, entries, length=length, mu_law=mu_law)
    support = support or (Levels(MU + 1) if mu_law else None)
    if window is None:
        parts, names = group(entries, _stacked(waves, entries, path))
        return assemble(path.name, parts, seed=seed, support=support, sample_rate=rate, **names)
    places, names = group(entries, torch.arange(len(waves)))
    chosen = {
        part: Sequences([waves[row] for row in rows.x.tolist()], rows.y, rows.origin)
        for part, rows in complete(places, seed=seed, name=path.name).items()
    }
    return assemble_windows(path.name, chosen, window=window, support=support or Real(), sample_rate=rate, **names)


def read_sounds(
    tree: Tree, entries: Sequence[Entry], *, length: int | None, mu_law: bool
) -> tuple[list[Num[Tensor, " time"]], int]:
    """All sounds, cut and padded where there is a `length` and companded with `mu_law`, and their one sampling rate."""
    if length is not None and length < 1:
        raise InputError(f"length must be at least 1, got {length}")
    waves: list[Tensor] = []
    rates: list[int] = []
    for entry in entries:
        wave, rate = _read(tree, entry)
        if rates and rate != rates[0]:
            raise InputError(
                f"{entry.path} in {tree.source} has {rate} samples a second, but {entries[0].path} has {rates[0]};"
                " resample them to one rate"
            )
        padded = torch.zeros(length or len(wave))
        padded[: len(wave)] = torch.from_numpy(wave[:length])
        waves.append(mu_law_encode(padded) if mu_law else padded)
        rates.append(rate)
    return waves, rates[0]


def save_sounds(
    x: Num[Tensor, "n *event"], event: Event, path: str | Path, sample_rate: int, names: Sequence[str] | None = None
) -> None:
    """Write sounds (n, time) as mono WAV of 16 bits: into a new folder, a file each, all or none; or, where `path` ends
    in .wav, into one file, one after another with a quarter of a second of silence between them.

    256 levels are taken as companded by the mu-law, real values as waves in [-1, 1] (beyond it they are cut). The files
    in a folder are called by `names`, without an ending, or by their numbers; `sample_rate` is in Hz.
    """
    companded = event.support == Levels(MU + 1)
    if len(event.shape) != 1 or not (companded or event.support == Real()):
        raise InputError(f"sounds are sequences (time,) of levels:{MU + 1} (mu-law) or of real values, got {event}")
    waves = (mu_law_decode(x) if companded else x.float().clamp(-1, 1)).detach().cpu()
    path = Path(path)
    if path.suffix.lower() == ".wav":
        apart = F.pad(waves, (0, sample_rate // 4)).flatten()
        write_bytes(_wav(apart[: len(apart) - sample_rate // 4], sample_rate), path)
    else:
        write_folder([_wav(wave, sample_rate) for wave in waves], ".wav", path, names)


def _wav(wave: Tensor, sample_rate: int) -> bytes:
    import soundfile

    stream = io.BytesIO()
    soundfile.write(stream, wave.numpy(), sample_rate, format="WAV", subtype="PCM_16")
    return stream.getvalue()


def _stacked(waves: list[Tensor], entries: list[Entry], source: Path) -> Tensor:
    for wave, entry in zip(waves, entries, strict=True):
        if len(wave) != len(waves[0]):
            raise InputError(
                f"{entry.path} in {source} has {len(wave)} samples, but {entries[0].path} has {len(waves[0])};"
                " pass length= to cut and pad them, or window= to take windows of that many samples"
            )
    return torch.stack(waves)


def _read(tree: Tree, entry: Entry) -> tuple[np.ndarray, int]:
    import soundfile

    content = tree.read(entry)
    # What is cut short would be read as a shorter sound; 0 and the largest number stand for a size that is not known.
    said = int.from_bytes(content[4:8], "little")
    if content[:4] == b"RIFF" and 0 < said < 2**32 - 1 and len(content) < said + 8:
        raise InputError(
            f"{entry.path} in {tree.source} is cut short: it says that it has {said + 8} bytes, and has {len(content)}"
        )
    try:
        wave, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{entry.path} in {tree.source} ({len(content)} bytes) is no WAV file, or a damaged one"
        ) from error
    if wave.shape[1] != 1:
        raise InputError(f"{entry.path} in {tree.source} has {wave.shape[1]} channels, expected 1: mix them to mono")
    if not len(wave):
        raise InputError(f"{entry.path} in {tree.source} has no samples")
    return wave[:, 0], int(rate)
