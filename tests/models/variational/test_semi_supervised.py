"""M1, M2 and M1+M2 against the equations by hand, and their bounds against sums and integrals over all latents."""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence
from torch.nn import functional as F

from ancestral.comparison import compare
from ancestral.data import Data, Split, load_data
from ancestral.evaluation import ErrorRate, evaluate_classifier, measures
from ancestral.interface import Batch, Binary, Event, InputError, LabelledMix, Levels, Model, Real
from ancestral.layers.label_latents import LabelLatentModel, mean_over_data
from ancestral.layers.observation_networks import NetworkSettings, ObservationEncoder
from ancestral.models.variational.m1 import M1
from ancestral.models.variational.m1_m2 import M1M2
from ancestral.models.variational.m2 import M2
from ancestral.registry import build, quick_settings
from ancestral.training import Cosine, fit

BITS = Event((4,), Binary())
CLASSES = 3
STANDARD = Normal(0.0, 1.0)


def seed(value: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(value)


def moved(model: Model, by: float = 0.4) -> Any:
    """In float64, with weights on which labels and latents depend plainly."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    return model.double().eval()


def m2(**settings: Any) -> M2:
    return moved(M2(BITS, **{"classes": CLASSES, "latent_dim": 1, "hidden": [8], **settings}))


def one_hot(y: int, rows: int) -> Tensor:
    return F.one_hot(torch.full((rows,), y), CLASSES).double()


def bounds_by_hand(model: M2, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """-L(x, y) of every y, (batch, classes), and -U(x), (batch,): equations 6 and 7, one label after another."""
    labelled = []
    for y in range(CLASSES):
        code = one_hot(y, len(x))
        mean, log_variance = model.label_latents.encoder(x, code).chunk(2, 1)
        q = Normal(mean, (0.5 * log_variance).exp())
        z = q.mean + q.stddev * noise[y]
        likelihood = Bernoulli(probs=model.decode_mean(torch.cat([code, z], 1))).log_prob(x).sum(1)
        labelled.append(likelihood + math.log(1 / CLASSES) - kl_divergence(q, STANDARD).sum(1))
    of_label, q_y = torch.stack(labelled, 1), model.class_log_probs(x).exp()
    return of_label, (q_y * of_label).sum(1) - (q_y * q_y.log()).sum(1)


def test_the_bounds_are_equations_6_and_7() -> None:
    model, x = m2(), torch.randint(0, 2, (6, 4)).double()
    noise = torch.randn(1, CLASSES * 6, 1, generator=seed(1), dtype=torch.float64)
    _, unlabelled = bounds_by_hand(model, x, noise.view(CLASSES, 6, 1))
    torch.manual_seed(1)
    torch.testing.assert_close(model._elbo(x, None, 1), unlabelled)
    for y in range(CLASSES):
        noise = torch.randn(1, 6, 1, generator=seed(1), dtype=torch.float64)
        expected = bounds_by_hand(model, x, noise.expand(CLASSES, 6, 1))[0][:, y]
        torch.manual_seed(1)
        torch.testing.assert_close(model.label_latents.labelled_bound(x, torch.full((6,), y), 1), expected)


def test_the_loss_is_equation_9_for_each_row_of_the_data() -> None:
    model = m2(classification_weight=0.7, labelled_share=0.05)
    x, y = torch.randint(0, 2, (10, 4)).double(), torch.tensor([0, 2, 1, -1, -1, -1, -1, -1, -1, -1])
    loss = model.phases()[0].loss
    torch.manual_seed(1)
    found = loss(Batch(x, y))
    torch.manual_seed(1)
    labelled = -model.label_latents.labelled_bound(x[:3], y[:3], 1).mean()
    unlabelled = -model.label_latents.unlabelled_bound(x[3:], 1).mean()
    cross_entropy = F.nll_loss(model.class_log_probs(x[:3]), y[:3])
    # J / N with N_l = 0.05 N labelled rows, and alpha = 0.7 N.
    torch.testing.assert_close(found.total, 0.05 * labelled + 0.95 * unlabelled + 0.7 * cross_entropy)
    assert loss(Batch(x[:3], y[:3])).parts.keys() == {"labelled", "classification"}
    assert loss(Batch(x[3:], y[3:])).parts.keys() == loss(Batch(x)).parts.keys() == {"unlabelled"}
    plain = m2().phases()[0].loss(Batch(x, y))  # nothing is known of the data: rows count as in the batch
    torch.testing.assert_close(
        plain.total,
        0.3 * plain.parts["labelled"] + 0.7 * plain.parts["unlabelled"] + 0.1 * plain.parts["classification"],
    )


def test_labels_teach_the_classifier_and_nothing_else_does_where_all_rows_have_one() -> None:
    model = m2(classification_weight=0.7)
    x, y = torch.randint(0, 2, (8, 4)).double(), torch.arange(8) % CLASSES
    classifier = list(model.label_latents.classifier.parameters())
    found = torch.autograd.grad(model.phases()[0].loss(Batch(x, y)).total, classifier)
    expected = torch.autograd.grad(0.7 * F.cross_entropy(model.label_latents.classifier(x, None), y), classifier)
    torch.testing.assert_close(found, expected)
    # An unlabelled row moves it towards the posterior of y: the gradient of -U in q(y | x).
    unlabelled = torch.autograd.grad(model.phases()[0].loss(Batch(x)).total, classifier)
    assert all(bool((gradient != 0).any()) for gradient in unlabelled)


def exact(model: LabelLatentModel, x: Tensor) -> Tensor:
    """ln p(x) by a sum over y and the trapezoid rule over each latent."""
    line = torch.linspace(-7, 7, 281).double()
    steps = [line] * (model.latent_size - CLASSES)
    points = torch.stack([axis.flatten() for axis in torch.meshgrid(*steps, indexing="ij")], 1)
    total = []
    for row in x:
        rows = row.expand(len(points), -1)
        joint = [model.log_joint(rows, torch.cat([one_hot(y, len(points)), points], 1)) for y in range(CLASSES)]
        total.append(torch.cat(joint).logsumexp(0) + len(steps) * math.log(14 / 280))
    return torch.stack(total).detach()


@pytest.mark.parametrize("kind", ["m2", "m1_m2"])
def test_elbo_importance_bound_and_likelihood_are_in_order(kind: str) -> None:
    if kind == "m2":
        model: LabelLatentModel = m2()
    else:
        model = moved(M1M2(BITS, classes=CLASSES, feature_dim=1, latent_dim=1, hidden=[8], label_hidden=[8]), 0.2)
    x = torch.tensor([[0, 0, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1]]).double()
    true = exact(model, x)
    with torch.no_grad():
        elbo = model.elbo(x, samples=4000, generator=seed())
        each = model.log_prob_lower_bound(x.repeat(4000, 1), importance_samples=1, generator=seed())
        many = model.log_prob_lower_bound(x, importance_samples=40_000, generator=seed())
    # A weight with its labels summed out says more than one of a label drawn from q.
    assert (elbo < each.view(4000, 3).mean(0)).all()
    assert (each.view(4000, 3).mean(0) < true).all()
    torch.testing.assert_close(many, true, atol=0.02, rtol=0)


def test_codes_have_the_moments_and_the_density_of_the_posterior() -> None:
    model, x = m2(latent_dim=2), torch.tensor([[0, 0, 1, 1], [1, 0, 0, 1]]).double()
    q = model.encode(x)
    z = q.sample(torch.Size([60_000]))
    torch.testing.assert_close(z.mean(0), q.mean, atol=0.03, rtol=0)
    # E over q of r / q is 1 for any density r: here of uniform labels and a narrower Gaussian.
    y, rest = z.split([CLASSES, 2], dim=2)
    assert bool((y.sum(2) == 1).all())
    narrow = Independent(Normal(q.mean[:, CLASSES:], 0.3), 1).log_prob(rest) - math.log(CLASSES)
    ratio = (narrow - q.log_prob(z)).exp()
    assert bool(((ratio.mean(0) - 1).abs() < 5 * ratio.std(0) / math.sqrt(60_000)).all())


def test_a_label_decides_the_class_of_what_is_drawn_and_a_style_is_kept() -> None:
    model = m2(latent_dim=2)
    z = model.sample_latents(6, given={"y": torch.tensor([0.0, 1.0, 0.0])}, generator=seed())
    assert torch.equal(z[:, :CLASSES], one_hot(1, 6))
    other = torch.cat([one_hot(2, 6), z[:, CLASSES:]], 1)
    assert not torch.allclose(model.decode_mean(z), model.decode_mean(other))
    # Between labels there is something, too: a mean code has shares of several.
    between = torch.cat([torch.full((6, CLASSES), 1 / CLASSES).double(), z[:, CLASSES:]], 1)
    assert bool(model.decode_mean(between).isfinite().all())


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_every_context_at_once_is_each_on_its_own(network: str) -> None:
    event, contexts = Event((1, 4, 4), Levels(3)), torch.randn(5, 2)
    settings = NetworkSettings(network, [8, 6], 2, "relu")
    encoder = ObservationEncoder(event, Event((2,), Real()), 3, settings)
    x = torch.randint(0, 3, (7, 1, 4, 4)).float()
    expected = torch.cat([encoder(x, context.expand(7, 2)) for context in contexts])
    torch.testing.assert_close(encoder.of_each(x, contexts), expected)


def test_a_batch_of_another_mix_has_the_mean_of_the_data() -> None:
    values, y = torch.tensor([10.0, 20.0, 1.0, 2.0, 3.0]), torch.tensor([0, 1, -1, -1, -1])
    assert mean_over_data(values, y, 0.1).item() == pytest.approx(0.1 * 15 + 0.9 * 2)
    assert mean_over_data(values, y, None).item() == pytest.approx(7.2)
    assert mean_over_data(values[2:], y[2:], 0.1).item() == mean_over_data(values[2:], None, 0.1).item() == 2


# -- With data ---------------------------------------------------------------------------------------------------------

TINY: dict[str, dict[str, Any]] = {
    "m1": {"latent_dim": 2, "hidden": [8], "kernel_features": 8},
    "m2": {"latent_dim": 2, "hidden": [8], "classification_weight": 10.0},
    "m1_m2": {
        "feature_dim": 2,
        "latent_dim": 2,
        "hidden": [8],
        "label_hidden": [8],
        "classification_weight": 10.0,
    },
}


def labelled(y: Tensor, name: str = "bits") -> Data:
    place = torch.where(y < 0, torch.arange(len(y)) % 4, y)
    x = (place[:, None] == torch.arange(4)).float()
    splits = [Split(x, BITS, y, name=name) for _ in range(3)]
    return Data(name, BITS, *splits, classes=("a", "b"))


@pytest.mark.parametrize("name", TINY)
def test_build_takes_the_classes_and_the_share_of_labels_from_the_data(name: str) -> None:
    model = build(name, labelled(torch.tensor([0, 1, -1, -1] * 4)), **TINY[name])
    assert isinstance(model, M1 | LabelLatentModel)
    assert (model.classes, model.labelled_share) == (2, 0.5)
    assert isinstance(model.batching, LabelledMix)


@pytest.mark.parametrize("name", TINY)
def test_with_a_label_for_each_row_it_is_supervised_and_its_error_stands_beside_its_bound(name: str) -> None:
    data = labelled(torch.tensor([0, 1] * 8))
    torch.manual_seed(0)
    model = build(name, data, **TINY[name])
    # Long enough for the features of a first stage not to be nothing yet.
    fit(model, data, epochs=100, lr=5e-2, batch_size=8, progress=False)
    found = [measure for _, measure in measures(model, data, importance_samples=4)]
    assert [type(measure).__name__ for measure in found] == ["Score", "ErrorRate"]
    assert isinstance(found[1], ErrorRate)
    assert found[1].error == 0


@pytest.mark.parametrize("name", TINY)
def test_without_labels_it_says_what_it_lacks(name: str) -> None:
    model = partial(build, name, classes=2, **TINY[name])
    train = partial(fit, epochs=1, progress=False)
    nothing = labelled(torch.full((8,), -1))
    with pytest.raises(InputError, match="has a label"):
        train(model(nothing), nothing)
    with pytest.raises(InputError, match="no row has a label"):
        train(model(nothing), nothing.train)
    with pytest.raises(InputError, match="the data have no labels"):
        train(model(BITS), torch.ones(8, 4))
    with pytest.raises(InputError, match=r"labels must be below the 2 classes of this .*, found 3"):
        train(model(BITS), Split(torch.ones(8, 4), BITS, torch.arange(8) % 4))


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        *((name, {"classes": 1}, "classes must be at least 2, got 1") for name in TINY),
        *((name, {"labelled_ratio": 1.0}, "labelled_ratio must be a share of a batch") for name in TINY),
        *((name, {"labelled_share": 0.0}, "labelled_share must be a share of the data") for name in TINY),
        *((name, {"latent_dim": 0}, "latent_dim") for name in TINY),
        *((name, {"context_event": Event((), Levels(2))}, "infers") for name in TINY),
        ("m2", {"classification_weight": 0.0}, "classification_weight must be above 0"),
        ("m1", {"classifier": "svm"}, "classifier must be 'linear' or 'tsvm', got 'svm'"),
        ("m1", {"feature_stage": 1.0}, "feature_stage"),
        ("m1_m2", {"feature_stage": 0.0}, "feature_stage"),
        ("m1_m2", {"feature_dim": 0}, "feature_dim"),
    ],
)
def test_bad_settings_say_what_was_expected(name: str, settings: dict[str, Any], message: str, untyped: None) -> None:
    with pytest.raises(InputError, match=message):
        build(name, BITS, **settings)


@pytest.mark.slow
def test_few_labels_go_further_with_the_rows_that_have_none() -> None:
    """Digits with 50 labels: M2 beats the same network of the labels alone, and compare shows its error."""
    data = load_data("digits", labels=50)
    assert data.train.y is not None
    few = data.train.take((data.train.y >= 0).nonzero()[:, 0])
    settings = quick_settings("m2", data.event).model
    wrong = {}
    for name, rows in {"all": data.train, "labelled": few}.items():
        torch.manual_seed(0)
        model = build("m2", data, **settings)
        assert isinstance(model, M2)
        epochs = 20 if name == "all" else 400
        fit(model, replace(data, train=rows), epochs=epochs, batch_size=64, schedule=Cosine(), progress=False)
        wrong[name] = evaluate_classifier(model, data.test).error
    assert wrong["all"] < wrong["labelled"], wrong
    table = compare(data, ["m2", "vae"], minutes=0.1, progress=False)
    assert [entry.error_rate is not None for entry in table.entries] == [True, False]
