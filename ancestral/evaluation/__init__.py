"""The rulers: likelihood with its kind and error, divergences, what inference loses, error rate, quality of samples,
what a latent space has learned."""

from ancestral.evaluation.alignment import (
    Alignment,
    Translations,
    evaluate_alignment,
    identity_alignment,
    other_domain,
    translated,
    true_pairs,
)
from ancestral.evaluation.amortization import AmortizationGap, amortization_gap
from ancestral.evaluation.analogies import ClassInput, analogies, class_input, takes_class
from ancestral.evaluation.captions import CaptionReading, read_captions
from ancestral.evaluation.classification import ErrorRate, evaluate_classifier, why_no_error_rate
from ancestral.evaluation.divergences import (
    Divergence,
    jensen_shannon,
    jensen_shannon_from_densities,
    jensen_shannon_from_discriminator,
    jensen_shannon_from_samples,
    kl_divergence,
    kl_from_densities,
    kl_from_discriminator,
    kl_from_samples,
)
from ancestral.evaluation.factor_classifier import FactorClassifier, train_factor_classifier
from ancestral.evaluation.features import FeatureExtractor, FeaturesLike, feature_extractor
from ancestral.evaluation.held_out_loss import HeldOutLoss, evaluate_loss
from ancestral.evaluation.holes import HoleError, evaluate_hole, mean_in_hole, nearest_in_hole
from ancestral.evaluation.imputation import filled_in
from ancestral.evaluation.imputation import in_words as filling_in_words
from ancestral.evaluation.independent import channel_histogram, independent, independent_gaussian, independent_histogram
from ancestral.evaluation.information import LatentInformation, kl_of_latents, latent_information
from ancestral.evaluation.latent_arithmetic import VectorArithmetic, vector_arithmetic
from ancestral.evaluation.latents import Path, decoded, resampled, walks
from ancestral.evaluation.likelihood import Score, bits_per_dim, evaluate, in_digits, log_likelihoods, standard_error
from ancestral.evaluation.measures import Measure, measures
from ancestral.evaluation.modes import ModeCoverage, mode_coverage
from ancestral.evaluation.prediction import Prediction, entropy_bound, evaluate_prediction
from ancestral.evaluation.probes import evaluate_nearest_neighbour, nearest_neighbour_error
from ancestral.evaluation.reconstruction import Reconstruction, evaluate_reconstruction
from ancestral.evaluation.rows import contexts_of, spread_rows
from ancestral.evaluation.sample_quality import SampleJudge, SampleQuality, evaluate_samples, rows_to_judge_samples
from ancestral.evaluation.size import count_parameters
from ancestral.evaluation.spectra import PowerSpectrum, power_spectrum
from ancestral.evaluation.spikes import spike
from ancestral.evaluation.stages import StageShares, stage_shares
from ancestral.evaluation.transfer import Transfer, TransferError, linear_probe_error
from ancestral.evaluation.transport import wasserstein, wasserstein_from_critic, wasserstein_from_samples
from ancestral.evaluation.traversals import (
    LatentSpread,
    activity,
    latent_plane,
    latent_spread,
    quantiles,
    traversals,
)
from ancestral.evaluation.two_samples import (
    Copying,
    KernelDistance,
    PrecisionRecall,
    TwoSampleTest,
    copying,
    frechet_distance,
    kernel_distance,
    precision_recall,
    two_sample_test,
)
from ancestral.evaluation.words import AnalogyError, Question, WordVectors, read_questions, word_vectors

__all__ = [
    "Alignment",
    "AmortizationGap",
    "AnalogyError",
    "CaptionReading",
    "ClassInput",
    "Copying",
    "Divergence",
    "ErrorRate",
    "FactorClassifier",
    "FeatureExtractor",
    "FeaturesLike",
    "HeldOutLoss",
    "HoleError",
    "KernelDistance",
    "LatentInformation",
    "LatentSpread",
    "Measure",
    "ModeCoverage",
    "Path",
    "PowerSpectrum",
    "PrecisionRecall",
    "Prediction",
    "Question",
    "Reconstruction",
    "SampleJudge",
    "SampleQuality",
    "Score",
    "StageShares",
    "Transfer",
    "TransferError",
    "Translations",
    "TwoSampleTest",
    "VectorArithmetic",
    "WordVectors",
    "activity",
    "amortization_gap",
    "analogies",
    "bits_per_dim",
    "channel_histogram",
    "class_input",
    "contexts_of",
    "copying",
    "count_parameters",
    "decoded",
    "entropy_bound",
    "evaluate",
    "evaluate_alignment",
    "evaluate_classifier",
    "evaluate_hole",
    "evaluate_loss",
    "evaluate_nearest_neighbour",
    "evaluate_prediction",
    "evaluate_reconstruction",
    "evaluate_samples",
    "feature_extractor",
    "filled_in",
    "filling_in_words",
    "frechet_distance",
    "identity_alignment",
    "in_digits",
    "independent",
    "independent_gaussian",
    "independent_histogram",
    "jensen_shannon",
    "jensen_shannon_from_densities",
    "jensen_shannon_from_discriminator",
    "jensen_shannon_from_samples",
    "kernel_distance",
    "kl_divergence",
    "kl_from_densities",
    "kl_from_discriminator",
    "kl_from_samples",
    "kl_of_latents",
    "latent_information",
    "latent_plane",
    "latent_spread",
    "linear_probe_error",
    "log_likelihoods",
    "mean_in_hole",
    "measures",
    "mode_coverage",
    "nearest_in_hole",
    "nearest_neighbour_error",
    "other_domain",
    "power_spectrum",
    "precision_recall",
    "quantiles",
    "read_captions",
    "read_questions",
    "resampled",
    "rows_to_judge_samples",
    "spike",
    "spread_rows",
    "stage_shares",
    "standard_error",
    "takes_class",
    "train_factor_classifier",
    "translated",
    "traversals",
    "true_pairs",
    "two_sample_test",
    "vector_arithmetic",
    "walks",
    "wasserstein",
    "wasserstein_from_critic",
    "wasserstein_from_samples",
    "why_no_error_rate",
    "word_vectors",
]
