"""Models as estimators of scikit-learn, by its own checks and on data whose labels mostly lack."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs, make_moons
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import estimator_checks_generator

from ancestral.estimators import SemiSupervisedClassifier
from ancestral.interface import InputError, Sampler

TINY: dict[str, Any] = {
    "epochs": 20,
    "batch_size": 32,
    "learning_rate": 5e-3,
    "model_settings": {"hidden": [16], "latent_dim": 2, "classification_weight": 1.0},
}
#: scikit-learn spares its own semi-supervised classifiers, by their names, the labels -1 and 1 as two classes.
EXPECTED = {"check_classifiers_classes": "-1 stands for no label"}
SKIPPED = {"check_array_api_input"}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_scikit_learns_own_checks_hold(untyped: None) -> None:
    for estimator, check in estimator_checks_generator(SemiSupervisedClassifier(**TINY)):
        name = check.func.__name__
        if name in SKIPPED:
            continue
        if name in EXPECTED:
            with pytest.raises(InputError, match="at least two classes, got the one class 1"):
                check(estimator)
            continue
        check(estimator)


def test_unlabelled_rows_move_the_boundary_into_the_gap() -> None:
    """Two moons with two labels each, through the whole of M1: the labels alone would draw a straight line."""
    x, truth = make_moons(400, noise=0.06, random_state=0)
    y = np.full(400, -1)
    for label in (0, 1):
        y[np.flatnonzero(truth == label)[[3, 40]]] = label
    settings = {"latent_dim": 2, "hidden": [32], "kernel_features": 100, "bandwidth": 0.5, "annealing_steps": 100}
    model = SemiSupervisedClassifier("m1", epochs=40, batch_size=100, model_settings=settings, random_state=0)
    straight = LogisticRegression().fit(x[y >= 0], y[y >= 0])
    assert model.fit(x, y).score(x, truth) > straight.score(x, truth) + 0.05


def test_labels_may_be_words_beside_none_and_come_back_as_they_are() -> None:
    x, truth = make_blobs(120, centers=3, cluster_std=0.5, random_state=1)
    words = np.array(["ape", "bee", "cat"], dtype=object)[truth]
    y = words.copy()
    y[12:] = -1
    model = SemiSupervisedClassifier(**TINY | {"epochs": 60}, random_state=0).fit(x, y)
    assert model.classes_.tolist() == ["ape", "bee", "cat"]
    assert model.score(x, words) > 0.95
    proba = model.predict_proba(x)
    np.testing.assert_allclose(proba.sum(1), 1)
    assert (model.classes_[proba.argmax(1)] == model.predict(x)).all()
    assert isinstance(model.model_, Sampler)
    assert model.model_.sample(5).shape == (5, 2)


def test_a_list_of_words_and_minus_one_comes_as_words() -> None:
    x, truth = make_blobs(120, centers=2, cluster_std=0.5, random_state=1)
    y = [["ape", "bee"][label] if i < 12 else -1 for i, label in enumerate(truth)]
    model = SemiSupervisedClassifier(**TINY, random_state=0).fit(x, y)
    assert model.classes_.tolist() == ["ape", "bee"]


def test_a_seed_decides_and_the_callers_randomness_is_left_alone() -> None:
    x, y = make_blobs(60, centers=2, random_state=0)
    state = torch.get_rng_state()
    one, two, other = (SemiSupervisedClassifier(**TINY, random_state=seed).fit(x, y) for seed in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    assert (one.predict_proba(x) == two.predict_proba(x)).all()
    assert (one.predict_proba(x) != other.predict_proba(x)).any()


@pytest.mark.parametrize(
    ("settings", "y", "message"),
    [
        ({}, [-1, -1, -1, -1], "no row has a label"),
        ({}, [-1, 3, 3, -1], "at least two classes, got the one class 3"),
        ({}, ["ape", None, "bee", "bee"], "None, NaN or empty; a row without a label has -1"),
        ({}, ["ape", "", "bee", "bee"], "None, NaN or empty"),
        ({"model": "vae"}, [0, 1, -1, -1], "model must be a classifier that learns from labels"),
        ({"model": "gaussian_mixture"}, [0, 1, -1, -1], "model must be a classifier that learns from labels"),
        ({"model": "m3"}, [0, 1, -1, -1], "there is no model 'm3'"),
    ],
)
def test_what_cannot_be_learned_is_refused(settings: dict[str, Any], y: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SemiSupervisedClassifier(**settings).fit(np.arange(8.0).reshape(4, 2), y)


def test_zeros_and_ones_are_binary_and_nothing_else_may_follow() -> None:
    x = np.random.default_rng(0).integers(0, 2, (40, 4))
    model = SemiSupervisedClassifier(**TINY | {"epochs": 1}).fit(x, x[:, 0])
    assert str(model.model_.event.support) == "Binary()"
    with pytest.raises(InputError, match="0 or 1|binary|Binary"):
        model.predict(x + 0.5)
