"""The rulers: likelihood with its kind and error, error rate, quality of samples, what a latent space has learned."""

from ancestral.evaluation.classification import ErrorRate, evaluate_classifier, why_no_error_rate
from ancestral.evaluation.factor_classifier import FactorClassifier, train_factor_classifier
from ancestral.evaluation.latent_arithmetic import VectorArithmetic, vector_arithmetic
from ancestral.evaluation.likelihood import Score, bits_per_dim, evaluate, log_likelihoods
from ancestral.evaluation.sample_quality import SampleQuality, evaluate_samples

__all__ = [
    "ErrorRate",
    "FactorClassifier",
    "SampleQuality",
    "Score",
    "VectorArithmetic",
    "bits_per_dim",
    "evaluate",
    "evaluate_classifier",
    "evaluate_samples",
    "log_likelihoods",
    "train_factor_classifier",
    "vector_arithmetic",
    "why_no_error_rate",
]
