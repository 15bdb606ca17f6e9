"""Figures to hold a model against: scikit-learn's, on the same data from the same start, and counts of sequences.

Each takes the data and returns natural log-likelihoods of the test split, (n,), in data space; that of k-means returns
a mean squared distance.
"""

import warnings
from collections.abc import Mapping

import torch
from jaxtyping import Float, Num
from torch import Tensor


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
