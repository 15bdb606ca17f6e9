"""The convolutional LSTM (Shi et al. 2015, arXiv:1506.04214), without peepholes: its state is feature maps."""

from typing import TypeAlias

import torch
from torch import Tensor, nn

#: The memory c and the output h, (batch, channels, height, width) each.
State: TypeAlias = tuple[Tensor, Tensor]


class ConvolutionalLSTM(nn.Module):
    """Feature maps over time. With * a convolution that sees all around a pixel, and each of i, f, o, g its own,

        i, f, o = sigmoid(V * x + W * h),  g = tanh(V * x + W * h),  c <- f c + i g,  h <- o tanh(c).

    What is the input's alone is computed for all times at once.
    """

    def __init__(self, inputs: int, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.channels = channels
        self.input = nn.Conv2d(inputs, 4 * channels, kernel_size, padding="same")
        self.recurrent = nn.Conv2d(channels, 4 * channels, kernel_size, padding="same", bias=False)
        with torch.no_grad():
            # A memory that is kept at first learns what lies long ago (Jozefowicz et al. 2015).
            assert self.input.bias is not None
            self.input.bias[channels : 2 * channels] = 1

    def forward(self, x: Tensor, times: int) -> Tensor:
        """The outputs h at each time, of inputs (times * batch, inputs, height, width) whose batches lie one time after
        another, as the outputs do."""
        state, outputs = None, []
        for inputs in self.input(x).chunk(times):
            state = self._next(inputs, state)
            outputs.append(state[1])
        return torch.cat(outputs)

    def step(self, x: Tensor, state: State | None) -> State:
        """The state after one input; None is the state before the first, zeros."""
        return self._next(self.input(x), state)

    def _next(self, inputs: Tensor, state: State | None) -> State:
        gates = inputs if state is None else inputs + self.recurrent(state[1])
        enter, keep, leave = gates[:, : 3 * self.channels].sigmoid().chunk(3, dim=1)
        memory = enter * gates[:, 3 * self.channels :].tanh()
        if state is not None:
            memory = torch.addcmul(memory, keep, state[0])
        return memory, leave * memory.tanh()
