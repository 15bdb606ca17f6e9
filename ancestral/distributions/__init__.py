"""Observation models p(x | parameters) that network heads output, and the deterministic `Delta`."""

from ancestral.distributions.bernoulli import Bernoulli
from ancestral.distributions.categorical import Categorical
from ancestral.distributions.delta import Delta
from ancestral.distributions.discretized_logistic import DiscretizedLogistic
from ancestral.distributions.gaussian import Gaussian
from ancestral.distributions.observation import Observation
from ancestral.distributions.standard_normal import standard_normal

__all__ = ["Bernoulli", "Categorical", "Delta", "DiscretizedLogistic", "Gaussian", "Observation", "standard_normal"]
