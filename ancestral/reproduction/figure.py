"""Figures: experiments written in Python, each of which yields a picture and the number that it stands for.

A figure is a function in a file of its own in `ancestral/reproduction/figures/`; file and function bear its name:

    @figure(model="ppca", data="wine", metric="...", unit="nats", budget="cpu", source="...")
    def em_elbo(seed: int, data_root: Root, progress: bool, *, iterations: int = 60) -> Drawn:
        '''What it shows, in one line.'''

`ancestral reproduce em-elbo` then writes the entry of the ledger and the picture, as it does for a recipe. What may be
set are the keywords, JSON values; the entry keeps their defaults as its settings.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from matplotlib.figure import Figure

from ancestral.interface import InputError
from ancestral.reproduction.making import fitted as fitted
from ancestral.reproduction.making import seeded_build as seeded_build
from ancestral.reproduction.measurement import Measurement
from ancestral.reproduction.recipes import BUDGETS, StatedResult, list_recipes, load_recipe
from ancestral.suggestions import did_you_mean

#: Where the data lie; None: where the environment says.
Root: TypeAlias = str | Path | None

_PACKAGE = "ancestral.reproduction.figures"
_FIGURES: dict[str, "FigureRecipe"] = {}


@dataclass(frozen=True)
class Drawn:
    """A figure from one seed: its picture, and the number behind it with what stands beside it."""

    picture: Figure
    measurement: Measurement


@dataclass(frozen=True, kw_only=True)
class FigureRecipe(StatedResult):
    """A figure by its name, with what the ledger says of it."""

    #: The function of the seed, of where the data lie, of whether to show progress, and of its own settings.
    draw: Callable[..., Drawn]
    split: str

    @property
    def settings(self) -> Mapping[str, Any]:
        keywords = inspect.signature(self.draw).parameters.values()
        return {keyword.name: keyword.default for keyword in keywords if keyword.kind is keyword.KEYWORD_ONLY}


def figure(
    *,
    model: str,
    data: str,
    metric: str,
    unit: str,
    budget: str = "cpu",
    split: str = "test",
    source: str | None = None,
    notes: str = "",
) -> Callable[[Callable[..., Drawn]], Callable[..., Drawn]]:
    """Function decorator: let `ancestral reproduce` know a figure under the function's name.

    Args:
        model: the registered models that it trains, with commas between.
        data: the data set that it uses.
        metric: what its number is, lower is better.
        unit: of the number.
        budget: "cpu" (30 minutes on 2 cores), "cpu-long" (90 minutes) or "gpu".
        split: whose rows the number is of.
        source: where the experiment is from.
        notes: what the ledger has to say besides.
    """
    if budget not in BUDGETS:
        raise ValueError(f"budget must be one of {', '.join(BUDGETS)}, got {budget!r}")

    def decorate(draw: Callable[..., Drawn]) -> Callable[..., Drawn]:
        name = draw.__name__.replace("_", "-")
        _FIGURES[name] = FigureRecipe(
            name=name,
            model=model,
            data=data,
            budget=budget,
            metric=metric,
            unit=unit,
            source=source,
            notes=notes,
            draw=draw,
            split=split,
        )
        return draw

    return decorate


def list_figures() -> list[str]:
    """The names of the figures, by their files."""
    found = pkgutil.iter_modules(importlib.import_module(_PACKAGE).__path__)
    return sorted(module.name.replace("_", "-") for module in found)


def load_result(name: str | Path) -> StatedResult:
    """A recipe or a figure of the package by its name, or a recipe from a YAML file by its path."""
    figures = list_figures()
    if str(name) in figures:
        importlib.import_module(f"{_PACKAGE}.{str(name).replace('-', '_')}")
        return _FIGURES[str(name)]
    recipes = list_recipes()
    if Path(name).suffix in (".yaml", ".yml") or str(name) in recipes:
        return load_recipe(name)
    raise InputError(
        f"there is no recipe or figure {str(name)!r}{did_you_mean(str(name), [*recipes, *figures])}; the recipes are"
        f" {', '.join(recipes)}; the figures are {', '.join(figures)}; the path of a recipe must end in .yaml"
    )
