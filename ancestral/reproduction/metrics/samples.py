"""What samples look like, how they add up in latent space, and how long they take."""

from collections.abc import Mapping
from typing import Any

from ancestral.evaluation import evaluate, vector_arithmetic
from ancestral.interface import Decoder, InputError, Model, Sampler
from ancestral.plots import samples_figure
from ancestral.reproduction.measurement import Measure, Measurement, Trained
from ancestral.reproduction.speed import milliseconds_a_sample


def _frechet(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    judge = trained.judge
    return Measurement(_frechet_of(trained, trained.model), None, f"{judge.extractor}, n = {judge.n:,}")


def _frechet_of(trained: Trained, model: Model) -> float:
    if not isinstance(model, Sampler):
        raise InputError(f"{model.registered_name} draws no samples, which have a Fréchet distance")
    return trained.judge.frechet(trained.judge.draw(model)).frechet


def _real(trained: Trained) -> float:
    """Other real rows, as many: the floor."""
    return trained.judge.reference


def _vector_arithmetic(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    if not isinstance(trained.model, Decoder):
        raise InputError(f"{trained.recipe.model} has no latent space to calculate in: it is no Decoder")
    result = vector_arithmetic(trained.model, trained.data, **{"seed": trained.seed, **settings})
    kind = f"{result.sums} sums of {' and '.join(result.factors)}, {result.possible} of them of pairs that it draws"
    baselines = {
        "of_pairs_that_it_draws": 100 * result.error_of_possible,
        "where_each_value_has_a_direction_of_its_own": 100 * result.ideal_error,
        "in_pixel_space": 100 * result.pixel_error,
        "classifier_on_real_images": 100 * result.classifier_error,
        "guessing": 100 * result.guessing_error,
    }
    title = "a - b + c = d, averages of exemplars"
    panels = {title: samples_figure(result.examples, trained.model.event, columns=4)}
    return Measurement(100 * result.error, None, kind, baselines=baselines, panels=panels)


def _time_of_a_sample(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    """Beside that of the `rival`, a model of the same size by its name, and what the speed costs in likelihood."""
    model, how = trained.model, {"seed": trained.seed, **settings}
    ours, beside = milliseconds_a_sample(model, **how)
    beside |= {f"{name}, times as long": value / ours for name, value in beside.items()}
    beside["negative log-likelihood, nats"] = -evaluate(model, trained.data.test, progress=progress).nats
    return Measurement(ours, None, "median", baselines=beside)


MEASURES: Mapping[str, Measure] = {
    "Fréchet distance": Measure("squared distance", _frechet, {"real": _real}, of_model=_frechet_of),
    "vector arithmetic error": Measure("%", _vector_arithmetic),
    "time of a sample": Measure("ms", _time_of_a_sample, needs=("rival", "rival_settings")),
}
