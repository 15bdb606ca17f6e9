"""Skip-gram: which words are told apart from which, at what cost, and what comes of it."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ancestral.interface import SGD, Adam, Batch, Categories, Event, InputError, SparseSGD
from ancestral.models.pretext.skip_gram import NegativeSampling, SkipGram
from ancestral.registry import build
from ancestral.training import Linear, fit

_SPECIAL = 2


def _text(rows: int, length: int) -> Tensor:
    """Rows of words of which none comes twice, with padding and unknown words among them."""
    words = _SPECIAL + torch.randperm(rows * length).view(rows, length)
    return torch.where(torch.rand(rows, length) < 0.2, torch.randint(0, _SPECIAL, (rows, length)), words)


def _model(x: Tensor, window: int, negatives: int = 5, **settings: object) -> SkipGram:
    event = Event(tuple(x.shape[1:]), Categories(_SPECIAL + x.numel()))
    model = SkipGram(event, dimensions=7, window=window, negatives=negatives, **settings).double().train()
    for table in (model.words, model.contexts):
        torch.nn.init.normal_(table.weight)
    return model


def test_a_word_predicts_those_around_it_in_its_row_up_to_a_distance_of_its_own() -> None:
    x, window = _text(6, 41), 3
    model, seen = _model(x, window), set()
    for _ in range(20):
        pairs = model._pairs(x)
        found: dict[int, set[int]] = {}
        for block, slot, place in pairs.contexts.nonzero().tolist():
            word = int(pairs.words[block, slot])
            found.setdefault(word, set()).add(int(pairs.others[block, place]))
        rows = [[word for word in row if word >= _SPECIAL] for row in x.tolist()]
        assert sorted(found) == sorted(word for row in rows for word in row)
        for row in rows:
            for place, word in enumerate(row):
                reach = [set(row[max(0, place - r) : place + r + 1]) - {word} for r in range(1, window + 1)]
                assert found[word] in reach
                if window <= place < len(row) - window:
                    seen.add(reach.index(found[word]))
    assert seen == set(range(window))


def test_each_distance_is_as_likely_as_the_uniform_reach_says() -> None:
    x, window = _SPECIAL + torch.arange(4000)[None], 4
    pairs = _model(x, window)._pairs(x)
    distance = pairs.others[:, None, : pairs.contexts.shape[2]] - pairs.words[:, :, None]
    for far in range(1, window + 1):
        share = (pairs.contexts * (distance.abs() == far)).sum() / (2 * (4000 - far))
        expected = (window - far + 1) / window
        # Both sides of a word come together.
        assert abs(share - expected) <= 4 * math.sqrt(expected * (1 - expected) / 4000)


def test_the_loss_is_equation_4_over_positions_contexts_and_negatives() -> None:
    x, negatives = _text(5, 23), 3
    model = _model(x, window=2, negatives=negatives)
    (phase,) = model.phases()
    state = torch.get_rng_state()
    losses = phase.loss(Batch(x))
    torch.set_rng_state(state)
    pairs = model._pairs(x)
    v, c = model.words.weight.detach(), model.contexts.weight.detach()
    about, cost, count = pairs.contexts.shape[2], 0.0, 0
    for block in range(len(pairs.words)):
        drawn = pairs.others[block, about:].tolist()
        for slot, word in enumerate(pairs.words[block].tolist()):
            for place in pairs.contexts[block, slot].nonzero()[:, 0].tolist():
                context = int(pairs.others[block, place])
                noise = sum(float(logsigmoid(-v[word] @ c[other])) for other in drawn) / len(drawn)
                cost -= float(logsigmoid(v[word] @ c[context])) + negatives * noise
                count += 1
    assert losses.total.item() == pytest.approx(cost / len(x), rel=1e-12)
    assert losses.parts["pair"].item() == pytest.approx(cost / count, rel=1e-12)


def test_its_gradient_is_that_of_the_formula() -> None:
    words, others = torch.randn(2, 3, 4).double(), torch.randn(2, 5, 4).double()
    contexts, weights = torch.randint(0, 2, (2, 3, 2)).double(), 3 * torch.rand(2, 3, 5).double()
    tables = (words.requires_grad_(), others.requires_grad_())
    assert torch.autograd.gradcheck(lambda *tables: 0.7 * NegativeSampling.apply(*tables, contexts, weights), tables)
    extreme = NegativeSampling.apply(1e3 * words, others, contexts, weights)
    assert bool(torch.isfinite(extreme))


def test_words_stay_and_are_drawn_as_often_as_their_formulas_say() -> None:
    counts, t = [50, 9, 6000, 3000, 900, 90, 9, 1, 0], 0.03
    n = 300
    model = SkipGram(Event((n,), Categories(9)), subsampling=t, frequencies=counts)
    share = torch.tensor([0, 0, *counts[2:]]).double() / 10_000
    stays = [0, 0, *(min(1, math.sqrt(t / u) + t / u) for u in share[2:-1].tolist()), 1]
    assert model.keep.tolist() == pytest.approx(stays, rel=1e-6)
    noise = share**0.75 / (share**0.75).sum()
    assert torch.allclose(model.noise.diff(prepend=torch.zeros(1).double()), noise, atol=1e-15)

    x = torch.arange(9).repeat_interleave(1 + n * 300 // 9)[: n * 300].view(300, n)
    pairs = model._pairs(x)
    drawn = pairs.others[:, pairs.contexts.shape[2] :].flatten()
    found, expected = drawn.bincount(minlength=9), len(drawn) * noise
    assert bool(((found - expected).abs() <= 4 * (expected * (1 - noise)).sqrt()).all())
    kept = pairs.words[pairs.weights.sum(2) > 0].bincount(minlength=9)
    there, chance = x.flatten().bincount(minlength=9), torch.tensor(stays)
    # A word whose neighbours have all been left out has no pair; of 300 in a row that is none.
    assert bool(((kept - there * chance).abs() <= 4 * (there * chance * (1 - chance)).sqrt()).all())


def test_without_frequencies_all_words_are_alike() -> None:
    model = SkipGram(Event((9,), Categories(6)))
    assert model.keep.tolist() == [0, 0, 1, 1, 1, 1]
    assert model.noise.tolist() == [0, 0, 0.25, 0.5, 0.75, 1]


def test_only_the_rows_of_a_step_move() -> None:
    model = _model(x := _text(3, 20), window=2)
    (phase,) = model.phases()
    before = model.words.weight.detach().clone()
    phase.loss(Batch(x[:1])).total.backward()
    assert model.words.weight.grad is not None
    assert model.words.weight.grad.is_sparse
    phase.optimizer.build(phase.parameters).step()
    moved = (model.words.weight != before).any(1).nonzero()[:, 0].tolist()
    assert moved == sorted(word for word in x[0].tolist() if word >= _SPECIAL)


def test_a_batch_without_a_word_costs_nothing() -> None:
    model = SkipGram(Event((4,), Categories(5)))
    (phase,) = model.phases()
    losses = phase.loss(Batch(torch.zeros(3, 4).long()))
    losses.total.backward()
    assert losses.total.item() == losses.parts["pair"].item() == 0


def test_features_are_the_mean_vector_of_the_words() -> None:
    model = SkipGram(Event((4,), Categories(6)), dimensions=3).eval()
    v = model.words.weight
    found = model.features(torch.tensor([[0, 3, 1, 2], [4, 0, 0, 0], [0, 1, 0, 1]]))
    assert torch.allclose(found, torch.stack([(v[3] + v[2]) / 2, v[4], torch.zeros(3)]))


def test_vectors_of_words_begin_short_and_those_of_contexts_at_zero() -> None:
    model = SkipGram(Event((4,), Categories(600)), dimensions=10)
    least, most = model.words.weight.aminmax()
    assert (least.item(), most.item()) == (pytest.approx(-0.05, rel=0.01), pytest.approx(0.05, rel=0.01))
    assert not model.contexts.weight.any()


def test_words_of_one_topic_come_to_lie_together() -> None:
    topics, each = 4, 6
    topic = torch.randint(topics, (400, 1))
    x = 2 + topic * each + torch.randint(each, (400, 16))
    frequencies = x.flatten().bincount(minlength=2 + topics * each).tolist()
    event = Event((16,), Categories(2 + topics * each))
    model = SkipGram(event, dimensions=8, subsampling=0.0, frequencies=frequencies)
    fit(model, x, epochs=8, batch_size=16, optimizer=SparseSGD(0.4), schedule=Linear(), progress=False)
    unit = torch.nn.functional.normalize(model.words.weight.detach()[2:], dim=1)
    nearest = (unit @ unit.T).fill_diagonal_(-2).argmax(1)
    assert torch.equal(nearest // each, torch.arange(topics * each) // each)


def test_what_it_cannot_learn_from_is_refused() -> None:
    event = Event((9,), Categories(5))
    for settings, reason in (
        ({"window": 0}, "window must be at least 1"),
        ({"subsampling": 1.5}, "subsampling must be in"),
        ({"special": 4}, "special must leave at least 2 words"),
        ({"frequencies": [1, 2]}, "for each of 5 tokens"),
        ({"frequencies": [3, 2, 0, 0, 0]}, "some word occurs"),
    ):
        with pytest.raises(InputError, match=reason):
            SkipGram(event, **settings)
    with pytest.raises(InputError, match="it learns from text"):
        build("skip_gram", Event((9, 2), Categories(5)))
    model, x = SkipGram(event), torch.randint(5, (8, 9))
    for how in ({"optimizer": Adam()}, {"optimizer": SGD()}, {"clip_gradient": 1.0}):
        with pytest.raises(InputError, match="are sparse"):
            fit(model, x, epochs=1, progress=False, **how)
