"""Mixtures of observation models of one kind.

Of discretized logistics as in Salimans et al. 2017, "PixelCNN++", section 2.1; of Gaussians the mixture density network
of Bishop 1994.
"""

import torch
from torch import Tensor

from ancestral.distributions.categorical import Categorical
from ancestral.distributions.observation import Observation
from ancestral.interface import InputError


class Mixture(Observation):
    """sum over k of softmax(logits)_k p_k(x). Parameters: the logits, then those of each component."""

    def __init__(self, component: Observation, components: int) -> None:
        self.component, self.components = component, components
        self.size = components * (1 + component.size)
        self.values = component.values

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        logits, each = self._split(parameters)
        batch, components = logits.shape[:2]
        rows = x.unsqueeze(1).expand_as(logits).flatten(0, 1)
        log_probs = self.component.log_prob(each.flatten(0, 1), rows).unflatten(0, (batch, components))
        return (logits.log_softmax(1) + log_probs).logsumexp(1)

    def mean(self, parameters: Tensor) -> Tensor:
        logits, each = self._split(parameters)
        means = self.component.mean(each.flatten(0, 1)).unflatten(0, logits.shape[:2])
        return (logits.softmax(1) * means).sum(1)

    def from_uniform(self, parameters: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        if temperature != 1:
            if self.values is None:
                raise InputError(
                    "p^(1/T) of a mixture of densities has no closed form: leave its temperature at 1,"
                    f" got {temperature}"
                )
            return Categorical(self.values).from_uniform(self.table(parameters), u, temperature)
        logits, each = self._split(parameters)
        # A component's share of [0, 1), laid on [0, 1), in float64: a small share leaves few digits.
        shares = logits.double().softmax(1)
        ends = shares.cumsum(1)
        chosen = (ends[:, :-1] <= u.unsqueeze(1)).sum(1, keepdim=True)
        share, end = shares.gather(1, chosen).squeeze(1), ends.gather(1, chosen).squeeze(1)
        below_one = 1 - torch.finfo(u.dtype).eps
        within = (1 - (end - u) / share).clamp(0, below_one).to(u.dtype)
        places = chosen.unsqueeze(2).expand(-1, -1, *each.shape[2:])
        return self.component.from_uniform(each.gather(1, places).squeeze(1), within)

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """The logits (batch, components, *event) and each component's own (batch, components, size, *event)."""
        logits, each = parameters.split([self.components, self.components * self.component.size], dim=1)
        return logits, each.unflatten(1, (self.components, self.component.size))
