"""The table of mixed columns: its density is that of its rows, by importance sampling from independent columns."""

import math

import torch

from ancestral.data import load_data
from ancestral.data.mixed_table import MixedTable
from ancestral.evaluation import independent
from ancestral.interface import Real


def test_the_density_is_normalised_and_its_rows_follow_it() -> None:
    source, generator = MixedTable(), torch.Generator().manual_seed(0)
    n = 200_000
    rows = source.draw(n, generator)
    # Each column shuffled on its own, the real ones blurred and replaced: columns that know nothing of each other.
    apart = torch.stack([column[torch.randperm(n, generator=generator)] for column in rows.T], 1)
    for place, support in enumerate(source.event.supports):
        if isinstance(support, Real):
            column = rows[:, place]
            apart[:, place] = column.mean() + 1.3 * column.std() * torch.randn(n, generator=generator).double()
    real = [isinstance(support, Real) for support in source.event.supports]
    histograms = [column.long().bincount().double() / n for column in rows[:, ~torch.tensor(real)].T]
    discrete = apart[:, ~torch.tensor(real)].long()
    log_proposal = sum(share[column].log() for share, column in zip(histograms, discrete.T, strict=True))
    for column, drawn in zip(rows[:, torch.tensor(real)].T, apart[:, torch.tensor(real)].T, strict=True):
        normal = torch.distributions.Normal(column.mean(), 1.3 * column.std())
        log_proposal = log_proposal + normal.log_prob(drawn)
    weights = (source(apart) - log_proposal).exp()
    stderr = float(weights.std()) / math.sqrt(n)
    assert stderr < 0.02
    assert abs(float(weights.mean()) - 1) < 5 * stderr
    # A function of all columns has the same mean by rows as by weights: E_p[f] = E_q[f p/q].
    f = torch.cos(rows.double() @ torch.linspace(0.1, 0.9, 9).double())
    g = torch.cos(apart @ torch.linspace(0.1, 0.9, 9).double()) * weights
    assert abs(float(f.mean() - g.mean())) < 5 * math.hypot(float(f.std()), float(g.std())) / math.sqrt(n)


def test_the_columns_hang_together() -> None:
    data = load_data("adult-like", n=20_000)
    assert data.density is not None
    entropy = -data.density(data.test.x.double()).mean().item()
    apart = -independent(data.train.x, data.test.x, data.event)[1].mean().item()
    assert 2 < apart - entropy < 3
