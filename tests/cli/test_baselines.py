"""The ruler's zero by enumeration, and ours against scikit-learn's from the same start."""

import itertools

import pytest
import torch

from ancestral.cli.baselines import independent, independent_histogram, sklearn_gaussian_mixture, sklearn_ppca
from ancestral.interface import Binary, Event, InputError, Levels, Real
from ancestral.registry import build
from ancestral.training import fit


@pytest.mark.parametrize("support", [Levels(3), Binary()])
def test_the_histogram_is_a_probability(support) -> None:
    levels = 3 if isinstance(support, Levels) else 2
    event = Event((2, 2), support)
    train = torch.randint(levels, (20, 2, 2))
    everything = torch.tensor(list(itertools.product(range(levels), repeat=4))).view(-1, 2, 2)
    log_prob = independent_histogram(train, everything, event)
    assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-6)
    # By hand: each level counted once more.
    share = torch.stack([((train == everything[5]).sum(0) + 1) / (20 + levels)]).log().sum()
    assert log_prob[5].item() == pytest.approx(share.item(), rel=1e-5)
    with pytest.raises(InputError, match="discrete"):
        independent_histogram(train, everything, Event((2, 2), Real()))


def test_the_gaussian_is_torchs() -> None:
    train, test = torch.randn(50, 3) * 2 + 1, torch.randn(5, 3)
    name, log_prob = independent(train, test, Event((3,), Real()))
    expected = torch.distributions.Normal(train.mean(0), train.std(0, correction=0)).log_prob(test).sum(1)
    assert name == "independent Gaussian"
    torch.testing.assert_close(log_prob, expected)


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


def test_ppca_is_scikit_learns(rows) -> None:
    train, test = rows
    model = build("ppca", Event((4,), Real()), latent_dim=2)
    fit(model, train, progress=False)
    reference = sklearn_ppca(train, test, 2)
    # scikit-learn divides the covariance by n - 1.
    assert model.log_prob(test).mean().item() == pytest.approx(reference.mean().item(), rel=1e-3)
