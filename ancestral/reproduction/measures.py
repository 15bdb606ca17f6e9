"""What a recipe's `metric` names: how a trained model is measured, in which unit, and what stands beside the figure.

Every metric is such that lower is better.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from ancestral.evaluation import in_digits
from ancestral.interface import InputError
from ancestral.reproduction.measurement import Measure, Measurement, Trained
from ancestral.reproduction.metrics import (
    conditional,
    labels,
    likelihood,
    prediction,
    reconstruction,
    samples,
    translations,
    words,
)
from ancestral.reproduction.recipes import Recipe, list_recipes, load_recipe
from ancestral.suggestions import did_you_mean

#: Every metric by its name.
MEASURES: Mapping[str, Measure] = {
    **likelihood.MEASURES,
    **prediction.MEASURES,
    **reconstruction.MEASURES,
    **labels.MEASURES,
    **words.MEASURES,
    **translations.MEASURES,
    **conditional.MEASURES,
    **samples.MEASURES,
}


def check_recipe(recipe: Recipe) -> None:
    """Raise if the recipe asks for a metric, a unit or a baseline that there is none of, or leaves out a setting that
    the metric needs: before any training."""
    if recipe.metric not in MEASURES:
        near = did_you_mean(recipe.metric, MEASURES)
        raise InputError(f"there is no metric {recipe.metric!r}{near}; there are {', '.join(MEASURES)}")
    measure = MEASURES[recipe.metric]
    if recipe.unit != measure.unit:
        raise InputError(
            f"unit of the recipe {recipe.name} must be {measure.unit!r} for {recipe.metric}, got {recipe.unit!r}"
        )
    if measure.package is not None and find_spec(measure.package) is None:
        raise InputError(
            f"{recipe.name} needs {measure.package}, which is not installed: `pip install -c constraints.txt"
            f" {measure.package}`"
        )
    for setting in measure.needs:
        if setting not in recipe.evaluation:
            raise InputError(f"{recipe.metric} needs a setting {setting!r} in evaluation, which {recipe.name} has not")
    for baseline in set(recipe.baselines) - set(rivals(recipe)):
        if baseline not in measure.baselines:
            near = did_you_mean(baseline, measure.baselines)
            there_are = ", ".join(measure.baselines) or "none"
            also = "" if measure.of_model is None else ", and every recipe by its name"
            raise InputError(f"{recipe.metric} has no baseline {baseline!r}{near}; there are {there_are}{also}")
    for name in rivals(recipe):
        other = load_recipe(name)
        if (other.data, _rows_of(other)) != (recipe.data, _rows_of(recipe)):
            raise InputError(
                f"{name} cannot be a baseline of {recipe.name}: it is of {_source(other)}, not of {_source(recipe)}"
            )


def rivals(recipe: Recipe) -> list[str]:
    """The recipes among the baselines: their models are measured beside the recipe's own."""
    measure = MEASURES[recipe.metric]
    if measure.of_model is None:
        return []
    shipped = list_recipes()
    return [name for name in recipe.baselines if name not in measure.baselines and name in shipped]


def _rows_of(recipe: Recipe) -> dict[str, Any]:
    """What says which rows the data are; a baseline may be told less of them than the recipe's own model."""
    return {key: value for key, value in recipe.data_options.items() if key != "context"}


def _source(recipe: Recipe) -> str:
    options = ", ".join(f"{key}={value!r}" for key, value in recipe.data_options.items())
    return f"{recipe.data} ({options})" if options else recipe.data


def in_words(value: float, stderr: float | None, unit: str) -> str:
    """A figure with its standard error, where it has one, and its unit."""
    shown = in_digits(value, 4) if stderr is None else f"{in_digits(value, 4)} ± {in_digits(stderr, 4)}"
    return f"{shown} {unit}"


def measured(trained: Trained, progress: bool) -> Measurement:
    """The figure that the recipe asks for; those of its baselines are not among its own yet."""
    recipe = trained.recipe
    return MEASURES[recipe.metric].take(trained, recipe.evaluation, progress)


def baselines(trained: Trained) -> dict[str, float]:
    """The figures of the baselines that the recipe names."""
    measure, others = MEASURES[trained.recipe.metric], trained.others
    figures = {}
    for name in trained.recipe.baselines:
        if name in others and measure.of_model is not None:
            figures[name] = measure.of_model(trained, others[name])
        else:
            figures[name] = measure.baselines[name](trained)
    return figures
