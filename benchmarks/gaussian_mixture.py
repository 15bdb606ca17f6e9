"""Ten EM iterations of a full-covariance Gaussian mixture, against scikit-learn's from the same start.

    python -m benchmarks.gaussian_mixture [--repetitions 5] [--rows 50000] [--size 32] [--components 32]

Both get the same float32 rows and the same start, and both score all rows once more at the end (scikit-learn's `fit`
ends with an E step). The floor counts the products of the two steps alone, at this machine's rate for large float64
matrix products: 4 N K (D (D + 1) / 2 + D + 1) operations an iteration, half of them in the last scoring.
"""

import argparse
import time
import warnings

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as SklearnMixture
from torch import Tensor

from ancestral.interface import Event, Real
from ancestral.models.linear.gaussian_mixture import GaussianMixture
from benchmarks.timing import interleave, machine

ITERATIONS = 10


def clusters(rows: int, size: int, components: int) -> Tensor:
    """Float32 rows of a random mixture whose components overlap."""
    scales = torch.randn(components, size, size) / size**0.5
    means = 2 * torch.randn(components, size)
    k = torch.randint(components, (rows,))
    x = means[k] + 0.3 * torch.randn(rows, size)
    for component in range(components):
        mine = k == component
        x[mine] += torch.randn(int(mine.sum()), size) @ scales[component]
    return x


def double_rate(seconds: float = 0.5, side: int = 1024) -> float:
    """Operations per second of a large float64 matrix product: the best of many calls."""
    a, b = torch.randn(side, side, dtype=torch.float64), torch.randn(side, side, dtype=torch.float64)
    best, stop = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < stop:
        start = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def main() -> None:
    parser = argparse.ArgumentParser(description="EM of a Gaussian mixture against scikit-learn's.")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--components", type=int, default=32)
    arguments = parser.parse_args()
    rows, size, components = arguments.rows, arguments.size, arguments.components

    torch.manual_seed(0)
    x = clusters(rows, size, components)
    means = x[torch.randperm(rows)[:components]]
    weights, units = torch.full((components,), 1 / components), torch.eye(size).repeat(components, 1, 1)
    model = GaussianMixture(Event((size,), Real()), components=components, covariance="full")
    scores: dict[str, float] = {}

    def ours() -> None:
        for parameter, start in ((model.weights, weights), (model.means, means), (model.covariances, units)):
            parameter.copy_(start)
        for _ in range(ITERATIONS):
            model.fit_step(x)
        scores["ancestral"] = float(model.log_prob(x).mean())

    peer = SklearnMixture(
        components,
        covariance_type="full",
        max_iter=ITERATIONS,
        tol=0.0,
        weights_init=weights.numpy(),
        means_init=means.numpy(),
        precisions_init=units.numpy(),
    )
    rows_of_peer = x.numpy()

    def scikit_learn() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            peer.fit(rows_of_peer)

    seconds = interleave({"ancestral": ours, "scikit-learn": scikit_learn}, arguments.repetitions)
    scores["scikit-learn"] = float(peer.score(rows_of_peer))
    operations = 2 * rows * components * (size * (size + 1) // 2 + size + 1) * (2 * ITERATIONS + 1)
    rate = double_rate()
    floor = operations / rate

    difference = abs(scores["ancestral"] / scores["scikit-learn"] - 1)
    print(machine())
    print(f"N={rows} D={size} K={components}, full covariance, {ITERATIONS} EM iterations and one scoring")
    for name, taken in seconds.items():
        print(f"  {name:<13} {taken:8.3f} s   {scores[name]:.6f} nats per row")
    print(f"scikit-learn / ancestral: {seconds['scikit-learn'] / seconds['ancestral']:.2f} (at least 3)")
    print(f"relative difference of the likelihoods: {difference:.1e} (at most 1e-4)")
    print(
        f"floor: {operations / 1e9:.1f} billion operations at {rate / 1e9:.0f} a nanosecond, {floor:.3f} s;"
        f" measured over floor: {seconds['ancestral'] / floor:.2f}"
    )


if __name__ == "__main__":
    main()
