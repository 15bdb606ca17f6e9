"""Encoders of observations and decoders into observation models: perceptrons, or convolutions of images.

Every latent-variable model composes these two, so that what one of them can do with images all of them can.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.distributions import Observation
from ancestral.interface import BoundedDensity, Event, InputError, Real, repeated
from ancestral.layers.conditioning import FlatContext, centred
from ancestral.layers.flat import FlatInputs, FlatOutputs
from ancestral.layers.image_networks import ImageDecoder, ImageEncoder, unsupported_image
from ancestral.layers.mlp import mlp

NETWORKS = ("mlp", "conv")
#: Numbers of the largest layer that go through a network at once.
_MOST_NUMBERS = 2**24


@dataclass(frozen=True)
class NetworkSettings:
    """What encoder and decoder are made of.

    Args:
        network: "mlp" (perceptrons of the flattened event) or "conv" (strided convolutions of an image, one norm over
            each image's own features, so that rows stand alone in training too).
        hidden: widths of the encoder's perceptron; a decoder has them in reverse order.
        channels: of the convolutions' first stage; each further one has twice as many, up to eight times.
        activation: of the perceptrons: "tanh", "relu" or "leaky_relu" (slope 0.2).
    """

    network: str = "mlp"
    hidden: Sequence[int] = (200, 200)
    channels: int = 32
    activation: str = "tanh"

    def check(self, event: Event) -> None:
        """Raise `InputError` unless there is such a network for the event."""
        if self.network not in NETWORKS:
            raise InputError(f"network must be {' or '.join(map(repr, NETWORKS))}, got {self.network!r}")
        if self.channels < 1:
            raise InputError(f"channels must be at least 1, got {self.channels}")
        if self.network == "conv" and (reason := unsupported_image(event)):
            raise InputError(
                f"network 'conv' cannot take the shape {event.shape}: {reason.split(';')[0]}; use network 'mlp'"
            )


class ObservationEncoder(nn.Module):
    """(batch, *event), and a context if there is one -> (batch, outputs)."""

    def __init__(self, event: Event, context_event: Event | None, outputs: int, settings: NetworkSettings) -> None:
        super().__init__()
        settings.check(event)
        self.support = event.support
        self.images: ImageEncoder | None = None
        if _conv(settings):
            self.images = ImageEncoder(event, context_event, settings.channels, "layer")
            self.network = mlp(self.images.size, [], outputs, settings.activation)
            return
        self.inputs, self.condition = FlatInputs(event), FlatContext(context_event)
        inputs = sum(self.inputs.widths) + self.condition.size
        self.network = mlp(inputs, settings.hidden, outputs, settings.activation)

    def forward(self, x: Tensor, context: Tensor | None) -> Float[Tensor, "batch outputs"]:
        like = next(self.network.parameters())
        if self.images is not None:
            return self.network(self.images(centred(x, self.support).to(like), context))
        return self.network(self.condition(self.inputs(x.flatten(1), like), context))

    def of_each(self, x: Tensor, contexts: Float[Tensor, "contexts *context_event"]) -> Float[Tensor, "rows outputs"]:
        """The outputs of every row with every context, context by context; a perceptron's first layer, which is the
        widest where x is an image, sees x once."""
        if self.images is not None:
            return self(repeated(x, len(contexts)), contexts.repeat_interleave(len(x), 0))
        first = self.network[0]
        assert isinstance(first, nn.Linear)
        inputs = self.inputs(x.flatten(1), first.weight)
        of_x, of_context = first.weight.split([inputs.shape[1], self.condition.size], dim=1)
        contexts = self.condition.vector(len(contexts), contexts, like=inputs)
        sums = F.linear(inputs, of_x, first.bias) + F.linear(contexts, of_context)[:, None]
        return self.network[1:](sums.flatten(0, 1))


class ObservationDecoder(nn.Module):
    """(rows, inputs), and a context if there is one -> the parameters of p(x | z), (rows, size, *event)."""

    def __init__(
        self,
        event: Event,
        context_event: Event | None,
        inputs: int,
        observation: Observation,
        settings: NetworkSettings,
    ) -> None:
        super().__init__()
        settings.check(event)
        self.shape, self.observation = event.shape, observation
        self.condition = FlatContext(context_event)
        inputs += self.condition.size
        own = self.own = observation.size - observation.shared
        #: The numbers of p(x | z) that are the same for every dimension of every x: a variance.
        self.shared = nn.Parameter(torch.zeros(observation.shared)) if observation.shared else None
        self.network: nn.Module
        #: Lays the outputs of a perceptron out; maps lie as they should.
        self.outputs: FlatOutputs | None = None
        if _conv(settings):
            maps = Event((own * event.shape[0], *event.shape[1:]), Real())
            self.network = ImageDecoder(maps, inputs, settings.channels, "nearest", nn.Identity(), "layer")
            largest = settings.channels * math.prod(event.shape[1:])
        else:
            self.outputs = FlatOutputs([min(own, size) for size in observation.sizes(event.size)])
            self.network = mlp(inputs, settings.hidden[::-1], len(self.outputs), settings.activation)
            largest = max(settings.hidden, default=0)
        #: Numbers of the largest layer for one row.
        self.largest = max(observation.size * event.size, largest)

    def forward(self, z: Tensor, context: Tensor | None) -> Float[Tensor, "rows size *event"]:
        own = self.network(self.condition(z, context))
        if self.outputs is not None:
            own = self.outputs(own)
        own = own.to(z.dtype).view(len(z), self.own, *self.shape)
        if self.shared is None:
            return own
        shared = self.shared.view(1, -1, *[1] * len(self.shape)).expand(len(z), -1, *self.shape)
        return torch.cat([own, shared.to(z.dtype)], dim=1)


def rows_within_memory(numbers: int) -> int:
    """How many rows go through networks at once whose largest layer has so many numbers a row."""
    return max(1, min(BoundedDensity.rows_at_once, _MOST_NUMBERS // numbers))


def _conv(settings: NetworkSettings) -> bool:
    return settings.network == "conv"
