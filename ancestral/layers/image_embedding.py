"""Features of an image that is given whole: every pixel sees what is around it, near and far.

Gated residual layers as those of PixelCNN++ (Salimans et al. 2017, `ancestral.layers.shifted`), of convolutions that
see all around in place of shifted ones, as Royer, Kolesnikov & Lampert 2017 embed the grey image that they colour.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.interface import Event
from ancestral.layers.conditioning import centred
from ancestral.layers.shifted import ELU_SIZE, NormalisedWeight, concat_elu


class CentredConv2d(NormalisedWeight):
    """A 3x3 convolution of pixels that lie `dilation` apart, with normalised weights."""

    def __init__(self, inputs: int, outputs: int, *, dilation: int = 1, gain: float = 1.0) -> None:
        super().__init__(inputs, outputs, (3, 3), gain)
        self.dilation = dilation

    def forward(self, x: Float[Tensor, "batch inputs h w"]) -> Float[Tensor, "batch outputs h w"]:
        return F.conv2d(x, self.weight, self.bias, padding=self.dilation, dilation=self.dilation)


class GatedBlock(nn.Module):
    """x + a sigmoid(b), where a and b are two convolutions of x deep, with concatenated ELUs before each."""

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        known = 1 / ELU_SIZE
        self.first = CentredConv2d(2 * channels, channels, dilation=dilation, gain=known)
        # The layer starts near the identity.
        self.second = CentredConv2d(2 * channels, 2 * channels, dilation=dilation, gain=0.1 * known)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        gates = self.second(self.dropout(concat_elu(self.first(concat_elu(x)))))
        return x + F.glu(gates, dim=1)


class ImageEmbedding(nn.Module):
    """Feature maps of images of `event` at their own resolution: a convolution, then a gated block of each dilation."""

    def __init__(self, event: Event, channels: int, dilations: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        self.event = event
        # A channel of ones tells the image from what is padded.
        self.first = CentredConv2d(event.shape[0] + 1, channels)
        self.blocks = nn.Sequential(*(GatedBlock(channels, dilation, dropout) for dilation in dilations))

    def forward(self, image: Tensor) -> Float[Tensor, "batch channels h w"]:
        """Of images (batch, *event.shape) in data space."""
        x = centred(image.to(self.first.bias), self.event.support, binary=True)
        x = torch.cat((x, torch.ones_like(x[:, :1])), dim=1).contiguous(memory_format=torch.channels_last)
        return self.blocks(self.first(x))
