"""Models as estimators of scikit-learn."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from ancestral.data import Data, Split
from ancestral.interface import Binary, Classifier, ClosedFormFit, Event, InputError, Real
from ancestral.registry import build, find_model, quick_settings
from ancestral.training import fit


class SemiSupervisedClassifier(ClassifierMixin, BaseEstimator):
    """A generative classifier that learns from labelled and unlabelled rows, as an estimator of scikit-learn.

    The label -1 stands for none, as in `sklearn.semi_supervised`; labels may be of any type (strings beside -1 in an
    array of objects). With a label for each row it is an ordinary classifier. Rows of zeros and ones are modelled as
    binary, all others as real numbers, standardised. The model is trained in float32 and predicts in float64.

    Args:
        model: the registered name of a classifier that is trained by gradients: "m2", "m1" or "m1_m2".
        epochs: passes over the data.
        batch_size: rows in a batch, at most.
        learning_rate: of every phase of the training; None for the model's own.
        model_settings: the model's own arguments, such as `{"latent_dim": 8}`; by default its quick settings.
        random_state: a seed, or a numpy `RandomState`.

    Attributes:
        classes_: the labels, without -1, (classes,).
        model_: the trained model, which can sample, score and encode as well.
        n_features_in_: columns of X.
    """

    def __init__(
        self,
        model: str = "m2",
        *,
        epochs: int = 50,
        batch_size: int = 64,
        learning_rate: float | None = None,
        model_settings: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.model_settings = model_settings
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "SemiSupervisedClassifier":
        """Learn from rows X, (n, features), with labels y, (n,), -1 where there is none.

        Raises:
            InputError: (a ValueError) if no row has a label, or all labels are of one class.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        y = column_or_1d(y, warn=True)
        if any(label is None or label != label or label == "" for label in y.tolist()):
            raise InputError("some labels are None, NaN or empty; a row without a label has -1")
        # A list of words and -1 comes as words.
        labelled = np.array([label not in (-1, "-1") for label in y.tolist()])
        if not labelled.any():
            raise InputError("no row has a label: some must be other than -1")
        known = y[labelled]
        check_classification_targets(known.astype(type(known[0])) if known.dtype == object else known)
        self.classes_, numbers = np.unique(known, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(
                f"a classifier needs labels of at least two classes, got the one class {self.classes_.tolist()[0]!r}"
            )
        labels = torch.full((len(X),), -1)
        labels[torch.from_numpy(labelled)] = torch.from_numpy(numbers.reshape(-1))
        event = Event((X.shape[1],), Binary() if np.isin(X, (0.0, 1.0)).all() else Real())
        kind = find_model(self.model)
        if not issubclass(kind, Classifier) or issubclass(kind, ClosedFormFit):
            raise InputError(f"model must be a classifier that learns from labels, such as m2, got {self.model!r}")
        rows = Split(torch.tensor(X), event, labels, name="X")
        data = Data("X", event, rows, rows, rows, classes=tuple(map(str, self.classes_)))
        settings = self.model_settings
        settings = quick_settings(self.model, event).model if settings is None else settings
        seed = int(check_random_state(self.random_state).randint(2**31))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            model = build(self.model, data, **settings)
        # Without validation rows: the few labels are all needed to learn from.
        fit(
            model,
            data.train,
            epochs=self.epochs,
            batch_size=self.batch_size,
            lr=self.learning_rate,
            seed=seed,
            accelerator="cpu",
            progress=False,
        )
        self.model_ = model.double()
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """p(y | x) of every class in the order of `classes_`, (n, classes)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        assert isinstance(self.model_, Classifier)
        with torch.no_grad():
            return self.model_.class_log_probs(torch.tensor(X)).exp().numpy()

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest label of each row, (n,)."""
        likeliest = self.predict_proba(X).argmax(axis=1)
        return self.classes_[likeliest]
