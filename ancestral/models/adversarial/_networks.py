"""The networks of adversarial models: generators of data from noise, and networks that judge data, of vectors and of
images.

They see `Binary` and `Levels` data on [-1, 1], where a generator's tanh ends, and `Real` data as they are.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.interface import Event, Real
from ancestral.layers.conditioning import FlatContext
from ancestral.layers.image_networks import ImageDecoder, ImageEncoder, initialise
from ancestral.layers.mlp import activation, mlp


class Discriminator(nn.Module, ABC):
    """A network that judges how real x is; x is on the networks' scale, (batch, *event).

    Without `bias` its last layer has none: a potential, of which differences alone count, would never learn it.
    """

    @abstractmethod
    def features(self, x: Tensor, context: Tensor | None) -> Tensor:
        """A representation to transfer, (batch, n)."""

    @abstractmethod
    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        """The logit of being real, or the potential, (batch,)."""

    def slopes(self, x: Tensor, context: Tensor | None) -> Float[Tensor, " batch"]:
        """The length of the gradient of its output in each row of x, to be differentiated in turn.

        In full precision under autocast, too: half would lose the slopes of slopes.
        """
        x = x.detach().requires_grad_()
        with torch.autocast(x.device.type, enabled=False):
            (gradients,) = torch.autograd.grad(self(x, context).sum(), x, create_graph=True)
        return torch.linalg.vector_norm(gradients.flatten(1), dim=1)


class VectorDiscriminator(Discriminator):
    """A multilayer perceptron on the flattened observation and its context."""

    def __init__(self, event: Event, context_event: Event | None, hidden: Sequence[int], *, bias: bool = True) -> None:
        super().__init__()
        self.condition = FlatContext(context_event)
        layers: list[nn.Module] = []
        width = event.size + self.condition.size
        for wider in hidden:
            layers += [nn.Linear(width, wider), activation("leaky_relu")]
            width = wider
        self.hidden = nn.Sequential(*layers)
        self.output = nn.Linear(width, 1, bias=bias)

    def features(self, x: Tensor, context: Tensor | None) -> Tensor:
        """The last hidden layer."""
        return self.hidden(self.condition(x.reshape(len(x), -1), context))

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self.output(self.features(x, context)).squeeze(1)


class ImageDiscriminator(Discriminator):
    """Strided convolutions, then a linear layer."""

    def __init__(
        self, event: Event, context_event: Event | None, channels: int, norm: str = "batch", *, bias: bool = True
    ) -> None:
        super().__init__()
        self.encoder = ImageEncoder(event, context_event, channels, norm)
        self.output = nn.Linear(self.encoder.size, 1, bias=bias)
        initialise(self.output)

    def features(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Every layer's maps max-pooled to a grid of 4x4, flattened and joined (Radford et al. 2016, section 5.1)."""
        pooled = [
            F.adaptive_max_pool2d(m, (min(4, m.shape[2]), min(4, m.shape[3]))).flatten(1)
            for m in self.encoder.maps(x, context)
        ]
        return torch.cat(pooled, dim=1)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self.output(self.encoder(x, context)).squeeze(1)


def vector_generator(event: Event, inputs: int, hidden: Sequence[int]) -> nn.Module:
    """A multilayer perceptron, (batch, inputs) -> (batch, event.size)."""
    return nn.Sequential(mlp(inputs, hidden, event.size, "relu"), last_activation(event))


def image_generator(event: Event, inputs: int, channels: int, upsampling: str) -> nn.Module:
    """Up-sampled convolutions with batch norm, (batch, inputs) -> (batch, *event)."""
    return ImageDecoder(event, inputs, channels, upsampling, last_activation(event))


def last_activation(event: Event) -> nn.Module:
    """What a generator of the event ends in."""
    return nn.Identity() if isinstance(event.support, Real) else nn.Tanh()
