"""How long a model takes to draw a sample, beside a network of as many parameters that draws a value at a time."""

import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch

from ancestral.evaluation import count_parameters
from ancestral.interface import Autoregressive, InputError, Model
from ancestral.reproduction.making import seeded_build

#: By how much two numbers of parameters may differ that count as the same.
SAME_SIZE = 0.05


def milliseconds_a_sample(
    model: Model,
    rival: str,
    rival_settings: Mapping[str, Any],
    *,
    images: int = 16,
    repetitions: int = 7,
    seed: int = 0,
) -> tuple[float, dict[str, float]]:
    """The milliseconds that `model` takes for a sample, where it draws so many `images` at once, and those of a new
    model named `rival` of the same size: from cached features, and by a whole evaluation of the network for each value.

    Medians of interleaved `repetitions`; the naive draw, which takes a minute, is timed once.
    """
    other = seeded_build(rival, model.event, seed, rival_settings).to(model.device)
    sizes = count_parameters(model), count_parameters(other)
    if abs(sizes[1] / sizes[0] - 1) > SAME_SIZE:
        raise InputError(
            f"{rival} has {sizes[1]:,} parameters and {model.registered_name} {sizes[0]:,}, more than {SAME_SIZE:.0%}"
            " apart: samples of networks of the same size are compared"
        )
    if not isinstance(model, Autoregressive) or not isinstance(other, Autoregressive):
        raise InputError(f"{model.registered_name} and {rival} must be autoregressive, to be drawn naively or not")
    seconds: dict[Autoregressive, list[float]] = {model: [], other: []}
    for repetition in range(-1, repetitions):  # the first warms up
        for contestant, found in seconds.items():
            elapsed = _seconds(contestant, images)
            if repetition >= 0:
                found.append(elapsed)
    per_sample = 1000 / images
    ours, cached = (per_sample * statistics.median(found) for found in seconds.values())
    naive = per_sample * _seconds(other, images, naively=True)
    return ours, {f"{rival}, naively": naive, f"{rival}, from cached features": cached}


def _seconds(model: Autoregressive, n: int, *, naively: bool = False) -> float:
    generator = torch.Generator().manual_seed(0)
    start = time.perf_counter()
    model.sample(n, generator=generator, naively=naively)
    return time.perf_counter() - start
