"""How often labels are mistaken: by a classifier, and by what learns from features."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from ancestral.evaluation import (
    ErrorRate,
    evaluate,
    evaluate_classifier,
    evaluate_nearest_neighbour,
    nearest_neighbour_error,
)
from ancestral.interface import BoundedDensity, ExactDensity, InputError, Model
from ancestral.plots import transfer_figure
from ancestral.reproduction.making import fitted, seeded_build
from ancestral.reproduction.measurement import Measure, Measurement, Trained, as_fitted
from ancestral.training import probe, training_arguments


def _classification_error(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    """The share of test rows whose likeliest class is not their label; beside it the likelihood of the same rows."""
    found = evaluate_classifier(trained.model, trained.data.test, progress=progress)
    beside: dict[str, float] = {}
    if isinstance(trained.model, ExactDensity | BoundedDensity):
        score = evaluate(trained.model, trained.data.test, **{"progress": progress, **settings})
        beside["negative log-likelihood, nats"] = -score.nats
    return Measurement(100 * found.error, 100 * found.stderr, f"n = {found.n:,}", baselines=beside)


def _nearest_neighbour(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    """The share of test rows whose nearest training row, by the features, has another label."""
    found = _told_by_features(trained, trained.model, **{"progress": progress, **settings})
    return Measurement(100 * found.error, 100 * found.stderr, f"n = {found.n:,}")


def _told_by_features(trained: Trained, model: Model, **settings: Any) -> ErrorRate:
    return evaluate_nearest_neighbour(model, trained.data.train, trained.data.test, **settings)


def _raw_pixels(trained: Trained) -> float:
    """The values of a row themselves, in the units that the model is fitted in."""
    known, labels = trained.data.train.y, trained.data.test.y
    if known is None or labels is None:
        raise InputError(f"{trained.data.name} has no labels, which nearest neighbours are to tell")
    train, test = (x.flatten(1).float() for x in as_fitted(trained))
    return 100 * nearest_neighbour_error(train, known, test, labels).error


def _untrained(trained: Trained) -> float:
    """The features of the model as it was before its training."""
    recipe = trained.recipe
    model = seeded_build(recipe.model, trained.data, trained.seed, recipe.model_settings)
    return 100 * _told_by_features(trained, model).error


def _codes(trained: Trained) -> float:
    """The codes of the model in place of its features."""
    return 100 * _told_by_features(trained, trained.model, of="codes").error


def _rival(name: str, taken: Mapping[str, str], **settings: Any) -> Callable[[Trained], float]:
    """The features of another model after a training of as many epochs, in batches of the same size and at the same
    rate. Its settings are `taken` from those of the recipe's model, by their names there, where it has them."""

    def error(trained: Trained) -> float:
        ours, training = trained.model.settings or {}, trained.recipe.training
        same = {theirs: ours[mine] for theirs, mine in taken.items() if mine in ours}
        rival = seeded_build(name, trained.data, trained.seed, {**same, **settings})
        # A rate that is set phase by phase is of the phases of the recipe's own model.
        how: dict[str, Any] = {key: training[key] for key in ("batch_size", "lr", "schedule") if key in training}
        if isinstance(how.get("lr"), Mapping):
            del how["lr"]
        fitted(
            rival,
            trained.data,
            **training_arguments(how),
            epochs=trained.report.epochs,
            seed=trained.seed,
            progress=False,
        )
        return 100 * _told_by_features(trained, rival).error

    return error


_NETWORKS = {name: name for name in ("latent_dim", "hidden", "network", "channels")}
#: What stands beside the features of an encoder (Donahue et al. 2017, section 4.1).
_RIVALS: Mapping[str, Callable[[Trained], float]] = {
    "discriminator": _rival("gan", {"latent_dim": "latent_dim", "hidden": "hidden", "discriminator_hidden": "hidden"}),
    "latent_regressor": _rival("latent_regressor", _NETWORKS),
    "joint_latent_regressor": _rival("latent_regressor", _NETWORKS, joint=True),
    "autoencoder": _rival("autoencoder", _NETWORKS, activation="leaky_relu"),
    "codes": _codes,
    "raw_pixels": _raw_pixels,
    "untrained": _untrained,
}


def _linear_probe(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
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


MEASURES: Mapping[str, Measure] = {
    "classification error": Measure("%", _classification_error),
    "one-nearest-neighbour error": Measure("%", _nearest_neighbour, _RIVALS),
    "linear-probe error": Measure("%", _linear_probe),
}
