"""Encoders and decoders of the hybrids: residual convolutions between an image and a vector of latents."""

from torch import Tensor, nn

from ancestral.interface import Event
from ancestral.layers.conditioning import FlatContext, centred
from ancestral.layers.residual_images import Pyramid, ResidualDecoder, ResidualEncoder


class VectorEncoder(nn.Module):
    """(batch, *event), and a context if there is one -> (batch, outputs)."""

    def __init__(self, event: Event, context_event: Event | None, outputs: int, pyramid: Pyramid) -> None:
        super().__init__()
        self.support = event.support
        self.maps = ResidualEncoder(event, context_event, pyramid)
        self.output = nn.Linear(pyramid.size, outputs)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self.output(self.maps(centred(x, self.support, binary=True), context).flatten(1))


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
