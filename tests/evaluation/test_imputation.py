"""What is missing, filled in by draws and by means of p(missing | observed)."""

import itertools
import math
from collections.abc import Callable
from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from ancestral.evaluation import filled_in, filling_in_words
from ancestral.evaluation.imputation import needs_no_look_ahead
from ancestral.interface import Binary, Categories, Columns, Event, InputError, Levels, Real
from ancestral.models.autoregressive.gated_pixelcnn import GatedPixelCNN
from ancestral.models.autoregressive.made import MADE
from ancestral.models.linear.probabilistic_pca import ProbabilisticPCA
from ancestral.models.variational.vae import VAE

Perturbed = TypeVar("Perturbed", bound=nn.Module)


def perturbed(model: Perturbed) -> Perturbed:
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


def walks_and_posterior(model: MADE | GatedPixelCNN, known: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
    """By enumeration: the probability of each filling by a walk along the orders, and given what is known."""
    everything = torch.tensor(list(itertools.product(range(model.event.values), repeat=model.event.size))).double()
    agree = ((everything == observed) | ~known).all(1)
    x = everything[agree].view(-1, *model.event.shape)
    each = model.conditional_log_probs(x).detach().flatten(2)
    walks = torch.where(known, 0.0, each).sum(2).exp().mean(0)
    joint = each.sum(2).exp().mean(0)
    return walks, joint / joint.sum()


@pytest.mark.parametrize(
    "make",
    [
        lambda: MADE(Event((4,), Levels(3)), hidden=[16], order="random"),
        lambda: MADE(Event((4,), Levels(3)), hidden=[16], masks=2, order="random"),
        lambda: GatedPixelCNN(Event((2, 1, 2), Levels(3)), channels=8, blocks=1, head=16),
    ],
    ids=["one order", "two orders", "pixels and colours"],
)
def test_a_walk_needs_no_look_ahead_exactly_where_it_is_the_posterior(
    make: Callable[[], MADE | GatedPixelCNN],
) -> None:
    model = perturbed(make()).double()
    observed = torch.tensor([2.0, 0.0, 1.0, 2.0]).double()
    masks = torch.tensor(list(itertools.product([False, True], repeat=4)))
    found = needs_no_look_ahead(model, masks.view(-1, *model.event.shape)).tolist()
    for known, no_look_ahead in zip(masks, found, strict=True):
        walks, posterior = walks_and_posterior(model, known, observed)
        assert walks.sum().item() == pytest.approx(1)
        assert torch.allclose(walks, posterior, atol=1e-9) == no_look_ahead, known
    assert sum(found) == (5 if len(model.orders) == 1 else 2)


def test_where_nothing_comes_later_one_completion_is_drawn_and_follows_the_posterior() -> None:
    model = perturbed(GatedPixelCNN(Event((1, 2, 2), Levels(3)), channels=8, blocks=1, head=16)).double()
    x = torch.tensor([1.0, 2.0, math.nan, math.nan]).double().view(1, 1, 2, 2).repeat(4000, 1, 1, 1)
    drawn = []
    complete = model.complete

    def counting(rows: Tensor, *args: object, **options: object) -> Tensor:
        drawn.append(len(rows))
        return complete(rows, *args, **options)

    model.complete = counting
    filled = filled_in(model, x, draws=50)
    assert sum(drawn) == 4000
    known = ~x[0].isnan().flatten()
    _, posterior = walks_and_posterior(model, known, x[0].flatten())
    places = (filled.flatten(1)[:, 2] * 3 + filled.flatten(1)[:, 3]).long()
    assert (places.bincount(minlength=9) / 4000).tolist() == pytest.approx(posterior.tolist(), abs=0.03)
    # A row that needs it has its choice of 50, beside one that does not.
    drawn.clear()
    two = x[:2].clone()
    two[1] = torch.tensor([math.nan, 2.0, 1.0, 0.0]).view(1, 2, 2)
    filled_in(model, two, draws=50)
    assert sorted(drawn) == [1, 50]


def test_a_cold_completion_takes_the_likeliest_values_given_what_came_before() -> None:
    model = perturbed(MADE(Event((5,), Levels(4)), hidden=[16], order="random")).double()
    x = torch.tensor([math.nan, 3.0, math.nan, math.nan, 1.0]).double().repeat(3, 1)
    cold = filled_in(model, x, draws=1, temperature=1e-6)
    assert torch.equal(cold[:, [1, 4]], x[:, [1, 4]])
    tried = cold[:1].repeat(4, 1)
    for place in (0, 2, 3):
        rows = tried.clone()
        rows[:, place] = torch.arange(4)
        assert cold[:, place].tolist() == [model.conditional_log_probs(rows)[0, :, place].argmax().item()] * 3
    for how in ({"draws": 2}, {"draws": 1, "how": "mean"}):
        with pytest.raises(InputError, match="sharpens single draws"):
            filled_in(model, x, temperature=0.5, **how)
    with pytest.raises(InputError, match="temperature must be a finite number above 0"):
        filled_in(model, x, draws=1, temperature=0.0)
    with pytest.raises(InputError, match="of autoregressive models"):
        filled_in(VAE(Event((5,), Levels(4)), latent_dim=1, hidden=[2]), x, draws=1, temperature=0.5)


def test_the_words_say_what_the_completions_are() -> None:
    one, ahead = torch.tensor([[True, True, False, False]]), torch.tensor([[True, False, True, False]])
    made = MADE(Event((4,), Binary()), hidden=[4])
    assert filling_in_words(made, "draw", 1, one) == (
        "a draw of p(missing | observed), exactly: what is observed comes first in the model's order"
    )
    assert "does not look ahead to the rest: not an exact draw" in filling_in_words(made, "draw", 1, ahead)
    assert "does not look ahead" in filling_in_words(made, "draw", 1, torch.cat([one, ahead]))
    assert filling_in_words(made, "draw", 9, ahead).endswith(
        "by importance resampling of 9 completions in the model's orders"
    )
    cold = filling_in_words(made, "draw", 1, one, temperature=0.5)
    assert "sharpened by the temperature 0.5" in cold
    assert "not an exact draw" in cold
    assert "look ahead" not in cold
    vae, ppca = VAE(Event((4,), Binary()), latent_dim=1, hidden=[2]), ProbabilisticPCA(Event((4,), Real()))
    assert filling_in_words(vae, "draw", 1, ahead).endswith("by a Markov chain through its latents")
    assert filling_in_words(ppca, "mean", 7, ahead) == "means of 7 draws of p(missing | observed), exactly"
