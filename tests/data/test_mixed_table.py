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


def test_every_column_is_in_balance_given_the_others() -> None:
    """Let a swap T exchange values of one column two and two. Then E[s(x) p(Tx) / (p(x) + p(Tx))] is 0 for every s of
    opposite signs at x and at Tx: the rates of Barker 1965, which keep p, are bounded however small p is."""
    source, n = MixedTable(), 100_000
    rows = source.draw(n, torch.Generator().manual_seed(1))
    log_prob = source(rows)
    above = torch.where(rows > rows.median(0).values, 1.0, -1.0).double()
    for place, support in enumerate(source.event.supports):
        column, swapped = rows[:, place], rows.clone()
        step = 0.5 * column.std() if support.values is None else torch.tensor(2 ** int(math.log2(support.values / 2)))
        odd = (column / step).floor() % 2
        sign = 1 - 2 * odd
        swapped[:, place] = column + sign * step
        inside = source.event.support.contains(swapped)[:, place]
        swapped[~inside] = rows[~inside]
        balance = (sign * inside * (source(swapped) - log_prob).sigmoid())[:, None] * torch.ones(9)
        # Times functions of the other columns, which the swap leaves as they are.
        balance *= torch.where(torch.arange(9) == place, 1.0, above)
        errors = balance.mean(0) / (balance.std(0) / math.sqrt(n))
        assert errors.abs().max() < 4.5, (place, errors)
