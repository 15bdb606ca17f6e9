"""How far two samples of feature vectors are apart, (n, features) each: distances, manifolds and tests, in float64.

They see different things. The Fréchet distance compares means and covariances alone and is biased upwards, the more so
the fewer the samples; the kernel distance sees third moments too and is unbiased. Precision and recall tell samples
that are not real from real ones that are never drawn. A classifier tells whatever it can, with a significance. None of
these minds copies of training rows, which are looked for by themselves.
"""

import math
import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ancestral.evaluation.likelihood import standard_error
from ancestral.interface import InputError, seeded

#: Entries of a matrix of distances or kernels that are held at once.
_ENTRIES = 2**23
#: Squared distances by products are rounded by no more, as a share of the largest squared norm.
_ROUNDING = 1e-12
#: Rows of a block of the kernel distance, and the fewest blocks, from which its error is taken.
_BLOCK, _BLOCKS = 1000, 10
#: Of the classifier that tells samples apart: hidden units and epochs, as in Lopez-Paz & Oquab 2017, batch and rate.
_UNITS, _EPOCHS, _BATCH, _RATE = 20, 100, 64, 1e-2


@dataclass(frozen=True)
class KernelDistance:
    """A squared maximum mean discrepancy: 0 on average where both samples are of one distribution, so that it may be
    below 0; with its standard error over `blocks` of rows."""

    value: float
    stderr: float
    blocks: int

    def __str__(self) -> str:
        return f"kernel distance {self.value:.3g} ± {self.stderr:.2g}"


@dataclass(frozen=True)
class PrecisionRecall:
    """The share of samples within the manifold of real rows, and of real rows within that of the samples, in [0, 1]."""

    precision: float
    recall: float

    def __str__(self) -> str:
        return f"precision {self.precision:.3f}, recall {self.recall:.3f}"


@dataclass(frozen=True)
class TwoSampleTest:
    """The accuracy of a classifier of real against generated on `n` rows that it has not learned from, and the
    probability of so high a one where both are of one distribution."""

    accuracy: float
    p: float
    n: int

    def __str__(self) -> str:
        return f"told from real by a classifier: {self.accuracy:.1%}, chance 50 % (p = {self.p:.2g}, n = {self.n:,})"


@dataclass(frozen=True)
class Copying:
    """How many of `n` samples have a training row as the nearest of all real rows, beside the `chance` of it without
    copies; and the probability of so many or more by that chance."""

    share: float
    chance: float
    p: float
    n: int

    def __str__(self) -> str:
        return (
            f"nearest real row is a training row: {self.share:.1%}, without copies {self.chance:.1%}"
            f" (p = {self.p:.2g}, n = {self.n:,})"
        )


# -- Distances ---------------------------------------------------------------------------------------------------------


def frechet_distance(a: Float[Tensor, "n features"], b: Float[Tensor, "m features"]) -> float:
    """|mu_a - mu_b|^2 + tr(A + B - 2 (A B)^(1/2)) of the means and the covariances of two samples.

    Dowson & Landau 1982, equation 4; in features of a network, Heusel et al. 2017, equation 6. With A = R_a' R_a from
    the QR decomposition of the centred rows, the eigenvalues of A B are the squares of the singular values of R_a R_b',
    whose sum is the trace of the root: nothing is squared, and fewer samples than features are no special case.
    """
    for x in (a, b):
        if len(x) < 2 or not bool(x.isfinite().all()):
            raise InputError(
                f"a Fréchet distance needs at least 2 rows of finite features of each sample, got {len(x)} rows"
                f"{'' if len(x) < 2 else ' with NaN or infinity'}"
            )
    a, b = a.double(), b.double()
    centred = [(x - x.mean(0)) / math.sqrt(len(x) - 1) for x in (a, b)]
    root_a, root_b = (torch.linalg.qr(x, mode="r").R for x in centred)
    return between_gaussians(a.mean(0), root_a, b.mean(0), root_b)


def between_gaussians(
    mean_a: Float[Tensor, " d"],
    root_a: Float[Tensor, "rank_a d"],
    mean_b: Float[Tensor, " d"],
    root_b: Float[Tensor, "rank_b d"],
) -> float:
    """The same of Gaussians of these means and the covariances R_a' R_a and R_b' R_b: the square of their W_2."""
    cross = torch.linalg.svdvals(root_a @ root_b.T).sum()
    traces = root_a.square().sum() + root_b.square().sum()
    return max(((mean_a - mean_b).square().sum() + traces - 2 * cross).item(), 0.0)


def kernel_distance(a: Float[Tensor, "n features"], b: Float[Tensor, "m features"]) -> KernelDistance:
    """The squared maximum mean discrepancy by the kernel (x·y / features + 1)^3 (Bińkowski et al. 2018).

    The unbiased estimate (Gretton et al. 2012, lemma 6) of blocks of rows, whose mean it is: at least 10 blocks, of at
    most 1,000 rows. Blocks share no rows, so that the error is of independent estimates.
    """
    n = min(len(a), len(b))
    blocks = min(max(_BLOCKS, math.ceil(n / _BLOCK)), n // 2)
    if blocks < 2:
        raise InputError(f"a kernel distance with an error needs at least 4 rows of each sample, got {n}")
    size = n // blocks
    parts = zip(a.double()[: size * blocks].split(size), b.double()[: size * blocks].split(size), strict=True)
    found = torch.stack([_squared_discrepancy(x, y) for x, y in parts])
    return KernelDistance(found.mean().item(), standard_error(found), blocks)


def _squared_discrepancy(x: Tensor, y: Tensor) -> Tensor:
    """Without the kernel of a row with itself, the mean within each sample is unbiased."""
    n = len(x)
    within = sum((k.sum() - k.diagonal().sum()) / (n * (n - 1)) for k in (_kernel(x, x), _kernel(y, y)))
    return within - 2 * _kernel(x, y).mean()


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    base = x @ y.T / x.shape[1] + 1
    return base * base * base


# -- Manifolds ---------------------------------------------------------------------------------------------------------


def precision_recall(
    real: Float[Tensor, "n features"], fake: Float[Tensor, "m features"], neighbours: int = 3
) -> PrecisionRecall:
    """Improved precision and recall (Kynkäänniemi et al. 2019, equations 1 and 2).

    The manifold of a sample is the union of the balls around its points that reach as far as each one's k-th nearest
    other point of the sample.
    """
    if neighbours < 1 or min(len(real), len(fake)) <= neighbours:
        raise InputError(
            f"{neighbours} neighbours, of at least 1, need more rows of each sample, got {len(real)} and {len(fake)}"
        )
    centre = real.double().mean(0)
    real, fake = real.double() - centre, fake.double() - centre
    # What lies on the rim of a ball, as copies of a row do, is not to fall out of it by rounding.
    slack = _ROUNDING * max(float(x.square().sum(1).max()) for x in (real, fake))
    of_real, of_fake = (_radii(x, neighbours) + slack for x in (real, fake))
    rows = max(1, _ENTRIES // len(real))
    within, reached = [], torch.zeros(len(real), dtype=torch.bool)
    for part, radii in zip(fake.split(rows), of_fake.split(rows), strict=True):
        squares = squared_distances(part, real)
        within.append((squares <= of_real).any(1))
        reached |= (squares <= radii[:, None]).any(0)
    return PrecisionRecall(float(torch.cat(within).double().mean()), float(reached.double().mean()))


def _radii(x: Tensor, neighbours: int) -> Float[Tensor, " rows"]:
    """The squared distance of each row to its k-th nearest other one; the nearest of all is the row itself."""
    parts = x.split(max(1, _ENTRIES // len(x)))
    return torch.cat(
        [squared_distances(part, x).topk(neighbours + 1, largest=False).values[:, neighbours] for part in parts]
    )


def squared_distances(x: Float[Tensor, "x features"], y: Float[Tensor, "y features"]) -> Float[Tensor, "x y"]:
    """Between every two rows, up to rounding; a product, since differences take five times as long."""
    return torch.addmm(x.square().sum(1)[:, None] + y.square().sum(1), x, y.T, alpha=-2)


# -- Tests -------------------------------------------------------------------------------------------------------------


def two_sample_test(
    real: Float[Tensor, "n features"], fake: Float[Tensor, "m features"], generator: torch.Generator | None = None
) -> TwoSampleTest:
    """The classifier two-sample test (Lopez-Paz & Oquab 2017, section 3), by a network of one hidden layer.

    It learns from half of the rows, as many of both samples; its accuracy on the n others is, where both samples are of
    one distribution, about Gaussian with the mean 1/2 and the variance 1 / (4 n).
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    n = min(len(real), len(fake)) // 2
    if n < 2:
        raise InputError(f"a two-sample test needs at least 4 rows of each sample, got {len(real)} and {len(fake)}")
    half = torch.arange(2).repeat_interleave(n)
    x, y = torch.cat([real[:n], fake[:n], real[n : 2 * n], fake[n : 2 * n]]).double(), half.repeat(2)
    x = (x - x[: 2 * n].mean(0)) / x[: 2 * n].std(0).clamp(min=1e-12)
    with seeded(generator):
        start = int(torch.randint(2**31, ()))
    batch = min(_BATCH, 2 * n)
    network = MLPClassifier((_UNITS,), batch_size=batch, learning_rate_init=_RATE, max_iter=_EPOCHS, random_state=start)
    with warnings.catch_warnings():
        # It stops after the stated number of epochs on purpose.
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(x[: 2 * n].numpy(), y[: 2 * n].numpy())
    accuracy = float(network.score(x[2 * n :].numpy(), y[2 * n :].numpy()))
    z = (accuracy - 0.5) * 2 * math.sqrt(2 * n)
    return TwoSampleTest(accuracy, 0.5 * math.erfc(z / math.sqrt(2)), 2 * n)


def copying(
    train: Float[Tensor, "rows features"], test: Float[Tensor, "more features"], fake: Float[Tensor, "n features"]
) -> Copying:
    """Whether samples have training rows for their nearest neighbours more often than chance would have it.

    Training and test rows are of one distribution. Wherever a sample lies that knows neither, the nearest of all these
    rows is a training row with the share of the training rows among them, c: a dull sample in the midst of the data as
    well as one far off them. (By the distances themselves, as Meehan, Chaudhuri & Dasgupta 2020 compare them, dull
    samples pass for copies.) Samples with one nearest row share its luck: if w_r of them have row r, the number that
    have training rows has the variance c (1 - c) sum_r w_r^2, and is taken to be Gaussian.
    """
    from sklearn.neighbors import NearestNeighbors

    near = []
    for rows in (train, test):
        search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(rows.double().numpy())
        near.append([torch.from_numpy(found[:, 0]) for found in search.kneighbors(fake.double().numpy())])
    (to_train, of_train), (to_test, of_test) = near
    chance = len(train) / (len(train) + len(test))
    # Where both are as near, as rows of few values are, nothing is known.
    copied = torch.where(to_train < to_test, 1.0, torch.where(to_train > to_test, 0.0, chance)).double()
    weights = torch.where(to_train <= to_test, of_train, len(train) + of_test).bincount().double()
    z = float((copied - chance).sum()) / math.sqrt(chance * (1 - chance) * float(weights.square().sum()))
    return Copying(float(copied.mean()), chance, 0.5 * math.erfc(z / math.sqrt(2)), len(fake))
