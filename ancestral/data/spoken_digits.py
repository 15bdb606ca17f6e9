"""The Free Spoken Digit Dataset (Jackson et al. 2018): English digits by six speakers, 50 recordings of each."""

import re
from itertools import groupby
from pathlib import Path, PurePosixPath

import torch

from ancestral.data.assembly import Sequences, assemble_windows
from ancestral.data.audio import SOUNDS, read_sounds
from ancestral.data.catalogue import builtin
from ancestral.data.dataset import Data
from ancestral.data.entries import open_tree
from ancestral.data.files import SourceFile, Store
from ancestral.interface import InputError, Levels, Real

_ARCHIVE = SourceFile("fsdd.zip")
_NAME = re.compile(r"(\d)_([a-z]+)_(\d+)")
_DIGITS = tuple(map(str, range(10)))
#: Recordings of each digit by each speaker: from 0 on for test, then as many for validation, then all others.
_HELD_OUT = 5
_WINDOW = 2048


@builtin("fsdd", f"({_WINDOW},), 256 levels", [_ARCHIVE])
def fsdd(store: Store, seed: int, *, length: int | None = None, mu_law: bool = True, window: int | None = None) -> Data:
    """Spoken digits at 8 kHz by six speakers, labelled by digit; recordings 0 to 4 of each are test, 5 to 9 valid.

    Most recordings are shorter than two windows, so those of a digit by a speaker are joined in their order, and the
    windows are cut from that: of the test split 97 % are in one of 1,024 samples, 94 % in one of 2,048. `factors` has
    `digit` and `speaker`.

    Args:
        length: The samples of each observation, a whole recording each: cut at the end, or padded with silence. With a
            `window`, of each recording before they are joined.
        mu_law: Companded to 8 bits (ITU-T G.711; van den Oord et al. 2016, section 2.2), otherwise in [-1, 1].
        window: The samples of each window, by default 2,048.
    """
    [path] = store.get(_ARCHIVE)
    with open_tree(path) as tree:
        entries = tree.entries(SOUNDS)
        waves, rate = read_sounds(tree, entries, length=length, mu_law=mu_law)
    found = sorted((*_digit_speaker_index(entry.path, path), row) for row, entry in enumerate(entries))
    speakers = sorted({speaker for _, speaker, *_ in found})
    same = 2 if window is not None or length is None else 3  # digit and speaker, or recording too
    if window is None:
        window = _WINDOW if length is None else length
    parts = {}
    for number, part in enumerate(("test", "valid", "train")):
        own = [recording for recording in found if min(recording[2] // _HELD_OUT, 2) == number]
        if not own:
            raise InputError(f"{path} has no recording for {part}; of each digit and speaker the first 5 are test's")
        groups = [list(group) for _, group in groupby(own, key=lambda recording: recording[:same])]
        digit = torch.tensor([group[0][0] for group in groups])
        speaker = torch.tensor([speakers.index(group[0][1]) for group in groups])
        sounds = [torch.cat([waves[row] for *_, row in group]) for group in groups]
        parts[part] = Sequences(sounds, digit, factors={"digit": digit, "speaker": speaker})
    return assemble_windows(
        "fsdd",
        parts,
        window=window,
        support=Levels(256) if mu_law else Real(),
        classes=_DIGITS,
        factor_names={"digit": _DIGITS, "speaker": tuple(speakers)},
        sample_rate=rate,
        note="test: recordings 0 to 4 of each digit and speaker, valid: 5 to 9",
    )


def _digit_speaker_index(file: PurePosixPath, source: Path) -> tuple[int, str, int]:
    match = _NAME.fullmatch(file.stem)
    if match is None:
        raise InputError(f"{source} holds {file.name}; recordings are named DIGIT_SPEAKER_INDEX.wav, as 3_george_0.wav")
    return int(match[1]), match[2], int(match[3])
