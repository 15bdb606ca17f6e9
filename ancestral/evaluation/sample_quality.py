"""How near samples lie to data, by several measures in one named feature space.

The numbers depend on the features as much as on the model, so the extractor's name and hash are part of the result, and
so is the number of samples. Beside the Fréchet distance stands that of other real rows, as many: what perfect samples
would score. Everything is computed in float64.
"""

import warnings
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Num
from torch import Tensor

from ancestral.data import Data, Split
from ancestral.evaluation.features import FeatureExtractor, FeaturesLike, feature_extractor
from ancestral.evaluation.two_samples import (
    Copying,
    KernelDistance,
    PrecisionRecall,
    TwoSampleTest,
    copying,
    frechet_distance,
    kernel_distance,
    precision_recall,
    two_sample_test,
)
from ancestral.interface import InputError, Model, Sampler, seeded

#: Samples, where nobody says how many.
DEFAULT_SAMPLES = 1000
#: Test rows from which on they judge samples; where there are fewer, the training rows do.
_ENOUGH = 1000
#: Fewer samples than these have too few neighbours, and halves, for the measures beside the Fréchet distance.
_FEWEST = 8
#: Training rows among which copies are looked for, and test rows that say how near others come, at most.
_TRAINING, _TEST = 50_000, 10_000


@dataclass(frozen=True)
class SampleQuality:
    """How far `n` samples are from as many real rows: a Fréchet distance (0 is best), the same of other real rows, and
    in which features. The measures beside it are None where they were not asked for, or have too few rows."""

    frechet: float
    reference: float
    #: The name of the features, and a sha256 of what they hang on.
    features: str
    n: int
    digest: str | None = None
    kernel: KernelDistance | None = None
    manifolds: PrecisionRecall | None = None
    two_sample_test: TwoSampleTest | None = None
    copying: Copying | None = None

    @property
    def headline(self) -> str:
        """The Fréchet distance with what it hangs on."""
        features = self.features if self.digest is None else f"{self.features}, sha256 {self.digest[:8]}"
        return (
            f"Fréchet {self.frechet:.4g} (real against real {self.reference:.4g}), {features},"
            f" n = {self.n:,} against {self.n:,}"
        )

    def __str__(self) -> str:
        """A line for each measure."""
        others = (self.kernel, self.manifolds, self.two_sample_test, self.copying)
        return "\n".join([self.headline, *(str(other) for other in others if other is not None)])


def rows_to_judge_samples(data: Data) -> Split:
    """The test rows, or the training rows where the test rows are too few for the moments of their features."""
    return data.test if len(data.test) >= _ENOUGH else data.train


def evaluate_samples(
    model: Model,
    data: Data | Split,
    *,
    samples: int | None = None,
    split: str | None = None,
    seed: int = 0,
    features: FeaturesLike = None,
    batch_size: int = 256,
) -> SampleQuality:
    """How far samples of the model are from as many real rows: Fréchet and kernel distance, precision and recall, a
    classifier two-sample test, and whether training rows are copied.

    Args:
        model: one that draws samples; a conditional one does at the contexts of the real rows.
        data: a data set, whose training rows make the features and are what may be copied; or the rows of a split,
            which are then compared by their principal components, and without a look for copies.
        samples: how many, by default 1,000; as many as there are real rows to hold them against, if these are fewer.
        split: of the data set, whose rows are the real ones; by default the test rows where there are at least 1,000,
            otherwise the training rows.
        seed: of the draws.
        features: "classifier" (the default for images with labels), "pca" (for all else), "inception:FILE" with a file
            of weights, or a function (batch, *event) -> (batch, features). See `feature_extractor`.
        batch_size: samples drawn at once.

    Raises:
        InputError: for a model without samples, features that cannot be had, too few rows, and samples that are not
            finite.

    Warns where samples are fewer than features, or than were asked for, and where the distance is no larger than that
    of real rows.
    """
    if not isinstance(model, Sampler):
        raise InputError(f"{model.display_name} cannot be sampled, so there are no samples to judge")
    judge = SampleJudge(
        data, samples=DEFAULT_SAMPLES if samples is None else samples, split=split, seed=seed, features=features
    )
    if samples is not None and judge.n < samples:
        warnings.warn(
            f"{judge.n:,} samples are judged, not {samples:,}: there are no more rows of {judge.rows.name} to hold them"
            " against, and others to hold those against",
            stacklevel=2,
        )
    quality = judge(judge.draw(model, batch_size))
    _warn_of_few(quality, judge.real.shape[1])
    return quality


class SampleJudge:
    """Real rows and their features, by which the samples of several models are judged alike.

    `n` rows are the real ones, and as many others are what perfect samples would be: of the same split where it has as
    many more; otherwise, for test rows, of the validation; where these are too few as well, either is half of the
    split. Rows with missing values are left out. The arguments are those of `evaluate_samples`.
    """

    def __init__(
        self,
        data: Data | Split,
        *,
        samples: int = DEFAULT_SAMPLES,
        split: str | None = None,
        seed: int = 0,
        features: FeaturesLike = None,
    ) -> None:
        if samples < 2:
            raise InputError(f"samples must be at least 2, got {samples}")
        self._data, self._seed = data, seed
        generator = torch.Generator().manual_seed(seed)
        rows = _in_order_of_chance(_judging(data, split), generator)
        spare = data.valid if isinstance(data, Data) and _judging(data, split) is data.test else None
        n = min(samples, len(rows))
        if 2 * n <= len(rows) or spare is None or len(others := _in_order_of_chance(spare, generator)) < n:
            n = min(n, len(rows) // 2)
            others = rows.take(range(n, 2 * n)) if n > 1 else rows
        if n < 2:
            raise InputError(f"samples are judged by at least 4 whole real rows, {rows.name} has {len(rows)}")
        self.n = n
        #: The real rows; a conditional model is to draw at their contexts.
        self.rows = rows.take(range(n))
        self.extractor: FeatureExtractor = feature_extractor(features, data)
        with seeded(generator):
            self.real, self.others = (self.extractor(part.x) for part in (self.rows, others.take(range(n))))
        _check_finite(torch.cat([self.real, self.others]), f"{self.extractor.name} of real rows")

    @torch.no_grad()
    def draw(
        self, model: Sampler, batch_size: int = 256, *, limit: int | None = None, seed: int | None = None
    ) -> Num[Tensor, "n *event"]:
        """As many samples of the model as there are real rows, or a `limit`; by default by the judge's own seed."""
        generator = torch.Generator().manual_seed(self._seed if seed is None else seed)
        contexts = self.rows.context if model.context_event is not None else None
        n = self.n if limit is None else min(limit, self.n)
        drawn = []
        for start in range(0, n, batch_size):
            stop = min(start + batch_size, n)
            context = None if contexts is None else contexts[start:stop].to(model.device)
            drawn.append(model.sample(stop - start, context=context, generator=generator).cpu())
        return torch.cat(drawn)

    @property
    def reference(self) -> float:
        """The Fréchet distance of the other real rows: what perfect samples would score."""
        return frechet_distance(self.real, self.others)

    def frechet(self, x: Num[Tensor, "m *event"]) -> SampleQuality:
        """The Fréchet distance alone, of samples, at most as many as there are real rows."""
        return self._frechet(self._features_of(x))

    def __call__(self, x: Num[Tensor, "m *event"]) -> SampleQuality:
        """All measures of samples, at most as many as there are real rows."""
        fake = self._features_of(x)
        found, real = self._frechet(fake), self.real[: len(fake)]
        if found.n < _FEWEST:
            return found
        return replace(
            found,
            kernel=kernel_distance(real, fake),
            manifolds=precision_recall(real, fake),
            two_sample_test=two_sample_test(real, fake, torch.Generator().manual_seed(self._seed)),
            copying=self._copying(x[: self.n]),
        )

    def _frechet(self, fake: Tensor) -> SampleQuality:
        n, name = len(fake), self.extractor.name
        value, reference = (frechet_distance(self.real[:n], other) for other in (fake, self.others[:n]))
        return SampleQuality(value, reference, name, n, self.extractor.digest)

    def _features_of(self, x: Tensor) -> Float[Tensor, "n features"]:
        if len(x) < 2:
            raise InputError(f"a distance needs at least 2 samples, got {len(x)}")
        _check_finite(x, "samples")
        fake = self.extractor(x[: self.n])
        _check_finite(fake, f"{self.extractor.name} of samples")
        return fake

    def _copying(self, x: Tensor) -> Copying | None:
        """In principal components: features of a classifier leave out what tells rows of a class apart."""
        if self._near is None:
            return None
        components, train, test = self._near
        return copying(train, test, components(x))

    @cached_property
    def _near(self) -> tuple[FeatureExtractor, Tensor, Tensor] | None:
        """The principal components of training and test rows; None where there are no test rows of their own."""
        data = self._data
        if not isinstance(data, Data) or data.train.digest == data.test.digest:
            return None
        generator = torch.Generator().manual_seed(self._seed)
        components = feature_extractor("pca", data)
        with seeded(generator):
            train, test = (
                components(_in_order_of_chance(part, generator).take(range(min(most, len(part)))).x)
                for part, most in ((data.train, _TRAINING), (data.test, _TEST))
            )
        return components, train, test


def _judging(data: Data | Split, split: str | None) -> Split:
    """The split whose rows are the real ones."""
    if isinstance(data, Split):
        if split is not None:
            raise InputError(f"{data.name} is one split: leave split={split!r} out, or give the whole data set")
        return data
    if split is None:
        return rows_to_judge_samples(data)
    if split not in data.splits:
        raise InputError(f"there is no split {split!r}; there are {', '.join(data.splits)}")
    return data.splits[split]


def _in_order_of_chance(split: Split, generator: torch.Generator) -> Split:
    """Its rows of which nothing is missing, in another order."""
    order = torch.randperm(len(split), generator=generator)
    whole = order[~split.x[order].flatten(1).isnan().any(1)] if split.missing else order
    if len(whole) == 0:
        raise InputError(
            f"every row of {split.name} has missing values, so that samples have nothing to be held against"
        )
    return split.take(whole)


def _check_finite(x: Tensor, what: str) -> None:
    if not bool(x.isfinite().all()):
        bad = int((~x.isfinite()).flatten(1).any(1).sum())
        raise InputError(f"{bad:,} of {len(x):,} {what} are not finite: the model has diverged, or the features have")


def _warn_of_few(quality: SampleQuality, features: int) -> None:
    n = quality.n
    if n <= features:
        warnings.warn(
            f"{n:,} samples are no more than the {features:,} features that they are compared by: the Fréchet distance"
            " is mostly up to chance; take more samples, or fewer features",
            stacklevel=3,
        )
    elif n < 2 * features:
        warnings.warn(f"{n:,} samples are few for {features:,} features: the distance is biased upwards", stacklevel=3)
    if quality.frechet <= quality.reference:
        warnings.warn(
            f"the Fréchet distance {quality.frechet:.3g} of {n:,} samples is no larger than that of as many real rows,"
            f" {quality.reference:.3g}: only more samples could tell them apart",
            stacklevel=3,
        )
