"""The metric of representations: the error of a linear classifier with few labels, beside a random start's."""

import math
from collections.abc import Mapping
from typing import Any

from ancestral.plots import transfer_figure
from ancestral.reproduction.measurement import Measurement, Trained
from ancestral.training import probe


def linear_probe(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    """The error on test rows with the fewest labels, in %, a mean over draws of them with its standard error.

    Beside it, of the same draws, what the protocol of `probe` holds against it, all of it at each number of labels; and
    how many standard errors lie between the model and a random start, draw by draw.
    """
    found = probe(trained.model, trained.data, **{"seed": trained.seed, "progress": progress, **settings})
    fewest, *more = sorted(found.labels)
    mine = found.of("model", fewest)
    others = [name for name in found.representations if name != "model"]
    beside = {f"{name}, {fewest:,} labels": 100 * found.of(name, fewest).error for name in others}
    for count in more:
        beside |= {f"{name}, {count:,} labels": 100 * found.of(name, count).error for name in ("model", *others)}
    beside["guessing"] = 100 * found.guessing
    gains = {count: found.gain(count) for count in (fewest, *more)}
    below = ", ".join(f"{100 * gain:.2f} ± {100 * error:.2f} with {count:,}" for count, (gain, error) in gains.items())
    kind = f"{fewest:,} labels, n = {found.n:,}, {len(mine.errors)} draws; below a random start by {below}"
    panels = {"what labels buy": transfer_figure(found.curves)}
    stderr = None if math.isnan(mine.stderr) else 100 * mine.stderr
    return Measurement(100 * mine.error, stderr, kind, baselines=beside, panels=panels)
