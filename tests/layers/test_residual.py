"""Residual blocks as He et al. write them, with a context between their convolutions."""

import pytest
import torch
from torch import nn

from ancestral.layers.residual import ResidualBlock, ResidualFeatures


@pytest.mark.parametrize("context_size", [0, 2])
def test_a_block_adds_two_convolutions_of_what_is_positive_and_the_context_is_the_same_everywhere(
    context_size: int,
) -> None:
    block, x, context = ResidualBlock(3, context_size), torch.randn(4, 3, 5, 6), torch.randn(4, 2)
    first, second = (layer for layer in block.inner if isinstance(layer, nn.Conv2d))
    hidden = first(x.clamp(min=0))
    if block.context is not None:
        hidden = hidden + (context @ block.context.weight.T)[:, :, None, None]
    torch.testing.assert_close(block(x, context), x + second(hidden.clamp(min=0)))


def test_features_are_blocks_after_a_convolution_of_nine_pixels() -> None:
    features, x = ResidualFeatures(2, 3, blocks=2, context_size=2).double(), torch.randn(4, 2, 7, 6).double()
    context = torch.randn(4, 2).double()
    expected = nn.functional.conv2d(x, features.first.weight, features.first.bias, padding=1)
    assert features.first.weight.shape == (3, 2, 3, 3)
    for block in features.blocks:
        expected = block(expected, context)
    torch.testing.assert_close(features(x, context), expected)
