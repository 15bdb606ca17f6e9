"""Figures to hold a model against: scikit-learn's from the same start, counts of sequences, the size of PNG files,
gensim's vectors of words.

Each takes the data and returns natural log-likelihoods of the test split, (n,), in data space; that of k-means returns
a mean squared distance.
"""

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from importlib import resources

import numpy as np
import torch
from jaxtyping import Float, Num
from PIL import Image
from torch import Tensor

from ancestral.evaluation import Question, WordVectors, read_questions
from ancestral.interface import Binary, Event, InputError, Levels


def png(test: Num[Tensor, "batch colours height width"], event: Event) -> Float[Tensor, " batch"]:
    """Minus the length of each image as a PNG file of its own, in nats: a lossless code is a distribution too.

    Of at most 256 levels, stored in bytes, or binary, stored in bits; pillow looks for the shortest file. The 57 bytes
    of its frame count: of a small image they are no small part.
    """
    return torch.tensor([-8 * math.log(2) * len(png_file(image, event)) for image in test])


def png_file(image: Num[Tensor, "colours height width"], event: Event) -> bytes:
    """An image of `event` as a PNG file."""
    binary = isinstance(event.support, Binary)
    fits = binary or (isinstance(event.support, Levels) and event.support.levels <= 256)
    if len(event.shape) != 3 or event.shape[0] not in ((1,) if binary else (1, 3)) or not fits:
        raise InputError(f"a PNG file has grey or colour images of at most 256 levels, or binary ones, got {event}")
    pixels = image.to(torch.bool if binary else torch.uint8)
    rows = pixels[0] if len(pixels) == 1 else pixels.permute(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(rows.contiguous().numpy()).save(file, "PNG", optimize=True)
    return file.getvalue()


def sklearn_ppca(
    train: Num[Tensor, "rows *event"], test: Num[Tensor, "batch *event"], latent_dim: int
) -> Float[Tensor, " batch"]:
    """scikit-learn's PCA as a probabilistic model (Tipping & Bishop 1999), from the exact decomposition."""
    from sklearn.decomposition import PCA

    reference = PCA(n_components=latent_dim, svd_solver="covariance_eigh")
    reference.fit(train.flatten(1).double().numpy())
    return torch.from_numpy(reference.score_samples(test.flatten(1).double().numpy())).float()


def sklearn_gaussian_mixture(
    train: Num[Tensor, "rows *event"],
    test: Num[Tensor, "batch *event"],
    start: Mapping[str, Tensor],
    covariance: str,
    variance_floor: float,
    iterations: int,
) -> Float[Tensor, " batch"]:
    """scikit-learn's mixture after as many EM iterations from the same start: weights, means and covariances."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    covariances = start["covariances"].double()
    reference = GaussianMixture(
        n_components=len(start["weights"]),
        covariance_type="diag" if covariance == "diagonal" else covariance,
        weights_init=start["weights"].double().numpy(),
        means_init=start["means"].double().numpy(),
        precisions_init=(covariances.inverse() if covariance in ("full", "tied") else 1 / covariances).numpy(),
        max_iter=iterations,
        tol=0.0,
        reg_covar=variance_floor,
    )
    with warnings.catch_warnings():
        # It stops after the stated number of iterations on purpose.
        warnings.simplefilter("ignore", ConvergenceWarning)
        reference.fit(train.flatten(1).double().numpy())
    return torch.from_numpy(reference.score_samples(test.flatten(1).double().numpy())).float()


def markov_chain(
    train: Num[Tensor, "rows time"], test: Num[Tensor, "batch length"], values: int, order: int
) -> Float[Tensor, " batch"]:
    """Each value given the `order` values before it, alike at all times: the frequencies of training, every one counted
    once more (Laplace's rule). The first values of a sequence are given as many as there are."""

    def cells(x: Tensor) -> Tensor:
        found = x[:, : x.shape[1] - order].long()
        for later in range(1, order + 1):
            found = found * values + x[:, later : x.shape[1] - order + later]
        return found

    counts = torch.bincount(cells(train).flatten(), minlength=values ** (order + 1)).double().view(-1, values) + 1
    log_prob = (counts / counts.sum(1, keepdim=True)).log().flatten()
    found = log_prob[cells(test)].sum(1)
    return found if order == 0 else found + markov_chain(train, test[:, :order], values, order - 1)


def sklearn_kmeans(
    train: Num[Tensor, "rows *event"], test: Num[Tensor, "batch *event"], start: Tensor, iterations: int
) -> float:
    """The mean squared distance of test rows to the centres of scikit-learn's k-means, from the same start."""
    from sklearn.cluster import KMeans

    reference = KMeans(len(start), init=start.flatten(1).double().numpy(), n_init=1, max_iter=iterations, tol=0.0)
    reference.fit(train.flatten(1).double().numpy())
    return float(-reference.score(test.flatten(1).double().numpy()) / len(test))


def sklearn_pca(train: Num[Tensor, "rows *event"], test: Num[Tensor, "batch *event"], components: int) -> float:
    """The mean squared distance of test rows to their projections on so many principal components."""
    from sklearn.decomposition import PCA

    reference = PCA(n_components=components, svd_solver="covariance_eigh").fit(train.flatten(1).double().numpy())
    rows = test.flatten(1).double().numpy()
    back = reference.inverse_transform(reference.transform(rows))
    return float(((rows - back) ** 2).sum(1).mean())


def gensim_word2vec(
    sentences: Sequence[Sequence[str]],
    *,
    dimensions: int,
    window: int,
    negatives: int,
    subsampling: float,
    rate: float,
    final: float,
    epochs: int,
    seed: int,
) -> WordVectors:
    """Skip-gram by gensim, in one process, which a seed repeats; the rate falls linearly to the share `final`."""
    from gensim.models import Word2Vec

    trained = Word2Vec(
        sentences,
        vector_size=dimensions,
        window=window,
        min_count=1,
        sg=1,
        negative=negatives,
        sample=subsampling,
        alpha=rate,
        min_alpha=rate * final,
        epochs=epochs,
        seed=seed + 1,  # 0 would be none
        workers=1,
    )
    return WordVectors(trained.wv.index_to_key, torch.from_numpy(np.array(trained.wv.vectors)))


def google_questions() -> dict[str, list[Question]]:
    """The 19,544 analogies of Mikolov et al. 2013 (arXiv:1301.3781), section 4.1, which gensim brings along."""
    with resources.as_file(resources.files("gensim") / "test" / "test_data" / "questions-words.txt") as file:
        return read_questions(file)
