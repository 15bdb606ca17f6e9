"""The cached features of causal gated layers: the conditionals of a sequence one step at a time.

Every feature is computed once, as in Paine et al. 2016, "Fast WaveNet generation algorithm" (arXiv:1611.09482): a layer
keeps those of its inputs that it will see again. Those a multiple of its dilation apart lie side by side in one slot,
the newest in place of the oldest. A layer's step is then two small matrix products and its gate, without a copy and
without an allocation: each place in the turn has its own order of the taps' weights.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ancestral.layers.autoregressive import Stepwise
from ancestral.layers.causal import CausalEmbedding, CausalGatedLayer


class _Place(NamedTuple):
    """Where a layer keeps the features of one step, until they are as old as its last tap."""

    own: Tensor  # (n, channels)
    taps: Tensor  # own, and those of earlier steps that the layer sees now, (n, kernel_size x channels)
    weight: Tensor


class _Layer:
    """One layer's weights and its queue. `gated` is where its gated features are kept, (n, channels)."""

    def __init__(self, layer: CausalGatedLayer, n: int, length: int, added: Tensor | None, gated: Tensor) -> None:
        kernel_size, gates, channels = layer.weight.shape
        dilation = min(layer.dilation, length)
        turns, taps = range(kernel_size), layer.weight.transpose(1, 2)
        weights = [torch.cat([taps[(turn - at) % kernel_size] for at in turns]) for turn in turns]
        queue = layer.weight.new_zeros(dilation, n, kernel_size * channels)
        self.period = dilation * kernel_size
        self.places = [
            _Place(slot[:, turn * channels : (turn + 1) * channels], slot, weights[turn])
            for turn in turns
            for slot in queue
        ]
        self.before = layer.before_gates(added)
        self.gates = layer.weight.new_empty(n, gates)
        self.a, self.b = self.gates.chunk(2, dim=1)
        self.gated = gated
        self.residual = None if layer.residual is None else layer.residual.T

    def own(self, step: int) -> Tensor:
        """Where the layer's input at a step belongs."""
        return self.places[step % self.period].own

    def advance(self, step: int) -> None:
        """The gated features of a step, whose input is in its place."""
        place = self.places[step % self.period]
        torch.addmm(self.before, place.taps, place.weight, out=self.gates)
        self.gates.sigmoid_()
        torch.addcmul(self.b, self.a, self.b, value=-2, out=self.gated)


class CausalSteps(Stepwise):
    """An embedding, gated layers, the sum of their skip connections and a head of two rectifiers and two maps, on `n`
    sequences; `added` is what the context adds in each layer."""

    def __init__(
        self,
        embedding: CausalEmbedding,
        layers: nn.ModuleList,
        skip: nn.Linear,
        hidden: nn.Linear,
        output: nn.Linear,
        n: int,
        length: int,
        *,
        added: Sequence[Tensor | None],
    ) -> None:
        taps, _, channels = embedding.weight.shape
        self.table = embedding.weight.transpose(0, 1).flatten(1).contiguous()
        # A ring of what the last values contribute to the next steps; zero before the first one.
        embedded = [self.table.new_zeros(n, taps * channels) for _ in range(taps)]
        self.embedded, self.bias = embedded, embedding.bias
        self.contributions = [
            [embedded[(turn - 1 - tap) % taps][:, tap * channels : (tap + 1) * channels] for tap in range(taps)]
            for turn in range(taps)
        ]
        self.index = torch.zeros(n, dtype=torch.int64, device=self.table.device)
        self.gated = self.table.new_empty(n, len(layers) * channels)
        self.layers = [
            _Layer(layer, n, length, *parts)
            for layer, *parts in zip(layers, added, self.gated.split(channels, dim=1))
            if isinstance(layer, CausalGatedLayer)
        ]
        self.skip, self.hidden, self.output = skip, hidden, output
        self.summed, self.rectified = (self.table.new_empty(n, part.out_features) for part in (skip, hidden))
        self.work = n * max(2 * taps * channels**2, skip.weight.numel(), hidden.weight.numel(), output.weight.numel())

    def parameters(self, step: int) -> Tensor:
        first, *others = self.contributions[step % len(self.contributions)]
        own = self.layers[0].own(step)
        torch.add(self.bias, first, out=own)
        for contribution in others:
            own.add_(contribution)
        for layer, following in zip(self.layers, self.layers[1:]):
            layer.advance(step)
            assert layer.residual is not None
            torch.addmm(layer.own(step), layer.gated, layer.residual, out=following.own(step))
        self.layers[-1].advance(step)
        torch.addmm(self.skip.bias, self.gated, self.skip.weight.T, out=self.summed).clamp_min_(0)
        torch.addmm(self.hidden.bias, self.summed, self.hidden.weight.T, out=self.rectified).clamp_min_(0)
        return torch.addmm(self.output.bias, self.rectified, self.output.weight.T)

    def write(self, step: int, values: Tensor) -> None:
        self.index.copy_(values)
        torch.index_select(self.table, 0, self.index, out=self.embedded[step % len(self.embedded)])
