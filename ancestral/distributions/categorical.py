"""Categorical observations on the levels 0 .. L-1: a softmax over all values.

Van den Oord et al. 2016, "Pixel Recurrent Neural Networks", section 2.3.
"""

import torch
from torch import Tensor

from ancestral.distributions.observation import Observation


class Categorical(Observation):
    """p(x = k) = softmax(logits)_k. Parameters: the `levels` logits."""

    def __init__(self, levels: int) -> None:
        self.levels = self.size = self.values = levels

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        chosen = parameters.gather(1, x.long().unsqueeze(1)).squeeze(1)
        return chosen - parameters.logsumexp(1)

    def mean(self, parameters: Tensor) -> Tensor:
        values = torch.arange(self.levels, dtype=parameters.dtype, device=parameters.device)
        return torch.einsum("bk...,k->b...", parameters.softmax(1), values)

    def from_uniform(self, parameters: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        if temperature != 1:
            parameters = parameters / temperature
        cumulative = parameters.softmax(1).cumsum(1)
        # The last entry is 1 up to rounding: dropping it keeps the count below `levels`.
        return (cumulative[:, :-1] <= u.unsqueeze(1)).sum(1).to(u.dtype)
