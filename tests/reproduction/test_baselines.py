"""Ours against scikit-learn's from the same start, and images against their files."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from ancestral.interface import Binary, Event, InputError, Levels, Real, Support
from ancestral.registry import build
from ancestral.reproduction.baselines import markov_chain, png, png_file, sklearn_gaussian_mixture, sklearn_ppca
from ancestral.training import fit


@pytest.fixture
def rows() -> tuple[torch.Tensor, torch.Tensor]:
    centres = 3 * torch.randn(3, 4)
    x = centres[torch.randint(3, (600,))] + torch.randn(600, 4) @ torch.randn(4, 4)
    return x[:500], x[500:]


@pytest.mark.parametrize("covariance", ["full", "tied", "diagonal", "spherical"])
def test_the_mixture_is_scikit_learns(rows, covariance: str) -> None:
    train, test = rows
    start, model = (
        build("gaussian_mixture", Event((4,), Real()), components=3, covariance=covariance) for _ in range(2)
    )
    start.fit_start(train, generator=torch.Generator().manual_seed(0))
    report = fit(model, train, max_iterations=7, tolerance=0.0, progress=False)
    reference = sklearn_gaussian_mixture(train, test, dict(start.named_buffers()), covariance, 1e-6, report.steps)
    assert model.log_prob(test).mean().item() == pytest.approx(reference.mean().item(), rel=1e-4)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_markov_chain_is_its_counts(order: int) -> None:
    """Against a dictionary of what follows what."""
    train, test = torch.randint(3, (4, 30)), torch.randint(3, (5, 6))
    train[:, 1::2] = train[:, ::2]  # so that it matters what came before

    def log_prob(row: list[int], t: int) -> float:
        back = min(order, t)
        past = row[t - back : t]
        pairs = [tuple(s[i : i + back + 1]) for s in train.tolist() for i in range(30 - back)]
        follows = [pair[-1] for pair in pairs if list(pair[:-1]) == past]
        return math.log((follows.count(row[t]) + 1) / (len(follows) + 3))

    expected = [sum(log_prob(row, t) for t in range(6)) for row in test.tolist()]
    assert markov_chain(train, test, 3, order).tolist() == pytest.approx(expected, rel=1e-9)


def test_ppca_is_scikit_learns(rows) -> None:
    train, test = rows
    model = build("ppca", Event((4,), Real()), latent_dim=2)
    fit(model, train, progress=False)
    reference = sklearn_ppca(train, test, 2)
    # scikit-learn divides the covariance by n - 1.
    assert model.log_prob(test).mean().item() == pytest.approx(reference.mean().item(), rel=1e-3)


@pytest.mark.parametrize(
    ("colours", "support", "most"),
    [(3, Levels(256), 24.0), (1, Levels(256), 8.0), (1, Levels(17), 5.5), (1, Binary(), 1.0)],
)
def test_an_image_is_whole_in_its_png_file(colours: int, support: Support, most: float) -> None:
    event = Event((colours, 20, 30), support)
    noise = torch.randint(support.values or 0, (2, *event.shape))
    images = torch.cat((noise, torch.zeros_like(noise[:1])))
    files = [png_file(image, event) for image in images]
    for image, file in zip(images, files):
        read = torch.from_numpy(np.array(Image.open(io.BytesIO(file))).astype(np.int64))
        assert torch.equal(read[None] if colours == 1 else read.permute(2, 0, 1), image)
    bits = -png(images, event) / math.log(2)
    torch.testing.assert_close(bits, torch.tensor([8.0 * len(file) for file in files]))
    # Noise has no shorter code than its bits; the frame and what deflate adds to them are little more.
    assert 600 * colours * math.log2(support.values or 0) < bits[0] < 600 * most + 8 * 200
    assert bits[2] < 8 * 100


def test_what_a_png_file_cannot_hold() -> None:
    for event in (Event((2, 3, 3), Levels(4)), Event((1, 3, 3), Levels(300)), Event((3, 3, 3), Binary())):
        with pytest.raises(InputError, match="PNG"):
            png(torch.zeros(1, *event.shape), event)
