"""Which modes of a known mixture of Gaussians samples hit, and how many lie at none."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ancestral.evaluation.two_samples import squared_distances
from ancestral.interface import InputError


@dataclass(frozen=True)
class ModeCoverage:
    """How many of the `modes` have a sample of high quality nearest to them, and the share of the `n` samples that are
    of none."""

    hit: int
    modes: int
    low_quality: float
    n: int

    @property
    def missed(self) -> int:
        """The modes without a sample of high quality."""
        return self.modes - self.hit

    def __str__(self) -> str:
        return f"{self.hit} of {self.modes} modes, {self.low_quality:.1%} of {self.n:,} samples at none"


def mode_coverage(
    x: Float[Tensor, "n _"],
    centres: Float[Tensor, "modes _"],
    deviation: float,
    *,
    deviations: float = 3.0,
) -> ModeCoverage:
    """Count modes as Srivastava et al. 2017 (VEEGAN, arXiv:1705.07761) do.

    A sample is of high quality within three standard deviations of the nearest mode, in whatever direction; a mode is
    hit where it is the nearest one of such a sample. Of samples of the mixture itself the share of low quality in the
    plane is exp(-9 / 2), 1.1 %. Samples that are not finite are at no mode.

    Args:
        x: samples.
        centres: the means of the mixture.
        deviation: of each of its Gaussians, in every direction.
        deviations: how many of them a mode reaches.
    """
    if len(x) == 0 or len(centres) == 0 or x.shape[1] != centres.shape[1]:
        raise InputError(
            f"modes are counted from points of their own space, got {tuple(x.shape)} and {tuple(centres.shape)}"
        )
    if not deviation > 0 or not deviations > 0:
        raise InputError(f"deviation and deviations must be above 0, got {deviation} and {deviations}")
    whole = x.double()[x.isfinite().all(1)]
    squares, nearest = squared_distances(whole, centres.double()).min(1)
    good = squares <= (deviations * deviation) ** 2
    return ModeCoverage(
        hit=len(nearest[good].unique()),
        modes=len(centres),
        low_quality=1 - int(good.sum()) / len(x),
        n=len(x),
    )
