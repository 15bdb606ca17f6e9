"""What a trained model is measured by, and on which rows: one decision for every command."""

import warnings
from typing import Any, TypeAlias

from ancestral.data import Data
from ancestral.evaluation.alignment import Alignment, evaluate_alignment, true_pairs
from ancestral.evaluation.classification import ErrorRate, evaluate_classifier, why_no_error_rate
from ancestral.evaluation.held_out_loss import HeldOutLoss, evaluate_loss
from ancestral.evaluation.likelihood import Score, evaluate
from ancestral.evaluation.reconstruction import Reconstruction, evaluate_reconstruction
from ancestral.evaluation.sample_quality import (
    DEFAULT_SAMPLES,
    SampleQuality,
    evaluate_samples,
    rows_to_judge_samples,
)
from ancestral.evaluation.spikes import spike
from ancestral.evaluation.stages import StageShares, stage_shares
from ancestral.interface import (
    BoundedDensity,
    Encoder,
    ExactDensity,
    InputError,
    MeanDecoder,
    Model,
    Sampler,
    StagedDensity,
    Translator,
)

Measure: TypeAlias = Score | StageShares | SampleQuality | Reconstruction | ErrorRate | Alignment | HeldOutLoss

#: Candidates among which the partner of a translation is looked for, where there are as many.
_CANDIDATES = 1000


def measures(
    model: Model,
    data: Data,
    split: str | None = None,
    *,
    samples: int | None = None,
    features: str | None = None,
    importance_samples: int | None = None,
    batch_size: int = 256,
    limit: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> list[tuple[str, Measure]]:
    """Each measure that the model has, with the name of the split that it was taken on.

    By its likelihood, and where that has stages, how it divides among them; without a density by its samples, and
    without these by what its codes decode to. Where a number of `samples` or the `features` to compare them by are
    given, any sampler is judged by them, too. A classifier is judged by its error besides, and a translator by the
    pairs that the data hid from its training; what has none of these by its loss. Without a `split` these are the test
    rows, or for samples `rows_to_judge_samples`.
    """
    asked = samples is not None or features is not None
    if asked and not isinstance(model, Sampler):
        raise InputError(f"{model.display_name} cannot be sampled: it takes no number of samples, and no features")
    name = split or "test"
    rows = data.splits[name]
    found: list[tuple[str, Measure]] = []
    if isinstance(model, ExactDensity | BoundedDensity):
        score = evaluate(
            model,
            rows,
            importance_samples=importance_samples,
            batch_size=batch_size,
            limit=limit,
            seed=seed,
            progress=progress,
        )
        found.append((name, score))
        if reason := spike(score.nats, rows):
            warnings.warn(reason, stacklevel=2)
        if isinstance(model, StagedDensity):
            found.append((name, stage_shares(model, rows, batch_size=batch_size, limit=limit, progress=progress)))
    elif isinstance(model, Sampler):
        asked = True
    elif isinstance(model, Encoder) and isinstance(model, MeanDecoder):
        error = evaluate_reconstruction(model, rows, batch_size=batch_size, limit=limit, progress=progress)
        found.append((name, error))
    if asked:
        judges = rows if split else rows_to_judge_samples(data)
        where = next(key for key, value in data.splits.items() if value is judges)
        how: dict[str, Any] = {
            "samples": samples if samples is not None or limit is None else min(limit, DEFAULT_SAMPLES),
            "features": features,
            "seed": seed,
            "batch_size": batch_size,
        }
        found.append((where, evaluate_samples(model, data, split=where, **how)))
    if isinstance(model, Translator) and (pairs := true_pairs(rows)) is not None:
        candidates = min(_CANDIDATES, len(pairs[0]) if limit is None else limit)
        found.append((name, evaluate_alignment(model, rows, candidates=candidates, limit=limit)))
    if why_no_error_rate(model, rows) is None:
        found.append((name, evaluate_classifier(model, rows, batch_size=batch_size, limit=limit, progress=progress)))
    if not found and model.monitor == "loss":
        loss = evaluate_loss(model, rows, batch_size=batch_size, limit=limit, seed=seed, progress=progress)
        found.append((name, loss))
    return found
