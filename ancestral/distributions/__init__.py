"""Observation models p(x | parameters) that network heads output, posteriors, and the deterministic `Delta`."""

from ancestral.distributions.bernoulli import Bernoulli
from ancestral.distributions.categorical import Categorical
from ancestral.distributions.choice import conditional_for, observation_for
from ancestral.distributions.columns import ColumnObservations
from ancestral.distributions.delta import Delta
from ancestral.distributions.diagonal_gaussian import DiagonalGaussian
from ancestral.distributions.discretized_logistic import DiscretizedLogistic
from ancestral.distributions.flow_posterior import FlowPosterior
from ancestral.distributions.gaussian import Gaussian
from ancestral.distributions.labelled_gaussian import LabelledGaussian
from ancestral.distributions.layered_gaussian import LayeredGaussian
from ancestral.distributions.mixture import Mixture
from ancestral.distributions.observation import Observation
from ancestral.distributions.posterior import Posterior

__all__ = [
    "Bernoulli",
    "Categorical",
    "ColumnObservations",
    "Delta",
    "DiagonalGaussian",
    "DiscretizedLogistic",
    "FlowPosterior",
    "Gaussian",
    "LabelledGaussian",
    "LayeredGaussian",
    "Mixture",
    "Observation",
    "Posterior",
    "conditional_for",
    "observation_for",
]
