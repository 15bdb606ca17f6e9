"""The convolutional LSTM against torch's LSTM, and its steps against its pass over all times."""

import torch

from ancestral.layers.convolutional_lstm import ConvolutionalLSTM


def test_a_convolutional_lstm_of_one_pixel_is_an_lstm() -> None:
    """Of a 1x1 kernel at a single pixel, against torch's own."""
    times, batch, inputs, channels = 5, 3, 4, 2
    ours = ConvolutionalLSTM(inputs, channels, 1).double()
    theirs = torch.nn.LSTM(inputs, channels).double()
    order = torch.arange(4 * channels).view(4, channels)[[0, 1, 3, 2]].flatten()  # torch has i, f, g, o
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(ours.input.weight[order, :, 0, 0])
        theirs.weight_hh_l0.copy_(ours.recurrent.weight[order, :, 0, 0])
        theirs.bias_ih_l0.copy_(ours.input.bias[order])
        theirs.bias_hh_l0.zero_()
    x = torch.randn(times, batch, inputs, dtype=torch.float64)
    found = ours(x.view(times * batch, inputs, 1, 1), times).view(times, batch, channels)
    torch.testing.assert_close(found, theirs(x)[0])
    state = None
    for t in range(times):
        state = ours.step(x[t].view(batch, inputs, 1, 1), state)
        torch.testing.assert_close(state[1].view(batch, channels), found[t])


def test_what_a_pixel_remembers_spreads_by_one_kernel_a_time() -> None:
    layer = ConvolutionalLSTM(1, 2, 3).double()
    x = torch.randn(3, 1, 9, 9, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(x, 3)[2, :, 4, 4].sum(), x)
    for back in range(3):
        expected = torch.zeros(9, 9, dtype=torch.bool)
        expected[3 - back : 6 + back, 3 - back : 6 + back] = True
        assert torch.equal(gradient[2 - back, 0].ne(0), expected)
