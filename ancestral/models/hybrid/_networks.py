"""Encoders and decoders of the hybrids: residual convolutions between an image and a vector of latents."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.interface import Event, InputError
from ancestral.layers.conditioning import FlatContext, centred
from ancestral.layers.residual_images import Pyramid, ResidualDecoder, ResidualEncoder


class VectorEncoder(nn.Module):
    """(batch, *event), and a context if there is one -> the means and the log-variances of q, (batch, 2 * latents).

    `spread` is the deviation of q before training, see `begin_narrow`.
    """

    def __init__(
        self, event: Event, context_event: Event | None, latents: int, pyramid: Pyramid, *, spread: float
    ) -> None:
        super().__init__()
        self.support = event.support
        self.maps = ResidualEncoder(event, context_event, pyramid)
        self.output = nn.Linear(pyramid.size, 2 * latents)
        begin_narrow(self.output, spread)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        maps = self.maps(centred(x, self.support, binary=True), context)
        return self.output(normalised(maps, self.output.in_features).flatten(1))


def normalised(maps: Tensor, inputs: int) -> Tensor:
    """Features of mean 0 and variance 1 / inputs: weights of variance 1 make outputs of variance 1 of as many inputs.

    A step of Adam moves every weight alike, whatever their number: of features of variance 1 it would throw q far off.
    """
    return F.layer_norm(maps, maps.shape[1:]) / math.sqrt(inputs)


@torch.no_grad()
def begin_narrow(layer: nn.Linear | nn.Conv2d, spread: float) -> None:
    """Let a layer output means of variance about 1, of `normalised` features, and log-variances of a deviation near
    `spread`.

    Pixels that see each other learn fast, and what is noise to them they learn to ignore. A z that begins as N(0, I)
    whatever x is stays so.
    """
    if not 0 < spread <= 1:
        raise InputError(f"spread must be above 0 and at most 1, got {spread}")
    latents = len(layer.weight) // 2
    nn.init.normal_(layer.weight[:latents])
    nn.init.normal_(layer.weight[latents:], std=0.1)
    assert layer.bias is not None
    layer.bias[:latents] = 0
    layer.bias[latents:] = 2 * math.log(spread)


class MapsDecoder(nn.Module):
    """(rows, inputs), and a context if there is one -> feature maps of the image's sides."""

    def __init__(self, context_event: Event | None, inputs: int, pyramid: Pyramid) -> None:
        super().__init__()
        self.condition = FlatContext(context_event)
        self.network = nn.Sequential(
            nn.Linear(inputs + self.condition.size, pyramid.size),
            nn.Unflatten(1, pyramid.smallest),
            ResidualDecoder(pyramid),
        )

    def forward(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.network(self.condition(z, context))
