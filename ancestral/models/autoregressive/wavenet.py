"""WaveNet (van den Oord et al. 2016, "WaveNet: a generative model for raw audio", arXiv:1609.03499).

p(x) is the product over time of p(x_t | x_1 .. x_t-1) (equation 1), a softmax over all values of each, in sound the 256
of the mu-law (section 2.2). A causal convolution of the one-hot values before t, then layers of dilated causal
convolutions whose dilations 1, 2, 4, ... begin again in each block, compute all conditionals at once. A layer is

    z = tanh(W_f * x + V_f h) . sigmoid(W_g * x + V_g h)        (equations 2 and 3; h is a context, the same at all t)

with a residual connection x + W z to the next layer, and skip connections whose sum passes two rectifiers and 1x1
convolutions into the softmax (figure 4). x_t depends on the `receptive_field` values before it, and on no other:

    kernel_size + blocks (kernel_size - 1) (2^layers - 1).

Faithful: all of the above, with kernels of 2. The skip connections of all layers are one matrix product. The weights of
the tanh half of each gate are the paper's times -2 (see `ancestral.layers.gated`). Sampling is exact and computes each
feature once (`ancestral.layers.causal_sampler`).

Left out on purpose: local conditioning on a second series (its time axis would fix the length), and context stacks.

Values are names to the network: text, as `Categories` of characters, is modelled as sound is.
"""

import math
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from ancestral.distributions import Categorical
from ancestral.interface import (
    AnyLength,
    Categories,
    Event,
    InputError,
    Levels,
    Model,
    Phase,
    QuickSettings,
    maximum_likelihood,
)
from ancestral.layers.autoregressive import AutoregressiveModel, too_many_outputs
from ancestral.layers.causal import CausalEmbedding, CausalGatedLayer
from ancestral.layers.causal_sampler import CausalSteps
from ancestral.layers.conditioning import FlatContext
from ancestral.registry import register


@register("wavenet")
class WaveNet(AutoregressiveModel, AnyLength):
    """WaveNet: gated dilated causal convolutions over a sequence, conditional, with an exact cached sampler.

    Args:
        channels: feature maps of each layer, before and after its gates.
        layers: dilated layers of each block, of dilations 1, 2, 4, ...
        blocks: how often these dilations are repeated.
        kernel_size: taps of each convolution.
        head: feature maps of the skip connections and of the last hidden layer.
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        channels: int = 32,
        layers: int = 8,
        blocks: int = 2,
        kernel_size: int = 2,
        head: int = 128,
    ) -> None:
        super().__init__(event, context_event=context_event)
        if min(channels, layers, blocks, head) < 1 or kernel_size < 2:
            raise InputError(
                "channels, layers, blocks and head must be at least 1 and kernel_size at least 2, got"
                f" {channels}, {layers}, {blocks}, {head} and {kernel_size}"
            )
        values = event.values or 0
        self.observation = Categorical(values)
        dilations = [2**layer for layer in range(layers)] * blocks
        self.embedding = CausalEmbedding(values, channels, kernel_size)
        self.layers = nn.ModuleList(
            CausalGatedLayer(channels, kernel_size, dilation, residual=place < len(dilations) - 1)
            for place, dilation in enumerate(dilations)
        )
        self.skip = nn.Linear(channels * len(dilations), head)
        self.hidden = nn.Linear(head, head)
        self.output = nn.Linear(head, values)
        self.context = FlatContext(context_event)
        self.maps = nn.Linear(self.context.size, len(dilations) * 2 * channels, bias=False) if context_event else None
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        # Gated features have about a third of the spread of what enters their gate.
        for linear, gain in ((self.skip, 3.0), (self.hidden, math.sqrt(2)), (self.output, 1.0)):
            nn.init.normal_(linear.weight, std=gain / math.sqrt(linear.in_features))
            nn.init.zeros_(linear.bias)

    def phases(self) -> Sequence[Phase]:
        return maximum_likelihood(self)

    @property
    def orders(self) -> Int64[Tensor, "orders size"]:
        """Time."""
        return torch.arange(self.event.size)[None]

    @property
    def receptive_field(self) -> int:
        taps = len(self.embedding.weight)
        dilations = [layer.dilation for layer in self.layers if isinstance(layer, CausalGatedLayer)]
        return taps + (taps - 1) * sum(dilations)

    def _conditionals(self, x: Tensor, context: Tensor | None, order: int) -> Tensor:
        return self._outputs(self.embedding(x.long()), len(x), context)

    def _outputs(self, features: Tensor, batch: int, context: Tensor | None) -> Tensor:
        """The logits, (batch, values, time), from the features of the first convolution."""
        every = []
        for layer, added in zip(self.layers, self._added(batch, context)):
            features, gated = layer(features, batch, added)
            every.append(gated)
        out = self.skip(torch.cat(every).T).relu()
        out = self.output(self.hidden(out).relu())
        return out.unflatten(0, (-1, batch)).permute(1, 2, 0)

    def _added(self, batch: int, context: Tensor | None) -> Sequence[Tensor | None]:
        """What the context adds in each layer before its gates, (batch, 2 channels)."""
        if self.maps is None:
            return [None] * len(self.layers)
        return self.maps(self.context.vector(batch, context, like=self._reference)).chunk(len(self.layers), dim=1)

    def _stepwise(self, n: int, context: Tensor | None, order: int) -> CausalSteps:
        return CausalSteps(
            self.embedding,
            self.layers,
            self.skip,
            self.hidden,
            self.output,
            n,
            self.event.size,
            added=self._added(n, context),
        )

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if len(event.shape) != 1:
            return f"it models sequences, (time,), got the shape {event.shape}"
        if event.values is None:
            return "its conditionals are a softmax over all values; use Levels (sound by the mu-law) or Categories data"
        return too_many_outputs(event.size * event.values)

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        # As deep as the sequence is long.
        layers = max(1, min(8, event.size.bit_length() - 2))
        return QuickSettings({"layers": layers}, {"lr": 3e-3, "batch_size": 8})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        # With fewer maps in the head, one start in a hundred has only dead ReLUs there.
        yield cls(Event((9,), Levels(2)), channels=4, layers=2, blocks=1, head=8)
        yield cls(Event((6,), Categories(3)), channels=4, layers=2, blocks=2, kernel_size=3, head=8)
        speakers = Event((), Categories(3))
        yield cls(Event((6,), Levels(3)), context_event=speakers, channels=4, layers=2, blocks=1, head=8)
