"""A semi-supervised model in closed form: an image is its class, one-hot, beside a style, and a little noise."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal
from torch.nn.functional import one_hot

from ancestral.interface import Classifier, Encoder, Event, MeanDecoder, Real, Sampler

CLASSES, STYLES = 3, 2


class StyledClasses(Sampler, Encoder, MeanDecoder, Classifier):
    """Latents y (3,), one-hot, and z (2,), which follows N(5, 4 I); x holds both, in the five pixels of an image."""

    def __init__(self, event: Event | None = None, *, context_event: Event | None = None) -> None:
        super().__init__(event or Event((1, 1, CLASSES + STYLES), Real()), context_event=context_event)
        self.noise = torch.nn.Parameter(torch.tensor(0.01))

    @classmethod
    def examples(cls) -> Iterable["StyledClasses"]:
        yield cls()

    def phases(self) -> list:
        return []

    @property
    def classes(self) -> int:
        return CLASSES

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"y": (CLASSES,), "z": (STYLES,)}

    def _sample_latent(self, name: str, parents: Mapping[str, Tensor], n: int, context: Tensor | None) -> Tensor:
        if name == "y":
            return one_hot(torch.randint(CLASSES, (n,)), CLASSES).float()
        return 5 + 2 * torch.randn(n, STYLES)

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return z.view(-1, *self.event.shape)

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        mean = self._decode_mean(
            self.join_latents({"y": self._sample_latent("y", {}, n, None), "z": torch.zeros(n, 2)}), None
        )
        return mean + self.noise * torch.randn_like(mean)

    def _class_log_probs(self, x: Tensor) -> Tensor:
        return (8 * x.flatten(1)[:, :CLASSES]).log_softmax(1)

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        mean = torch.cat([self._class_log_probs(x).exp(), x.flatten(1)[:, CLASSES:]], 1)
        return Independent(Normal(mean, torch.full_like(mean, 0.1)), 1)


def rows(n: int) -> tuple[Tensor, Tensor]:
    """Images and their classes."""
    y = torch.arange(n) % CLASSES
    return torch.cat([one_hot(y, CLASSES).float(), 5 + 2 * torch.randn(n, STYLES)], 1).view(n, 1, 1, -1), y
