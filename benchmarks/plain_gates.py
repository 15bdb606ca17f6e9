"""tanh(a) * sigmoid(b) without scaled weights: what the gate of `ancestral.layers.gated` is held against.

Both have a backward of their own as careful as ours. `tanh_gate` computes tanh and sigmoid; `sigmoid_gate` computes
tanh(a) = 1 - 2 sigmoid(-2 a), so that it differs from ours by one pass that scales a. Do not change it: the figures
would no longer compare.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _TanhGate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=1)
        activations = torch.empty_like(x)
        t, q = activations.chunk(2, dim=1)
        torch.tanh(a, out=t)
        torch.sigmoid(b, out=q)
        out = t * q
        ctx.save_for_backward(out, activations)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        out, activations = ctx.saved_tensors
        t, q = activations.chunk(2, dim=1)
        result = torch.empty_like(activations)
        d_a, d_b = result.chunk(2, dim=1)
        torch.addcmul(q, out, t, value=-1, out=d_a).mul_(grad)
        torch.mul(grad, out, out=d_b).addcmul_(d_b, q, value=-1)
        return result


class _SigmoidGate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        sigmoids = x.clone()
        sigmoids[:, : x.shape[1] // 2].mul_(-2)
        p, q = sigmoids.sigmoid_().chunk(2, dim=1)
        out = torch.addcmul(q, p, q, value=-2)
        ctx.save_for_backward(out, sigmoids)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        out, sigmoids = ctx.saved_tensors
        p, q = sigmoids.chunk(2, dim=1)
        result = torch.empty_like(sigmoids)
        d_a, d_b = result.chunk(2, dim=1)
        # q (1 - t^2) with t = 1 - 2 p and out = t q
        torch.sub(q, out, out=d_a).addcmul_(p, out, value=2).mul_(grad)
        torch.mul(grad, out, out=d_b).addcmul_(d_b, q, value=-1)
        return result


tanh_gate: Callable[[Tensor], Tensor] = _TanhGate.apply
sigmoid_gate: Callable[[Tensor], Tensor] = _SigmoidGate.apply
