"""Bernoulli observations on {0, 1}, by their logit."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ancestral.distributions.observation import Observation


class Bernoulli(Observation):
    """p(x = 1) = sigmoid(logit). Parameters: (logit,)."""

    size = 1
    values = 2

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        logits = parameters[:, 0]
        return x * logits - F.softplus(logits)

    def log_likelihood(self, parameters: Tensor, x: Tensor) -> Tensor:
        # A dot product and one softplus: x is not repeated, and the bound of thousands of samples rests on this line.
        logits = parameters.flatten(2)  # size is 1: a view, whose gradient needs no copy
        return torch.linalg.vecdot(logits, x.flatten(1)) - F.softplus(logits).sum(-1)

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters[:, 0].sigmoid()

    def from_uniform(self, parameters: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        if temperature != 1:
            parameters = parameters / temperature
        return (u < self.mean(parameters)).to(u.dtype)
