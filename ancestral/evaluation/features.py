"""The features by which samples are compared with real rows: each extractor with a name and a hash, for the numbers
hang on them.

- `pca`: projections on the first principal components of the data's values;
- `classifier`: the last hidden layer of a small network trained on the data's labels;
- `inception:FILE`: the last pooling of InceptionV3 with weights from a file;
- any function (batch, *event) -> (batch, features).
"""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from weakref import WeakKeyDictionary

import safetensors.torch
import torch
from jaxtyping import Float, Num
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.data import Data, Split
from ancestral.data.files import cache_folder
from ancestral.data.moments import moments_of
from ancestral.environment import versions
from ancestral.evaluation.factor_classifier import (
    FEATURES,
    FactorClassifier,
    label_classifier,
    train_label_classifier,
)
from ancestral.evaluation.inception import inception_input, load_inception
from ancestral.evaluation.rows import spread_rows
from ancestral.interface import Binary, Categories, Columns, Event, InputError, Levels, Real, seeded
from ancestral.persistence import write_atomically
from ancestral.suggestions import did_you_mean

#: Principal components, at most, and the rows that they are taken from.
_COMPONENTS, _ROWS = 64, 10_000
#: One-hot values of a sequence of categories, at most; longer ones are counted.
_ONE_HOT = 4096
NAMES = ("pca", "classifier", "inception")


@dataclass(frozen=True)
class FeatureExtractor:
    """Features of observations, under a name that says which; `digest` is a sha256 of what they hang on, None where
    that is not known."""

    name: str
    digest: str | None
    function: Callable[[Tensor], Tensor]

    def __call__(self, x: Num[Tensor, "n *event"], batch_size: int = 500) -> Float[Tensor, "n features"]:
        """The features of observations in data space, in float64, in batches."""
        with torch.no_grad():
            found = [self.function(part) for part in x.split(batch_size)]
        if any(part.dim() != 2 or len(part) != len(rows) for part, rows in zip(found, x.split(batch_size))):
            raise InputError(f"features must be (batch, features), got {tuple(found[0].shape)} by {self.name}")
        return torch.cat(found).double().cpu()

    def __str__(self) -> str:
        return self.name if self.digest is None else f"{self.name}, sha256 {self.digest[:8]}"


#: What names features: one of `NAMES` ("inception:FILE"), an extractor, or a function; None is "classifier" for images
#: with labels, and "pca" for all else.
FeaturesLike: TypeAlias = str | FeatureExtractor | Callable[[Tensor], Tensor] | None


def feature_extractor(features: FeaturesLike, data: Data | Split) -> FeatureExtractor:
    """The extractor that `features` names, made from the training rows of `data`, or from all rows of a split.

    A classifier is trained on labelled images by the seed 0, about a minute for MNIST, once for the same rows: it is
    kept in the cache. The same data have the same features, whatever model is judged.

    Raises:
        InputError: for an unknown name, a classifier of data without labels or without a training split, and weights
            that do not fit.
    """
    if isinstance(features, FeatureExtractor):
        return features
    if callable(features):
        return _given(features)
    rows = data.train if isinstance(data, Data) else data
    kind, _, path = (features or _default(data)).partition(":")
    if kind not in NAMES or bool(path) != (kind == "inception"):
        raise InputError(
            f"features must be classifier, pca or inception:FILE, a file of weights, got {features!r}"
            f"{did_you_mean(kind, NAMES) if kind not in NAMES else ''}"
        )
    if kind == "pca":
        return _principal_components(rows)
    if kind == "inception":
        return _inception(path, rows)
    if not isinstance(data, Data):
        raise InputError(f"a classifier learns from a training split: give the whole data set, not {data.name} alone")
    return _of_classifier(data)


def _default(data: Data | Split) -> str:
    if not isinstance(data, Data) or data.classes is None or len(data.event.shape) != 3 or data.train.y is None:
        return "pca"
    return "classifier" if len(data.train.y[data.train.y >= 0].unique()) > 1 else "pca"


def _digest(parts: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name, part in parts.items():
        found.update(f"{name} {part.dtype} {tuple(part.shape)} ".encode())
        found.update(part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _given(function: Callable[[Tensor], Tensor]) -> FeatureExtractor:
    digest = _digest(function.state_dict()) if isinstance(function, nn.Module) else None
    called = getattr(function, "__name__", type(function).__name__)
    return FeatureExtractor(f"the given features ({called})", digest, function)


# -- Principal components ----------------------------------------------------------------------------------------------


def _principal_components(split: Split) -> FeatureExtractor:
    from sklearn.decomposition import PCA

    event = split.event
    with seeded(torch.Generator().manual_seed(0)):
        x = split.__getitems__(spread_rows(_ROWS, len(split))).x
    flat = _numbers(x[~x.flatten(1).isnan().any(1)] if split.missing else x, event)
    if len(flat) < 2:
        raise InputError(f"principal components need 2 rows without missing values, {split.name} has {len(flat)}")
    mean = flat.mean(0)
    scale = (flat - mean).square().mean().sqrt().clamp(min=1e-12)
    if len(event.shape) == 1 and not isinstance(event.support, Categories):
        # The columns of a table have units of their own.
        mean, deviation = moments_of([flat])
        scale = torch.where(deviation == 0, 1.0, deviation)
    n = min(_COMPONENTS, *flat.shape)
    found = PCA(n, svd_solver="covariance_eigh" if flat.shape[1] <= 1000 else "randomized", random_state=0)
    directions = torch.from_numpy(found.fit(((flat - mean) / scale).numpy()).components_).T
    return FeatureExtractor(
        f"{n} principal components",
        _digest({"mean": mean, "scale": scale, "directions": directions}),
        lambda x: (_numbers(x, event) - mean) / scale @ directions,
    )


def _numbers(x: Tensor, event: Event) -> Tensor:
    """The flattened values, (batch, n) float64; categories one-hot, of a long sequence how often each occurs."""
    flat = x.flatten(1)
    if isinstance(event.support, Categories):
        count = event.support.categories
        if event.size * count <= _ONE_HOT:
            return F.one_hot(flat.long(), count).flatten(1).double()
        counts = torch.zeros(len(flat), count, dtype=torch.float64)
        return counts.scatter_add_(1, flat.long(), torch.ones(flat.shape, dtype=torch.float64))
    if not isinstance(event.support, Columns):
        return flat.double()
    parts = [
        F.one_hot(flat[:, places].long(), kind.categories).flatten(1)
        if isinstance(kind, Categories)
        else flat[:, places]
        for kind, places in event.support.kinds.items()
    ]
    return torch.cat([part.double() for part in parts], 1)


# -- Networks ----------------------------------------------------------------------------------------------------------

#: Classifiers by the training split that they learned from, as long as that is in use.
_CLASSIFIERS: "WeakKeyDictionary[Split, FeatureExtractor]" = WeakKeyDictionary()


def _of_classifier(data: Data) -> FeatureExtractor:
    if data.classes is None:
        raise InputError(f"{data.name} has no labels for a classifier to learn; take pca")
    if data.train not in _CLASSIFIERS:
        network = _trained_or_kept(data.train, len(data.classes))
        with torch.no_grad(), seeded(torch.Generator().manual_seed(0)):
            x = data.train.__getitems__(spread_rows(_ROWS, len(data.train))).x
            deviation = torch.cat([network.features(part) for part in x.split(500)]).double().var(0).mean().sqrt()
            right = _accuracy(network, data.test)
        _CLASSIFIERS[data.train] = FeatureExtractor(
            f"{FEATURES} features of a classifier of {len(data.classes)} classes{right}",
            _digest({**network.state_dict(), "deviation": deviation}),
            # In units of their mean variance, for the last layer may have any scale.
            lambda x: network.features(x).double() / deviation,
        )
    return _CLASSIFIERS[data.train]


def _trained_or_kept(split: Split, classes: int) -> FactorClassifier:
    """The classifier of these rows: out of the cache, or trained and put there.

    It hangs on the training rows alone, so their hash names it, beside the versions of what trains it. A file that
    cannot be read or written costs a training, no more.
    """
    key = f"{split.digest} {classes} {versions()['ancestral']} {versions()['torch']}"
    file = cache_folder() / "classifiers" / f"{hashlib.sha256(key.encode()).hexdigest()}.safetensors"
    with suppress(OSError, RuntimeError, SafetensorError):
        state = safetensors.torch.load_file(file)
        network = label_classifier(split, classes, torch.zeros(()), torch.ones(()))
        network.load_state_dict(state)
        return network.eval()
    network = train_label_classifier(split, classes)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        state = {name: part.contiguous() for name, part in network.state_dict().items()}
        write_atomically({file: safetensors.torch.save(state)})
    return network


def _accuracy(network: FactorClassifier, split: Split) -> str:
    """The share of the labelled rows that it reads right, in words."""
    if split.y is None or not bool((known := split.y >= 0).any()):
        return ""
    right = (network.read(split.x)["label"].argmax(1) == split.y)[known].double().mean()
    return f" ({float(right):.1%} of the test rows right)"


def _inception(path: str, split: Split) -> FeatureExtractor:
    event = split.event
    if len(event.shape) != 3 or event.shape[0] not in (1, 3) or isinstance(event.support, Categories | Columns):
        raise InputError(f"Inception sees images, grey or of three colours, {split.name} is of {event}")
    with seeded(torch.Generator().manual_seed(0)):
        shown = split.__getitems__(spread_rows(_ROWS, len(split))).x
    if isinstance(event.support, Real) and (float(shown.min()) < 0 or float(shown.max()) > 1):
        raise InputError(
            f"Inception takes real pixels between 0 and 1, {split.name} has {float(shown.min()):g} to"
            f" {float(shown.max()):g}; scale them"
        )
    network = load_inception(path)
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    white = event.support.levels - 1 if isinstance(event.support, Levels) else 1
    assert isinstance(event.support, Levels | Binary | Real)
    return FeatureExtractor(
        f"2,048 features of InceptionV3 with the weights {Path(path).name}",
        digest,
        lambda x: network(inception_input((x.float() / white).clamp(0, 1))),
    )
