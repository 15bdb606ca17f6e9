"""Training: one engine for models with phases, one for closed-form fits, and recipes."""

from ancestral.training.fit import fit
from ancestral.training.recipes import Recipe, list_recipes, load_recipe
from ancestral.training.report import Report, TrainingDiverged
from ancestral.training.schedules import Constant, Cosine, Schedule, Step
from ancestral.training.specs import training_arguments

__all__ = [
    "Constant",
    "Cosine",
    "Recipe",
    "Report",
    "Schedule",
    "Step",
    "TrainingDiverged",
    "fit",
    "list_recipes",
    "load_recipe",
    "training_arguments",
]
