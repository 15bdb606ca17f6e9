"""A bare Gated PixelCNN of one colour in plain PyTorch, frozen: what `benchmarks.gated_pixelcnn` is held against.

Same layers, same function, and the same names of parameters, so that weights can be carried over and the outputs
compared. It multiplies no masked zeros but the first layer's one centre tap, and computes the gates from one pass of
sigmoids, in the layout of memory that is fastest on processors. Do not change it: the figures would no longer compare.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BareLayer(nn.Module):
    mask: Tensor

    def __init__(self, inputs: int, channels: int, kernel_size: int, first: bool) -> None:
        super().__init__()
        self.first, self.reach = first, kernel_size // 2
        self.vertical = nn.Conv2d(inputs, 2 * channels, (self.reach + 1, kernel_size), padding=(0, self.reach))
        self.vertical_to_horizontal = nn.Conv2d(2 * channels, 2 * channels, 1)
        self.horizontal = nn.Conv2d(inputs, 2 * channels, (1, self.reach + 1), bias=False)
        self.output = nn.Conv2d(channels, channels, 1)
        if first:
            self.register_buffer("mask", torch.tensor([1.0] * self.reach + [0.0]), persistent=False)

    def forward(self, vertical: Tensor, horizontal: Tensor) -> tuple[Tensor, Tensor]:
        above = self.vertical(F.pad(vertical, (0, 0, self.reach, 0)))
        weight = self.horizontal.weight * self.mask if self.first else self.horizontal.weight
        left = F.conv2d(F.pad(horizontal, (self.reach, 0)), weight)
        out = self.output(gate(left + self.vertical_to_horizontal(above)))
        return gate(above), out if self.first else horizontal + out


class BareGatedPixelCNN(nn.Module):
    def __init__(self, channels: int, blocks: int, head: int = 64, kernel_size: int = 3) -> None:
        super().__init__()
        self.layers = nn.ModuleList([BareLayer(1, channels, 7, True)])
        self.layers.extend(BareLayer(channels, channels, kernel_size, False) for _ in range(blocks))
        self.hidden = nn.Conv2d(channels, head, 1)
        self.output = nn.Conv2d(head, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The logits of binary images (batch, 1, height, width)."""
        horizontal = (2 * x - 1).contiguous(memory_format=torch.channels_last)
        vertical = F.pad(horizontal, (0, 0, 1, -1))
        for layer in self.layers:
            vertical, horizontal = layer(vertical, horizontal)
        return self.output(self.hidden(horizontal.relu()).relu())


def gate(x: Tensor) -> Tensor:
    """tanh(-a/2) sigmoid(b)."""
    p, q = torch.sigmoid(x).chunk(2, dim=1)
    return torch.addcmul(q, p, q, value=-2)


def nats(model: BareGatedPixelCNN, x: Tensor) -> Tensor:
    """The mean negative log-likelihood."""
    return F.binary_cross_entropy_with_logits(model(x), x, reduction="sum") / len(x)
