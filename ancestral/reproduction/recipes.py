"""Recipes: the settings that reach a stated result, as YAML files inside the package.

A recipe file, with its optional keys marked by (o):

    name: vae-mnist-dyn                 # the file's own name
    model: vae                          # a registered model
    model_settings: {latent_dim: 50}    # (o) its constructor's arguments
    data: binarized-mnist-dynamic       # a built-in data set
    data_options: {}                    # (o) further arguments of load_data
    training:                           # (o) arguments of fit, with these two spelled by name:
      epochs: 100
      optimizer: {name: adam, lr: 1e-3}             # adam, rmsprop, sgd ...; or {generator: {name: adam}, ...} by phase
      schedule: {name: cosine, warmup_steps: 500}   # constant, cosine, linear or step
    evaluation: {importance_samples: 5000}          # (o) arguments of evaluate, or of what measures the metric
    budget: cpu                         # cpu (30 minutes on 2 cores), cpu-long (90 minutes) or gpu
    metric: negative log-likelihood     # what `ancestral reproduce` measures, lower is better ...
    unit: nats                          # ... and in which unit
    published: {value: 86.76, source: "Burda et al. 2016, table 1"}    # (o)
    baselines: [independent]            # (o) simple models, or other recipes, whose figures stand beside it
    source: "Burda et al. 2016"         # (o) where the settings are from
    notes: "..."                        # (o)
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from ancestral.interface import InputError
from ancestral.suggestions import did_you_mean
from ancestral.training.specs import check_keys, training_arguments

BUDGETS = ("cpu", "cpu-long", "gpu")


@dataclass(frozen=True)
class Published:
    """What a paper reports, in the recipe's unit."""

    value: float
    source: str


@dataclass(frozen=True, kw_only=True)
class StatedResult(ABC):
    """What `ancestral reproduce NAME` makes: a number, lower is better, of a model on data, and a picture."""

    name: str
    model: str
    data: str
    budget: str
    metric: str
    unit: str
    published: Published | None = None
    source: str | None = None
    notes: str = ""

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """All that was set, as the ledger keeps it: JSON values."""


@dataclass(frozen=True, kw_only=True)
class Recipe(StatedResult):
    """A model, its data and all settings of a stated result."""

    model_settings: dict[str, Any] = field(default_factory=dict)
    data_options: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    baselines: list[str] = field(default_factory=list)

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"model": self.model_settings, "training": self.training, "evaluation": self.evaluation}


def list_recipes() -> list[str]:
    """The names of the recipes inside the package."""
    return sorted(_shipped())


def load_recipe(name: str | Path) -> Recipe:
    """A recipe of the package by its name, or one from a YAML file by its path."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        try:
            return _parse(path.read_text(encoding="utf-8"), str(path))
        except OSError as error:
            raise InputError(f"the recipe {path} cannot be read: {error.strerror}") from error
    shipped = _shipped()
    if str(name) not in shipped:
        raise InputError(
            f"there is no recipe {str(name)!r}{did_you_mean(str(name), shipped)};"
            f" the recipes are {', '.join(sorted(shipped)) or '(none)'}; a path must end in .yaml"
        )
    return shipped[str(name)]


@cache
def _shipped() -> dict[str, Recipe]:
    folder = resources.files("ancestral") / "recipes"
    recipes = {}
    if folder.is_dir():
        for file in folder.iterdir():
            if file.name.endswith(".yaml"):
                recipe = _parse(file.read_text(encoding="utf-8"), file.name)
                if file.name != f"{recipe.name}.yaml":
                    raise InputError(f"the recipe {file.name} is named {recipe.name!r}; name it after its file")
                recipes[recipe.name] = recipe
    return recipes


class _Loader(yaml.SafeLoader):
    """YAML 1.2's numbers: PyYAML alone takes 1e-3 for a string."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def _parse(text: str, where: str) -> Recipe:
    try:
        content = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise InputError(f"the recipe {where} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"the recipe {where} must be a mapping of settings, got {type(content).__name__}")
    known = [f.name for f in fields(Recipe)]
    check_keys(content, known, f"the recipe {where}")
    needed = [f.name for f in fields(Recipe) if f.default is MISSING and f.default_factory is MISSING]
    if missing := [key for key in needed if content.get(key) is None]:
        raise InputError(f"the recipe {where} lacks {', '.join(missing)}")
    content = {key: value for key, value in content.items() if value is not None}
    for key in ("model_settings", "data_options", "training", "evaluation", "published"):
        if not isinstance(content.get(key, {}), dict):
            raise InputError(f"{key} of the recipe {where} must be a mapping, got {content[key]!r}")
    baselines = content.get("baselines", [])
    if not isinstance(baselines, list) or not all(isinstance(name, str) for name in baselines):
        raise InputError(f"baselines of the recipe {where} must be a list of names, got {baselines!r}")
    for key in set(known) - {"model_settings", "data_options", "training", "evaluation", "published", "baselines"}:
        if not isinstance(content.get(key, ""), str):
            raise InputError(f"{key} of the recipe {where} must be text, got {content[key]!r}")
    if content["budget"] not in BUDGETS:
        raise InputError(f"budget of the recipe {where} must be one of {', '.join(BUDGETS)}, got {content['budget']!r}")
    if "published" in content:
        published = content["published"]
        if set(published) != {"value", "source"} or not isinstance(published["value"], int | float):
            raise InputError(f"published of the recipe {where} must be {{value: number, source: text}}")
        content["published"] = Published(float(published["value"]), str(published["source"]))
    training_arguments(content.get("training", {}))
    return Recipe(**content)
