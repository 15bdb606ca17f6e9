"""Causal convolutions over time, dilated and gated (van den Oord et al. 2016, "WaveNet", section 2 and figure 4).

The features of a batch of sequences are one matrix, (channels, time x batch), time outermost. A shift by d steps is
then one of d x batch columns, and a convolution is a matrix product for each tap, on the features where they lie: it
takes half the time of `conv1d` and less. Before the beginning of a sequence features are zero.

The weights of the tanh half of each gate are those of the paper times -2 (see `ancestral.layers.gated`).
"""

import math
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.layers.gated import gate


class CausalEmbedding(nn.Module):
    """The causal convolution at the input: of the one-hot values before each step, not of that at the step.

    Of tap j is `weight[j]`, (values, channels): what the value 1 + j steps ago contributes. A product with a one-hot
    is a row of it.
    """

    def __init__(self, values: int, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(kernel_size, values, channels) / math.sqrt(kernel_size))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Int64[Tensor, "batch time"]) -> Float[Tensor, "channels time_batch"]:
        time, rows = x.shape[1], self.bias.expand(x.shape[1], len(x), -1)
        for tap, table in enumerate(self.weight[: time - 1], start=1):
            rows = rows + F.pad(F.embedding(x.T[:-tap], table), (0, 0, 0, 0, tap, 0))
        return rows.permute(2, 0, 1).flatten(1)


class CausalGatedLayer(nn.Module):
    """A dilated causal convolution, its gates (equation 2, of a context 3), and the residual connection.

    Of tap j is `weight[j]`, (2 channels, channels): it reaches j x `dilation` steps back. The last layer of a network,
    whose gated features alone are used, has no residual connection.
    """

    def __init__(self, channels: int, kernel_size: int, dilation: int, *, residual: bool = True) -> None:
        super().__init__()
        self.dilation = dilation
        self.weight = nn.Parameter(torch.randn(kernel_size, 2 * channels, channels) / math.sqrt(kernel_size * channels))
        self.bias = nn.Parameter(torch.zeros(2 * channels))
        self.residual = nn.Parameter(torch.randn(channels, channels) / math.sqrt(channels)) if residual else None
        with torch.no_grad():
            self.weight[:, :channels] *= 2  # the tanh half's, whose gate halves them

    def forward(
        self, features: Float[Tensor, "channels time_batch"], batch: int, added: Float[Tensor, "batch gates"] | None
    ) -> tuple[Tensor, Tensor]:
        """What goes on to the next layer, and the gated features; `added` is what a context adds before the gates."""
        gates = _Convolution.apply(features, self.weight, self.before_gates(added).T, self.dilation * batch)
        gated = gate(gates[None])[0]
        return features if self.residual is None else torch.addmm(features, self.residual, gated), gated

    def before_gates(self, added: Float[Tensor, "batch gates"] | None) -> Float[Tensor, "rows gates"]:
        """What is the same at every step: of each of the batch, or of all alike."""
        return self.bias[None] if added is None else self.bias + added


class _Convolution(torch.autograd.Function):
    """A matrix product for each tap into and out of one buffer, without a copy of what it is shifted against."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, shift: int) -> Tensor:
        columns = features.shape[1]
        weight, bias = weight.to(features), bias.to(features)  # of fewer bits in mixed precision
        out = bias.repeat(1, columns // bias.shape[1]).addmm_(weight[0], features)
        for tap, matrix in enumerate(weight[1:], start=1):
            if (back := tap * shift) < columns:
                out[:, back:].addmm_(matrix, features[:, : columns - back])
        ctx.save_for_backward(features, weight)
        ctx.shift, ctx.rows = shift, bias.shape[1]
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        columns = features.shape[1]
        d_features, d_weight = weight[0].T @ grad, torch.zeros_like(weight)
        torch.mm(grad, features.T, out=d_weight[0])
        for tap, matrix in enumerate(weight[1:], start=1):
            if (back := tap * ctx.shift) < columns:
                earlier, later = slice(0, columns - back), slice(back, columns)
                d_features[:, earlier].addmm_(matrix.T, grad[:, later])
                torch.mm(grad[:, later], features[:, earlier].T, out=d_weight[tap])
        d_bias = grad.unflatten(1, (-1, ctx.rows)).sum(1)
        return d_features, d_weight, d_bias, None
