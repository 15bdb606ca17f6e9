"""What all normalizing flows share: one bijection between data and noise of N(0, I).

    ln p(x) = ln N(f(x); 0, I) + ln |det df/dx|        (Dinh et al. 2017, equation 3)

with f from data to noise; samples and decoded latents go through its inverse.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

from ancestral.bijections import Bijection
from ancestral.distributions import Delta
from ancestral.interface import (
    Encoder,
    Event,
    ExactDensity,
    MeanDecoder,
    Phase,
    Real,
    Sampler,
    maximum_likelihood,
)
from ancestral.layers.conditioning import FlatContext


class NormalizingFlow(Sampler, ExactDensity, Encoder, MeanDecoder):
    """A flow from (batch, *event) to flat noise. Make `flow`, whose maps may depend on `flat_context.size` numbers."""

    flow: Bijection

    def __init__(self, event: Event, *, context_event: Event | None) -> None:
        super().__init__(event, context_event=context_event)
        self.flat_context = FlatContext(context_event)

    def phases(self) -> Sequence[Phase]:
        return maximum_likelihood(self)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        z, log_det = self.flow(x, self._context_vector(len(x), context))
        return self._log_prior(z, context) + log_det

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        z = torch.randn(n, self.event.size, dtype=self.dtype, device=self.device)
        return self._decode_mean(z, context)

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        return Delta(self.flow(x, self._context_vector(len(x), context))[0])

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.flow.inverse(z, self._context_vector(len(z), context))[0]

    def _context_vector(self, batch: int, context: Tensor | None) -> Tensor | None:
        """What the maps see of the context, (batch, n)."""
        if self.context_event is None:
            return None
        return self.flat_context.vector(batch, context, like=self._reference)

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"z": (self.event.size,)}

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if not isinstance(event.support, Real):
            return "a flow is a density on real numbers"
        return None if event.shape else "a flow needs a vector or an image; give a single number the shape (1,)"
