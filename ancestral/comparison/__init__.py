"""The main job: train models of every family on the same data for the same time, and measure them alike."""

from ancestral.comparison.quick import quick_training
from ancestral.comparison.result import Comparison, Entry, Trial
from ancestral.comparison.run import compare

__all__ = ["Comparison", "Entry", "Trial", "compare", "quick_training"]
