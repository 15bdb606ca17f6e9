"""Residual networks of convolutions that see an image whole: encoders of what is known of it already."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """x plus twice a rectifier and a 3x3 convolution of it (He et al. 2016, "Identity mappings in deep residual
    networks"); a context vector is added between the two, the same at every pixel."""

    def __init__(self, channels: int, context_size: int = 0) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.context = nn.Linear(context_size, channels, bias=False) if context_size else None

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        hidden = self.first(x.relu())
        if self.context is not None and context is not None:
            hidden = hidden + self.context(context)[:, :, None, None]
        # The gradient of a convolution does not need its output.
        return x + self.second(hidden.relu_())


class ResidualEncoder(nn.Module):
    """Features of an image at its own resolution: a 3x3 convolution, then `blocks` residual blocks."""

    def __init__(self, inputs: int, channels: int, blocks: int, context_size: int = 0) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, channels, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(channels, context_size) for _ in range(blocks))

    def forward(
        self, image: Float[Tensor, "batch inputs height width"], context: Tensor | None = None
    ) -> Float[Tensor, "batch channels height width"]:
        # Channels last is the fastest layout for convolutions on processors and tensor cores alike.
        x = self.first(image.contiguous(memory_format=torch.channels_last))
        for block in self.blocks:
            x = block(x, context)
        return x
