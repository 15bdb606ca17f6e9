"""How bits divide among the stages of a likelihood."""

import math

import pytest
import torch

from ancestral.data import Data, load_data
from ancestral.evaluation import evaluate, measures, stage_shares
from ancestral.interface import InputError
from ancestral.models.autoregressive.gated_pixelcnn import GatedPixelCNN
from ancestral.models.autoregressive.hierarchical_pixelcnn import HierarchicalPixelCNN
from ancestral.models.autoregressive.multiscale_pixelcnn import MultiscalePixelCNN


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits")


@pytest.mark.parametrize("kind", [HierarchicalPixelCNN, MultiscalePixelCNN])
def test_stages_sum_to_the_score_whatever_the_batch(kind: type, digits: Data) -> None:
    torch.manual_seed(0)
    model = kind(digits.event, channels=4, blocks=1).eval()
    found = stage_shares(model, digits.test, limit=30, batch_size=7)
    assert found.n == 30
    assert list(found.bits_per_dim) == ["4x4", "8x8" if kind is MultiscalePixelCNN else "details"]
    assert sum(found.bits_per_dim.values()) == pytest.approx(
        evaluate(model, digits.test, limit=30).bits_per_dim, rel=1e-6
    )
    assert sum(found.shares.values()) == pytest.approx(1)
    # Of nearly uniform conditionals each stage has the share of its pixels.
    uniform = {"4x4": 16, "8x8": 48, "details": 64}
    for name, bits in found.bits_per_dim.items():
        assert bits == pytest.approx(uniform[name] / 64 * math.log2(17), rel=0.2)
    (_, _), (split, again) = measures(model, digits, limit=30)
    assert split == "test"
    assert again.n == 30
    assert str(again).startswith("bits/dim by stage: 4x4 ")


def test_a_likelihood_without_stages_is_refused(digits: Data) -> None:
    with pytest.raises(InputError, match="gated_pixelcnn has no stages"):
        stage_shares(GatedPixelCNN(digits.event, channels=4, blocks=1), digits.test)
