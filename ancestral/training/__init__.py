"""Training: one engine for models with phases, one for closed-form fits."""

from ancestral.training.fit import fit
from ancestral.training.recipes import training_arguments
from ancestral.training.report import Report, TrainingDiverged
from ancestral.training.schedules import Constant, Cosine, Schedule, Step

__all__ = [
    "Constant",
    "Cosine",
    "Report",
    "Schedule",
    "Step",
    "TrainingDiverged",
    "fit",
    "training_arguments",
]
