"""Bernoulli observations on {0, 1}, by their logit."""

from torch import Tensor
from torch.nn import functional as F

from ancestral.distributions.observation import Observation


class Bernoulli(Observation):
    """p(x = 1) = sigmoid(logit). Parameters: (logit,)."""

    size = 1

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        logits = parameters[:, 0]
        return x * logits - F.softplus(logits)

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters[:, 0].sigmoid()

    def from_uniform(self, parameters: Tensor, u: Tensor) -> Tensor:
        return (u < self.mean(parameters)).to(u.dtype)
