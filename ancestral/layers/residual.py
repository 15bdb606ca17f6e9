"""Residual convolutions without a norm, and features of an image that is known already by them."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(relu(x)))), with pre-activations as in He et al. 2016, "Identity mappings in deep residual
    networks"; a context vector is added between the two, the same at every pixel."""

    def __init__(self, channels: int, context_size: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),  # the gradient of a convolution does not need its output
            nn.Dropout(dropout),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.context = nn.Linear(context_size, channels, bias=False) if context_size else None

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        if self.context is None or context is None:
            return x + self.inner(x)
        return x + self.inner[2:](self.inner[:2](x) + self.context(context)[:, :, None, None])


class ResidualFeatures(nn.Module):
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
