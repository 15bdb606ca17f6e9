"""What a recipe has trained, what is measured of it, and what a metric is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ancestral.data import Data
from ancestral.evaluation import SampleJudge
from ancestral.interface import ClosedFormFit, InputError, Model
from ancestral.registry import build
from ancestral.reproduction.recipes import Recipe
from ancestral.training import Report


@dataclass(frozen=True)
class Trained:
    """A model that a recipe has trained, from one seed."""

    recipe: Recipe
    seed: int
    model: Model
    data: Data
    report: Report
    #: The models of the recipes that stand among the baselines, by their names.
    others: Mapping[str, Model] = field(default_factory=dict)

    @cached_property
    def judge(self) -> SampleJudge:
        """What samples are held against: test rows, by the settings of the recipe's `evaluation`."""
        return SampleJudge(self.data, split="test", **{"seed": self.seed, **self.recipe.evaluation})


@dataclass(frozen=True)
class Measurement:
    """A figure on the test split in the recipe's unit, and the same of simpler or perfect models beside it."""

    value: float
    #: Over the test rows; None where the figure is no mean over rows.
    stderr: float | None
    #: How the figure comes about: of a likelihood, "exact" or "lower bound".
    kind: str
    importance_samples: int | None = None
    baselines: Mapping[str, float] = field(default_factory=dict)
    #: Pictures of what was measured, by title.
    panels: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class Measure:
    """A metric: its unit, how it is taken, and the baselines that a recipe may name."""

    unit: str
    #: The trained model, the recipe's `evaluation` settings and whether to show progress.
    take: Callable[[Trained, Mapping[str, Any], bool], Measurement]
    baselines: Mapping[str, Callable[[Trained], float]] = field(default_factory=dict)
    #: What the recipe's `evaluation` must say.
    needs: Sequence[str] = ()
    #: A package that it needs and that the library does not ask for.
    package: str | None = None
    #: The figure of another model on the same data: then recipes may be baselines, by their names.
    of_model: Callable[[Trained, Model], float] | None = None


def as_fitted(trained: Trained) -> tuple[Tensor, Tensor]:
    """The training and the test rows in the units that the model is fitted in."""
    standard = trained.model.standardization
    train, test = trained.data.train.x, trained.data.test.x
    if standard is None:
        return train, test
    return standard(train.to(standard.shift.device)).cpu(), standard(test.to(standard.shift.device)).cpu()


def fitting_start(trained: Trained) -> ClosedFormFit:
    """The model where its own fit started."""
    recipe = trained.recipe
    start = build(recipe.model, trained.data, **recipe.model_settings)
    if not isinstance(start, ClosedFormFit):
        raise InputError(f"{recipe.model} is not fitted by EM, so scikit-learn cannot start where it starts")
    start.fit_start(trained.data.train.x, generator=torch.Generator().manual_seed(trained.seed))
    return start
