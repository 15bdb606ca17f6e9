"""What models with a generator and an encoder share: their networks, a uniform prior, codes and features.

For flat data the networks are those of Donahue et al. 2017 (arXiv:1605.09782) as their released code has them:
perceptrons, ReLU in the generator and leaky ReLU (0.2) in the encoder, and a batch norm without parameters before every
activation but the encoder's first. z is uniform on [-1, 1]^n (section 4.2), and the encoder ends in logits l with
E(x) = tanh(l / 2), the logistic function of l laid on [-1, 1].

Departures: biases next to the data and at the end; for images also the convolutions of `layers.image_networks`.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ancestral.distributions import Delta
from ancestral.interface import Batch, Encoder, Event, Features, InputError, QuickSettings
from ancestral.layers.conditioning import FlatContext
from ancestral.layers.image_networks import ImageEncoder
from ancestral.layers.mlp import activation, check_widths
from ancestral.layers.observation_networks import NetworkSettings
from ancestral.models.adversarial._networks import image_generator, last_activation
from ancestral.models.adversarial._two_players import GeneratorModel, unsupported


class EncoderNetwork(nn.Module):
    """Logits of the code of x, (batch, latent_dim), from a perceptron or convolutions."""

    def __init__(self, event: Event, context_event: Event | None, latent_dim: int, networks: NetworkSettings) -> None:
        super().__init__()
        self.images: ImageEncoder | None = None
        if networks.network == "conv":
            self.images = ImageEncoder(event, context_event, networks.channels)
            size = self.images.size
        else:
            self.condition = FlatContext(context_event)
            size = networks.hidden[-1]
            first = nn.Linear(event.size + self.condition.size, networks.hidden[0])
            normed = _normed_layers(networks.hidden, "leaky_relu")
            self.hidden = nn.Sequential(first, activation("leaky_relu"), *normed)
        self.logits = nn.Linear(size, latent_dim)

    def features(self, x: Tensor, context: Tensor | None) -> Tensor:
        """The last hidden layer, (batch, size)."""
        if self.images is not None:
            return self.images(x, context)
        return self.hidden(self.condition(x.flatten(1), context))

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self.logits(self.features(x, context))


def _normed_layers(widths: Sequence[int], name: str) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for width, wider in pairwise(widths):
        layers += [nn.Linear(width, wider, bias=False), nn.BatchNorm1d(wider, affine=False), activation(name)]
    return layers


class BidirectionalModel(GeneratorModel, Encoder, Features):
    """A generator G of z ~ U[-1, 1]^n and a deterministic encoder E; a subclass adds the discriminator."""

    encoder: EncoderNetwork

    def _build_networks(self, networks: NetworkSettings) -> None:
        event, inputs, hidden = self.event, self.latent_dim + self.condition.size, networks.hidden
        networks.check(event)
        check_widths(hidden)
        if len(hidden) < 2:
            raise InputError(f"hidden must be a list of at least two widths, got {list(hidden)}")
        if networks.network == "conv":
            self.generator = image_generator(event, inputs, networks.channels, "transposed")
        else:
            layers = _normed_layers([inputs, *hidden[::-1]], "relu")
            self.generator = nn.Sequential(*layers, nn.Linear(hidden[0], event.size), last_activation(event))
        self.encoder = EncoderNetwork(event, self.context_event, self.latent_dim, networks)

    def _code(self, x: Tensor, context: Tensor | None) -> Tensor:
        """E(x) of x on the networks' scale."""
        return torch.tanh(0.5 * self.encoder(x, context))

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        return Delta(self._code(self._to_networks(x), context))

    def _features(self, x: Tensor) -> Tensor:
        """The encoder's last hidden layer; a conditional encoder sees no context."""
        return self.encoder.features(self._to_networks(x), None)

    def _noise(self, n: int) -> Tensor:
        return 2 * torch.rand(n, self.latent_dim, dtype=self.dtype, device=self.device) - 1

    def _sample_latent(self, name: str, parents: object, n: int, context: Tensor | None) -> Tensor:
        return self._noise(n)

    def _log_prior(self, z: Tensor, context: Tensor | None) -> Tensor:
        inside = (z.abs() <= 1).all(1)
        return torch.where(inside, -self.latent_dim * math.log(2), -math.inf).to(z.dtype)

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        return unsupported(event)

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        if event.size > 256:
            return QuickSettings({"hidden": [512, 512]})
        return QuickSettings({"latent_dim": max(1, min(8, event.size // 2)), "hidden": [128, 128]})


def check_rows(batch: Batch) -> None:
    """Raise `InputError` if a batch is too small for batch norm."""
    if len(batch.x) < 2:
        raise InputError("batch norm compares rows, so a batch must have at least 2 of them; raise batch_size")
