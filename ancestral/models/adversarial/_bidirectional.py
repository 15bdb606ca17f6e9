"""What models with a generator and an encoder share: their networks, a uniform prior, codes and features.

For flat data the networks are those of Donahue et al. 2017 (arXiv:1605.09782) as their released code has them:
perceptrons, ReLU in the generator and leaky ReLU (0.2) elsewhere, and in generator and encoder a batch norm without
parameters before every activation but that next to the data. z is uniform on [-1, 1]^n (section 4.2), and the encoder
ends in logits l with E(x) = tanh(l / 2), the logistic function of l laid on [-1, 1].

Departures: biases where no batch norm follows; for images also the convolutions of `layers.image_networks`.
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
from ancestral.layers.image_networks import ImageDecoder, ImageEncoder
from ancestral.layers.mlp import activation, check_widths
from ancestral.layers.observation_networks import NetworkSettings
from ancestral.models.adversarial._two_players import GeneratorModel, unsupported


class FeatureNetwork(nn.Module):
    """Features of x, (batch, size), and of a latent z where `latent_dim` is above 0.

    z enters as section 4 of Donahue et al. 2017 has it: at every layer after that next to the data a linear map of z is
    added to the activation's input. Convolutions see x alone, and layers of the widths `hidden` follow them for z.

    Args:
        norm: "batch", without parameters, or "none".
    """

    def __init__(
        self, event: Event, context_event: Event | None, networks: NetworkSettings, norm: str, latent_dim: int = 0
    ) -> None:
        super().__init__()
        self.images: ImageEncoder | None = None
        if networks.network == "conv":
            self.images = ImageEncoder(event, context_event, networks.channels, norm)
            widths = [self.images.size, *(networks.hidden if latent_dim else [])]
        else:
            widths = list(networks.hidden)
            self.condition = FlatContext(context_event)
            self.first = nn.Linear(event.size + self.condition.size, widths[0])
        self.layers = nn.ModuleList(nn.Linear(width, wider, bias=False) for width, wider in pairwise(widths))
        self.latent_layers = nn.ModuleList(
            nn.Linear(latent_dim, wider, bias=False) for wider in (widths[1:] if latent_dim else [])
        )
        self.norms = nn.ModuleList(_normed(wider, norm) for wider in widths[1:])
        self.activation = activation("leaky_relu")
        self.size = widths[-1]

    def forward(self, x: Tensor, context: Tensor | None, z: Tensor | None = None) -> Tensor:
        if self.images is not None:
            h = self.images(x, context)
        else:
            h = self.activation(self.first(self.condition(x.flatten(1), context)))
        for place, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            sums = layer(h)
            if z is not None:
                sums = sums + self.latent_layers[place](z)
            h = self.activation(norm(sums))
        return h


def _normed(width: int, norm: str) -> nn.Module:
    return nn.BatchNorm1d(width, affine=False) if norm == "batch" else nn.Identity()


class GeneratorNetwork(nn.Sequential):
    """A perceptron from (batch, inputs) to the numbers of an event, (batch, size)."""

    def __init__(self, inputs: int, hidden: Sequence[int], size: int, last_activation: nn.Module) -> None:
        layers: list[nn.Module] = []
        for width, wider in pairwise([inputs, *hidden]):
            layers += [nn.Linear(width, wider, bias=False), nn.BatchNorm1d(wider, affine=False), nn.ReLU()]
        super().__init__(*layers, nn.Linear(hidden[-1], size), last_activation)


class BidirectionalModel(GeneratorModel, Encoder, Features):
    """A generator G of z ~ U[-1, 1]^n and a deterministic encoder E; a subclass adds the discriminator."""

    def __init__(self, event: Event, context_event: Event | None, latent_dim: int, networks: NetworkSettings) -> None:
        super().__init__(event, context_event, latent_dim)
        check_widths(networks.hidden)
        if len(networks.hidden) < 2:
            raise InputError(
                f"hidden must have at least two widths, got {list(networks.hidden)}: z enters at the second layer"
            )
        networks.check(event)
        inputs = latent_dim + self.condition.size
        if networks.network == "conv":
            self.generator = ImageDecoder(event, inputs, networks.channels, "transposed", self._last_activation)
        else:
            self.generator = GeneratorNetwork(inputs, networks.hidden[::-1], event.size, self._last_activation)
        self.encoder = FeatureNetwork(event, context_event, networks, "batch")
        self.code = nn.Linear(self.encoder.size, latent_dim)

    def _code_logits(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Of x on the networks' scale, (batch, latent_dim)."""
        return self.code(self.encoder(x, context))

    def _code(self, x: Tensor, context: Tensor | None) -> Tensor:
        """E(x) of x on the networks' scale."""
        return torch.tanh(0.5 * self._code_logits(x, context))

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        return Delta(self._code(self._to_networks(x), context))

    def _features(self, x: Tensor) -> Tensor:
        """The encoder's last hidden layer; a conditional encoder sees no context."""
        return self.encoder(self._to_networks(x), None)

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


def check_rows(batch: Batch) -> None:
    """Raise `InputError` if a batch is too small for batch norm."""
    if len(batch.x) < 2:
        raise InputError("batch norm compares rows, so a batch must have at least 2 of them; raise batch_size")


def quick_settings(event: Event) -> QuickSettings:
    """What a comparison uses for events of this kind: minutes on two cores."""
    if event.size > 256:
        return QuickSettings({"hidden": [512, 512]})
    return QuickSettings({"latent_dim": max(1, min(8, event.size // 2)), "hidden": [128, 128]})
