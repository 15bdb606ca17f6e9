"""Gaussian observations on the real numbers: the mean from the network, and the variance too or one for all."""

import math

import torch
from torch import Tensor

from ancestral.distributions.observation import Observation


class Gaussian(Observation):
    """N(x; mean, exp(log_variance)). Parameters: (mean, log_variance); the log-variance is kept in [-14, 14].

    `isotropic` shares one learned log-variance among all dimensions, as probabilistic PCA does.
    """

    size = 2

    def __init__(self, *, isotropic: bool = False) -> None:
        self.shared = 1 if isotropic else 0

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        mean, log_variance = self.moments(parameters)
        return -0.5 * ((x - mean).square() * torch.exp(-log_variance) + log_variance + math.log(2 * math.pi))

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters[:, 0]

    def from_uniform(self, parameters: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        mean, log_variance = self.moments(parameters)
        tiny = torch.finfo(u.dtype).tiny
        # N(m, s^2)^(1/T) is N(m, T s^2) up to its normaliser.
        return mean + torch.exp(0.5 * (log_variance + math.log(temperature))) * torch.special.ndtri(u.clamp(min=tiny))

    @staticmethod
    def moments(parameters: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the log-variance of each dimension."""
        mean, log_variance = parameters.unbind(1)
        # Beyond these limits a point mass would score without bound, and exp would overflow in bf16 training.
        return mean, log_variance.clamp(-14.0, 14.0)
