"""A bare gated PixelVAE of one colour in plain PyTorch, frozen: what `benchmarks.pixelvae` is held against.

Same layers, same function, and parameters in the same order and of the same shapes, so that weights can be carried over
and the bounds compared. Do not change it: the figures would no longer compare.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.bare_gated_pixelcnn import BareLayer, gate


class BareBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x.relu()).relu())


class BarePixelVAE(nn.Module):
    """For images of 28x28: maps of 14x14, then of 7x7."""

    def __init__(self, latent_dim: int, channels: int, blocks: int, stage_channels: int, head: int = 64) -> None:
        super().__init__()
        c = stage_channels
        self.down = nn.Conv2d(1, c, 4, stride=2, padding=1)
        self.down_block = BareBlock(c)
        self.further_down = nn.Conv2d(c, 2 * c, 4, stride=2, padding=1)
        self.lowest_block = BareBlock(2 * c)
        self.posterior = nn.Linear(2 * c * 49, 2 * latent_dim)
        self.from_latent = nn.Linear(latent_dim, 2 * c * 49)
        self.first_block = BareBlock(2 * c)
        self.up = nn.Conv2d(2 * c, c, 3, padding=1)
        self.up_block = BareBlock(c)
        self.hidden = nn.Conv2d(channels, head, 1)
        self.output = nn.Conv2d(head, 1, 1)
        self.layers = nn.ModuleList([BareLayer(1, channels, 7, True)])
        self.layers.extend(BareLayer(channels, channels, 3, False) for _ in range(blocks))
        self.features = nn.Conv2d(c, channels, 3, padding=1)
        self.maps = nn.Conv2d(channels, 4 * channels * (blocks + 1), 1, bias=False)

    def negative_elbo(self, x: Tensor, noise: Tensor) -> Tensor:
        """Mean over binary images (batch, 1, 28, 28), with one draw of z each from the noise (batch, latent_dim)."""
        image = 2 * x - 1
        encoded = self.lowest_block(self.further_down(self.down_block(self.down(image)).relu())).relu()
        encoded = F.layer_norm(encoded, encoded.shape[1:]) / math.sqrt(encoded[0].numel())
        mean, log_variance = self.posterior(encoded.flatten(1)).chunk(2, dim=1)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        logits = self.logits(x, mean + noise * torch.exp(0.5 * log_variance))
        return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x) + kl

    def logits(self, x: Tensor, z: Tensor) -> Tensor:
        maps = self.first_block(self.from_latent(z).unflatten(1, (-1, 7, 7))).relu()
        maps = self.up_block(self.up(F.interpolate(maps, scale_factor=2.0))).relu()
        parts = self.maps(self.features(F.interpolate(maps, scale_factor=2.0)).relu()).chunk(2 * len(self.layers), 1)
        horizontal = (2 * x - 1).contiguous(memory_format=torch.channels_last)
        vertical = F.pad(horizontal, (0, 0, 1, -1))
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, BareLayer)
            above = layer.vertical(F.pad(vertical, (0, 0, layer.reach, 0))) + parts[2 * i]
            weight = layer.horizontal.weight * layer.mask if layer.first else layer.horizontal.weight
            left = F.conv2d(F.pad(horizontal, (layer.reach, 0)), weight) + layer.vertical_to_horizontal(above)
            out = layer.output(gate(left + parts[2 * i + 1]))
            vertical, horizontal = gate(above), out if layer.first else horizontal + out
        return self.output(self.hidden(horizontal.relu()).relu())
