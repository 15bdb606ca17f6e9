"""Categorical observations on the levels 0 .. L-1: a softmax over all values.

Van den Oord et al. 2016, "Pixel Recurrent Neural Networks", section 2.3.
"""

from typing import Any

import torch
from torch import Tensor

from ancestral.distributions.observation import Observation


class _LogProb(torch.autograd.Function):
    """The logit of the value less the logarithm of all their exponentials' sum, along the axis 1.

    Its gradient in one buffer: composed, the backward pass of 256 logits for each value of a colour image takes longer
    than all of a network that makes them.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, value: Tensor) -> Tensor:
        total = logits.logsumexp(1, keepdim=True)
        ctx.save_for_backward(logits, total, value)
        return (logits.gather(1, value) - total).squeeze(1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        logits, total, value = ctx.saved_tensors
        grad = grad.unsqueeze(1)
        result = torch.sub(logits, total).exp_().mul_(-grad)
        return result.scatter_add_(1, value, grad), None


class Categorical(Observation):
    """p(x = k) = softmax(logits)_k. Parameters: the `levels` logits."""

    def __init__(self, levels: int) -> None:
        self.levels = self.size = self.values = levels

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        value = x.long().unsqueeze(1)
        if parameters.requires_grad and torch.is_grad_enabled():
            found: Tensor = _LogProb.apply(parameters, value)
            return found
        return parameters.gather(1, value).squeeze(1) - parameters.logsumexp(1)

    def mean(self, parameters: Tensor) -> Tensor:
        values = torch.arange(self.levels, dtype=parameters.dtype, device=parameters.device)
        return torch.einsum("bk...,k->b...", parameters.softmax(1), values)

    def from_uniform(self, parameters: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        if temperature != 1:
            parameters = parameters / temperature
        cumulative = parameters.softmax(1).cumsum(1)
        # The last entry is 1 up to rounding: dropping it keeps the count below `levels`.
        return (cumulative[:, :-1] <= u.unsqueeze(1)).sum(1).to(u.dtype)
