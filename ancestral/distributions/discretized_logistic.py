"""Discretized logistic observations on the levels 0 .. L-1.

Kingma et al. 2016, "Inverse Autoregressive Flow", appendix A; Salimans et al. 2017, "PixelCNN++", equation 2.

Values are laid on [-1, 1]; p(x) is the logistic's mass in the cell of half-width 1/(L-1) around x, with the two edge
cells reaching to infinity, so that the probabilities of all levels sum to 1.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ancestral.distributions.categorical import Categorical
from ancestral.distributions.observation import Observation


class DiscretizedLogistic(Observation):
    """Parameters: (mean on the scale [-1, 1], log_scale); the log-scale is kept at -7 or above, as in PixelCNN++."""

    size = 2

    def __init__(self, levels: int) -> None:
        self.levels = self.values = levels

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        mean, log_scale = self._split(parameters)
        half = 1 / (self.levels - 1)
        centred = x * (2 * half) - 1 - mean
        rate = torch.exp(-log_scale)
        upper, lower = rate * (centred + half), rate * (centred - half)
        # ln(sigmoid(b) - sigmoid(a)) = ln sigmoid(b) + ln sigmoid(-a) + ln(1 - exp(a - b)), exact for b > a.
        width = 2 * half * rate
        # For narrow cells the last term is ln(b - a) - (b - a) / 2, which does not underflow.
        narrow = math.log(2 * half) - log_scale - 0.5 * width
        last = torch.where(width < 1e-5, narrow, torch.log(-torch.expm1(-width.clamp(min=1e-5))))
        middle = F.logsigmoid(upper) + F.logsigmoid(-lower) + last
        bottom, top = F.logsigmoid(upper), F.logsigmoid(-lower)
        return torch.where(x == 0, bottom, torch.where(x == self.levels - 1, top, middle))

    def mean(self, parameters: Tensor) -> Tensor:
        mean, log_scale = self._split(parameters)
        rate, expected = torch.exp(-log_scale), torch.zeros_like(mean)
        # E x is the sum over levels k > 0 of P(x >= k), one at a time: all at once would be `levels` times the data.
        for k in range(1, self.levels):
            edge = (2 * k - 1) / (self.levels - 1) - 1
            expected += torch.sigmoid(rate * (mean - edge))
        return expected

    def from_uniform(self, parameters: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        if temperature != 1:
            # p^(1/T) is no discretized logistic: it is drawn from the table of all its levels, which is exact.
            return Categorical(self.levels).from_uniform(self.table(parameters), u, temperature)
        mean, log_scale = self._split(parameters)
        eps = torch.finfo(u.dtype).eps
        continuous = mean + torch.exp(log_scale) * torch.logit(u.clamp(eps, 1 - eps))
        return self._to_levels(continuous).round().clamp(0, self.levels - 1)

    def _to_levels(self, value: Tensor) -> Tensor:
        return (value + 1) * (0.5 * (self.levels - 1))

    @staticmethod
    def _split(parameters: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_scale = parameters.unbind(1)
        return mean, log_scale.clamp(min=-7.0)
