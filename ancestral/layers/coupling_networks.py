"""Conditioners: the networks that tell a coupling how to transform. All output zeros before training."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.layers.mlp import check_widths
from ancestral.layers.residual import ResidualBlock


class MLPConditioner(nn.Module):
    """A perceptron with ReLUs on vectors, (batch, inputs) and (batch, context_size) -> (batch, outputs)."""

    def __init__(self, inputs: int, outputs: int, hidden: Sequence[int], context_size: int = 0) -> None:
        super().__init__()
        check_widths(hidden)
        widths = [inputs + context_size, *hidden]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            # In place: a linear layer's gradient does not need its output.
            layers += [nn.Linear(before, after), nn.ReLU(inplace=True)]
        last = nn.Linear(widths[-1], outputs)
        _zero(last)
        self.network = nn.Sequential(*layers, last)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self.network(x if context is None else torch.cat([x, context], dim=1))


class ConvConditioner(nn.Module):
    """A residual network on images, (batch, inputs, h, w) and (batch, context_size) -> (batch, outputs, h, w).

    The context enters as channels that are constant over the image. `dropout` drops activations within the blocks.
    """

    def __init__(
        self, inputs: int, outputs: int, channels: int, blocks: int, context_size: int = 0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs + context_size, channels, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(channels, dropout=dropout) for _ in range(blocks))
        self.last = nn.Conv2d(channels, outputs, 1)
        _zero(self.last)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        if context is not None:
            maps = context[:, :, None, None].expand(-1, -1, *x.shape[2:])
            x = torch.cat([x, maps], dim=1)
        hidden = self.first(x)
        for block in self.blocks:
            hidden = block(hidden)
        return self.last(F.relu(hidden))


def _zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
