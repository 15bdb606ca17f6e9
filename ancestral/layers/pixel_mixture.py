"""The mixture over whole pixels (Salimans et al. 2017, "PixelCNN++", sections 2.1 and 2.2), and its conditionals.

A pixel of several colours has one mixture. Within a component the colours are independent but for their locations,
which are linear in the earlier colours (equation 3):

    p(r, g, b) = sum over k of pi_k p_k(r) p_k(g | r) p_k(b | r, g).

Its conditionals are mixtures of the same components: that of a colour has weights proportional to pi_k times the
component's probability of the earlier colours, since these tell which component it was.
"""

import torch
from jaxtyping import Float, Num
from torch import Tensor

from ancestral.distributions import Bernoulli, DiscretizedLogistic, Mixture, Observation
from ancestral.interface import Levels, Support
from ancestral.layers.conditioning import centred


class PixelMixture:
    """Components over pixels of some colours: of discretized logistics on `Levels`, of Bernoullis on `Binary` data.

    A component of a colour has the numbers of its observation, of which the first, the mean or the logit, is moved by
    the earlier colours on [-1, 1] times coefficients in (-1, 1).
    """

    def __init__(self, support: Support, colours: int, components: int) -> None:
        self.support, self.colours, self.components = support, colours, components
        levels = support.levels if isinstance(support, Levels) else None
        self.component: Observation = Bernoulli() if levels is None else DiscretizedLogistic(levels)
        #: The conditional of one colour.
        self.observation = self.component if components == 1 else Mixture(self.component, components)
        # A single component has no weight.
        self._logits = components if components > 1 else 0
        self._own, self._pairs = colours * self.component.size, colours * (colours - 1) // 2
        #: Numbers that a network outputs for each pixel.
        self.outputs = self._logits + components * (self._own + self._pairs)

    def log_prob(
        self, outputs: Float[Tensor, "batch outputs *pixels"], x: Num[Tensor, "batch colours *pixels"]
    ) -> Float[Tensor, "batch *pixels"]:
        """ln p of every pixel, in nats."""
        walk = PixelConditionals(self, outputs)
        total = walk.log_joint.logsumexp(1)
        for colour in range(self.colours):
            walk.write(x[:, colour])
        return walk.log_joint.logsumexp(1) - total

    def conditionals(
        self, outputs: Float[Tensor, "batch outputs *pixels"], x: Num[Tensor, "batch colours *pixels"]
    ) -> Float[Tensor, "batch size colours *pixels"]:
        """The parameters of every colour's conditional, given the earlier colours of `x`."""
        walk, found = PixelConditionals(self, outputs), []
        for colour in range(self.colours):
            if colour:
                walk.write(x[:, colour - 1])
            found.append(walk.parameters)
        return torch.stack(found, dim=2)

    def split(self, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The logits (batch, components, *pixels), each component's numbers (batch, components, colours, size,
        *pixels), and its coefficients (batch, components, pairs of colours, *pixels)."""
        batch, _, *pixels = outputs.shape
        sizes = [self._logits, self.components * self._own, self.components * self._pairs]
        logits, own, coefficients = outputs.split(sizes, dim=1)
        if not self._logits:
            logits = outputs.new_zeros(batch, 1, *pixels)
        own = own.view(batch, self.components, self.colours, self.component.size, *pixels)
        return logits, own, coefficients.view(batch, self.components, self._pairs, *pixels).tanh()


class PixelConditionals:
    """The conditionals of a pixel's colours, one after another: of one pixel or of all at once.

    `write` tells the value of the colour that comes next; `parameters` are of the one after those written.
    """

    def __init__(self, mixture: PixelMixture, outputs: Float[Tensor, "batch outputs *pixels"]) -> None:
        self.mixture = mixture
        #: ln of pi_k times the component's probability of the colours written, up to a constant of the pixel.
        self.log_joint, self.own, self.coefficients = mixture.split(outputs)
        self.written: list[Tensor] = []
        self.components = self._components()

    @property
    def parameters(self) -> Float[Tensor, "batch size *pixels"]:
        """The next colour's, as the mixture's `observation` takes them."""
        each = self.components.flatten(1, 2)
        return each if self.mixture.components == 1 else torch.cat((self.log_joint, each), dim=1)

    def write(self, values: Num[Tensor, "batch *pixels"]) -> None:
        """The values of the next colour."""
        each = self.components
        rows = values.unsqueeze(1).expand_as(each[:, :, 0]).flatten(0, 1)
        log_probs = self.mixture.component.log_prob(each.flatten(0, 1), rows)
        self.log_joint = self.log_joint + log_probs.unflatten(0, each.shape[:2])
        self.written.append(centred(values, self.mixture.support, binary=True))
        if len(self.written) < self.mixture.colours:
            self.components = self._components()

    def _components(self) -> Tensor:
        """The components' numbers of the next colour, (batch, components, size, *pixels)."""
        colour = len(self.written)
        each = self.own[:, :, colour]
        if colour == 0:
            return each
        first = colour * (colour - 1) // 2
        location = each[:, :, 0]
        for earlier, values in enumerate(self.written):
            location = location + self.coefficients[:, :, first + earlier] * values.unsqueeze(1)
        return torch.cat((location.unsqueeze(2), each[:, :, 1:]), dim=2)
