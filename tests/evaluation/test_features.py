"""Features by their names: what they are made from, their hashes, and what is refused."""

from pathlib import Path

import pytest
import torch
from torch import nn

from ancestral.data import Data, Split, load_data
from ancestral.evaluation import FeatureExtractor, feature_extractor
from ancestral.interface import Categories, Event, InputError, Levels, Real

DIGITS = load_data("digits")


def few(data: Data, n: int) -> Data:
    """Some rows of each split."""
    return data.with_splits({name: split.take(range(min(n, len(split)))) for name, split in data.splits.items()})


def test_images_with_labels_have_a_classifier_that_says_how_good_it_is() -> None:
    found = feature_extractor(None, DIGITS)
    assert found is feature_extractor("classifier", DIGITS)
    features = found(DIGITS.test.x)
    assert (features.shape, features.dtype) == ((180, 64), torch.float64)
    # In units of their mean variance over the training rows.
    assert float(found(DIGITS.train.x).var(0).mean()) == pytest.approx(1)
    assert bool((features >= 0).all())
    share = float(found.name.split("(")[1].split("%")[0])
    assert share > 95
    # The last hidden layer: classes are a linear map of it.
    on_train, y = found(DIGITS.train.x), DIGITS.train.y
    assert y is not None
    weights = torch.linalg.lstsq(torch.cat([on_train, torch.ones(len(y), 1)], 1), nn.functional.one_hot(y).double())
    read = torch.cat([features, torch.ones(180, 1)], 1) @ weights.solution
    assert float((read.argmax(1) == DIGITS.test.y).double().mean()) > 0.9


def test_the_same_rows_have_the_same_features_and_others_another_hash() -> None:
    small = few(DIGITS, 200)
    one, two = (feature_extractor("classifier", few(DIGITS, 200)) for _ in range(2))
    assert one.digest == two.digest
    assert torch.equal(one(small.test.x), two(small.test.x))
    assert feature_extractor("classifier", few(DIGITS, 201)).digest != one.digest
    state = torch.random.get_rng_state()
    feature_extractor("classifier", few(DIGITS, 199))
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_classifier_is_trained_once_for_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCESTRAL_CACHE", str(tmp_path / "cache"))
    first = feature_extractor("classifier", few(DIGITS, 60))
    (kept,) = (tmp_path / "cache").rglob("*.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr("ancestral.evaluation.features.train_label_classifier", None)  # cannot be called
        again = feature_extractor("classifier", few(DIGITS, 60))
    assert str(again) == str(first)
    assert torch.equal(again(DIGITS.test.x), first(DIGITS.test.x))
    # Damaged, or of other rows: trained anew.
    kept.write_bytes(kept.read_bytes()[:-8])
    assert feature_extractor("classifier", few(DIGITS, 60)).digest == first.digest
    assert feature_extractor("classifier", few(DIGITS, 61)).digest != first.digest
    assert len(list((tmp_path / "cache").rglob("*"))) == 3  # the folder and two files


def test_rows_without_a_label_teach_nothing() -> None:
    y = DIGITS.train.y
    assert y is not None
    half = torch.where(torch.arange(len(y)) < 150, y, -1)
    partly = DIGITS.with_splits({**DIGITS.splits, "train": DIGITS.train.with_labels(half)})
    alone = DIGITS.with_splits({**DIGITS.splits, "train": DIGITS.train.take(range(150))})
    found, expected = (feature_extractor("classifier", data) for data in (partly, alone))
    read = [extractor(DIGITS.test.x) for extractor in (found, expected)]
    # Up to their unit, which is of all training rows.
    torch.testing.assert_close(read[0] / read[0].std(), read[1] / read[1].std())
    none = DIGITS.with_splits({**DIGITS.splits, "train": DIGITS.train.with_labels(torch.full_like(y, -1))})
    assert "principal components" in feature_extractor(None, none).name
    with pytest.raises(InputError, match="has no labels of two classes or more"):
        feature_extractor("classifier", none)


def test_principal_components_are_the_directions_of_most_variance() -> None:
    event = Event((1, 3, 4), Real())
    scales = torch.tensor([5.0, 4, 3, *[0.1] * 9]).double()
    turn = torch.linalg.qr(torch.randn(12, 12).double()).Q
    split = Split((torch.randn(4000, 12).double() * scales @ turn.T + 7).view(-1, 1, 3, 4), event)
    found = feature_extractor("pca", split)
    features = found(split.x)
    assert found.name == "12 principal components"
    whole = scales.square().mean().sqrt()
    torch.testing.assert_close(features.std(0), scales / whole, rtol=0.05, atol=0.01)
    assert float(features.mean(0).abs().max()) < 1e-8
    torch.testing.assert_close(torch.corrcoef(features.T), torch.eye(12).double(), rtol=0, atol=1e-6)
    assert found.digest == feature_extractor("pca", Split(split.x, event)).digest


def test_categories_are_names_in_their_places_and_long_texts_counts() -> None:
    short = Event((3,), Categories(4))
    x = torch.randint(4, (500, 3))
    features = feature_extractor("pca", Split(x, short))(x)
    assert features.shape == (500, 12)
    # All differences of names count alike, wherever they are.
    changed = x.clone()
    changed[:, 1] = (x[:, 1] + torch.randint(1, 4, (500,))) % 4
    moved = (feature_extractor("pca", Split(x, short))(changed) - features).norm(dim=1)
    assert float(moved.std() / moved.mean()) < 1e-6
    long = Event((2000,), Categories(5))
    text = torch.randint(5, (40, 2000))
    extractor = feature_extractor(None, Split(text, long))
    torch.testing.assert_close(extractor(text), extractor(text.flip(1)))


def test_given_functions_and_modules_are_taken_with_their_names() -> None:
    def corner(x: torch.Tensor) -> torch.Tensor:
        return x[:, 0, :2, 0].float()

    found = feature_extractor(corner, DIGITS)
    assert (found.name, found.digest) == ("the given features (corner)", None)
    assert str(found) == found.name
    torch.testing.assert_close(found(DIGITS.test.x, batch_size=7), corner(DIGITS.test.x).double())
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    digest = feature_extractor(module, DIGITS).digest
    assert digest is not None
    nn.init.zeros_(module[1].weight)
    assert feature_extractor(module, DIGITS).digest != digest
    assert isinstance(feature_extractor(found, DIGITS), FeatureExtractor)
    with pytest.raises(InputError, match="must be .batch, features., got .180, 1, 8, 8. by"):
        feature_extractor(lambda x: x, DIGITS)(DIGITS.test.x)


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ("clasifier", "classifier, pca or inception:FILE.* got 'clasifier' .did you mean 'classifier'"),
        ("inception", "inception:FILE, a file of weights, got 'inception'"),
        ("pca:3", "got 'pca:3'"),
    ],
)
def test_unknown_features_are_refused(features: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        feature_extractor(features, DIGITS)


def test_a_classifier_needs_labels_images_and_a_training_split() -> None:
    with pytest.raises(InputError, match="give the whole data set, not digits .test. alone"):
        feature_extractor("classifier", DIGITS.test)
    with pytest.raises(InputError, match="labels are read off images"):
        feature_extractor("classifier", load_data("two-moons", n=100))
    event = Event((1, 4, 4), Levels(3))
    split = Split(torch.randint(3, (20, 1, 4, 4)), event)
    with pytest.raises(InputError, match="some has no labels for a classifier"):
        feature_extractor("classifier", Data("some", event, split, split, split))
    assert "principal components" in feature_extractor(None, Data("some", event, split, split, split)).name
