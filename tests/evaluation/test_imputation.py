"""What is missing, filled in by draws and by means of p(missing | observed)."""

import itertools
import math

import pytest
import torch

from ancestral.evaluation import filled_in
from ancestral.interface import Binary, Categories, Columns, Event, InputError, Levels, Real
from ancestral.models.autoregressive.made import MADE
from ancestral.models.linear.probabilistic_pca import ProbabilisticPCA
from ancestral.models.variational.vae import VAE


def perturbed(model: MADE) -> MADE:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.8 * torch.randn_like(parameter))
    return model.eval()


def test_an_autoregressive_model_looks_ahead_to_what_its_order_reaches_later() -> None:
    """By enumeration: the first of four dimensions given the last three, in two orders of MADE."""
    model = perturbed(MADE(Event((4,), Levels(3)), hidden=[16], masks=2, order="random")).double()
    everything = torch.tensor(list(itertools.product(range(3), repeat=4))).double()
    joint = model.log_prob(everything).detach().exp()
    observed = torch.tensor([2.0, 0.0, 1.0]).double()
    agree = (everything[:, 1:] == observed).all(1)
    expected = (joint[agree] / joint[agree].sum()).tolist()
    x = torch.cat([torch.full((4000, 1), math.nan).double(), observed.expand(4000, 3)], 1)
    filled = filled_in(model, x, draws=300)
    assert torch.equal(filled[:, 1:], x[:, 1:])
    shares = (filled[:, 0].long().bincount(minlength=3) / len(filled)).tolist()
    assert shares == pytest.approx(expected, abs=0.04)
    marginal = [joint[everything[:, 0] == value].sum().item() for value in range(3)]
    assert max(abs(a - b) for a, b in zip(expected, marginal, strict=True)) > 0.1, "the observed must tell something"


def test_means_are_expected_values_and_of_categories_the_likeliest() -> None:
    """By enumeration, each row with other holes and at a context of its own, between rows that have none."""
    columns = Columns((Categories(3), Levels(6), Categories(4), Levels(6)))
    model = perturbed(
        MADE(Event((4,), columns), context_event=Event((), Levels(3)), hidden=[24], masks=2, order="random")
    )
    everything = torch.tensor(list(itertools.product(range(3), range(6), range(4), range(6)))).double()
    model, context = model.double(), torch.arange(60) % 3
    joint = torch.stack([model.log_prob(everything, context=torch.tensor(c)) for c in range(3)]).detach().exp()
    whole = model.sample(60, context=context, generator=torch.Generator().manual_seed(0))
    holes = torch.rand(60, 4) < torch.tensor([0.7, 0.5, 0.5, 0.3])
    holes[::4] = False
    filled = filled_in(model, whole.masked_fill(holes, math.nan), how="mean", draws=1000, context=context)
    assert torch.equal(filled[~holes], whole[~holes])
    decided = 0
    for row, column in holes.nonzero().tolist():
        agree = ((everything == whole[row]) | holes[row]).all(1)
        values = everything[agree, column]
        shares = joint[context[row], agree].new_zeros(6).index_add(0, values.long(), joint[context[row], agree])
        shares = shares / shares.sum()
        if isinstance(columns.supports[column], Categories):
            two = shares.topk(2).values
            expected, clear = shares.argmax(), two[0] - two[1] > 0.2
        else:
            mean = (shares * torch.arange(6)).sum()
            expected, clear = mean.round(), (mean - mean.round()).abs() < 0.25
        if clear:
            decided += 1
            assert filled[row, column] == expected, (row, column, shares)
    assert decided > 40


def test_means_of_ppca_are_those_of_its_gaussian() -> None:
    model = ProbabilisticPCA(Event((3,), Real()), latent_dim=1)
    x = torch.randn(500, 1) @ torch.tensor([[1.0, 2.0, -1.0]]) + 0.3 * torch.randn(500, 3)
    model.fit_start(x)
    model.fit_step(x)
    covariance = model.loadings @ model.loadings.T + model.noise_variance * torch.eye(3).double()
    rows = torch.tensor([[math.nan, 1.5, -0.5], [0.5, 1.0, 1.0]])
    known = rows[0, 1:].double() - model.mean[1:]
    expected = model.mean[0] + covariance[0, 1:] @ torch.linalg.solve(covariance[1:, 1:], known)
    filled = filled_in(model, rows, how="mean", draws=4000)
    assert filled[0, 0].item() == pytest.approx(expected.item(), abs=0.03)
    assert torch.equal(filled[1], rows[1])


def test_every_kind_of_column_stays_in_its_support_and_a_seed_decides() -> None:
    event = Event((4,), Columns((Real(), Levels(5), Categories(3), Binary())))
    rows = torch.tensor([[0.5, math.nan, 2.0, 1.0], [math.nan, 4.0, math.nan, math.nan], [1.0, 0.0, 1.0, 0.0]])
    for model in (MADE(event, hidden=[16], components=2).eval(), VAE(event, latent_dim=2, hidden=[8]).eval()):
        for how in ("draw", "mean"):
            first, second = (
                filled_in(model, rows, how=how, draws=20, generator=torch.Generator().manual_seed(1)) for _ in range(2)
            )
            event.check(first)
            assert torch.equal(first, second)
            assert torch.equal(first[~rows.isnan()], rows[~rows.isnan()])
    with pytest.raises(InputError, match="draws must be at least 1"):
        filled_in(model, rows, draws=0)
