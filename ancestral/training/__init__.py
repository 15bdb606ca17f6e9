"""Training: one engine for models with phases, one for closed-form fits."""

from ancestral.training.fit import fit
from ancestral.training.probe import probe
from ancestral.training.report import Report, TrainingDiverged
from ancestral.training.schedules import Constant, Cosine, Linear, Schedule, Step
from ancestral.training.specs import training_arguments

__all__ = [
    "Constant",
    "Cosine",
    "Linear",
    "Report",
    "Schedule",
    "Step",
    "TrainingDiverged",
    "fit",
    "probe",
    "training_arguments",
]
