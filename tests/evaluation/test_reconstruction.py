"""What codes bring back: the inertia of k-means, and of one row."""

import math

import pytest
import torch

from ancestral.data import Split
from ancestral.evaluation import evaluate_reconstruction
from ancestral.interface import Event, InputError, Real
from ancestral.models.linear.kmeans import KMeans
from ancestral.registry import build


def test_of_k_means_it_is_the_inertia_of_a_row_in_the_units_that_it_counts_in() -> None:
    x = torch.randn(300, 2) * torch.tensor([1.0, 1000.0])
    model = KMeans(Event((2,), Real()), components=4)
    model.standardize(x.mean(0), x.std(0))
    model.fit_start(x, generator=torch.Generator().manual_seed(0))
    found = evaluate_reconstruction(model, Split(x, model.event), batch_size=77)
    assert found.error * 300 == pytest.approx(float(model.inertia(x)), rel=1e-5)
    squares = torch.stack([model.inertia(row[None]) for row in x])
    assert found.stderr == pytest.approx(float(squares.std()) / math.sqrt(300), rel=1e-5)
    assert evaluate_reconstruction(model, Split(x, model.event), limit=50).n == 50


def test_what_does_not_encode_is_refused() -> None:
    with pytest.raises(InputError, match="reconstructs nothing"):
        evaluate_reconstruction(build("gan", Event((2,), Real())), Split(torch.zeros(3, 2), Event((2,), Real())))
