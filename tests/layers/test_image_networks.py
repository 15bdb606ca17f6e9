"""The networks that generators, critics and encoders of images share."""

import pytest
import torch

from ancestral.interface import Event, Real
from ancestral.layers.image_networks import ImageEncoder


@pytest.mark.parametrize("norm", ["instance", "layer", "none"])
def test_only_the_batch_norm_mixes_rows(norm: str) -> None:
    x = torch.randn(6, 2, 16, 12)
    network = ImageEncoder(Event((2, 16, 12), Real()), None, 4, norm)
    torch.testing.assert_close(network(x, None)[:2], network(x[:2], None))
    mixing = ImageEncoder(Event((2, 16, 12), Real()), None, 4, "batch")
    assert not torch.allclose(mixing(x, None)[:2], mixing(x[:2], None))
