"""The rulers: likelihood with its kind and error, and the quality of samples."""

from ancestral.evaluation.likelihood import Score, bits_per_dim, evaluate, log_likelihoods
from ancestral.evaluation.sample_quality import SampleQuality, evaluate_samples

__all__ = ["SampleQuality", "Score", "bits_per_dim", "evaluate", "evaluate_samples", "log_likelihoods"]
