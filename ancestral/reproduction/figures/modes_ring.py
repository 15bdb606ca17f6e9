"""Mode dropping on a ring of eight Gaussians: which modes a generator finds, by the game that it plays.

The two GANs, WGAN and WGAN-GP have networks of one size and take as many steps of either player, one after one; each is
trained from several seeds. A mode is missed if no sample lies within three standard deviations of it (Srivastava et al.
2017, arXiv:1705.07761).

All take one learning rate that falls by a cosine to 0, with which the players come to rest. Beside them stand the GANs
at the constant rate of their own, where nothing stops them from circling.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ancestral.reproduction.figure import Drawn, Root, figure
from ancestral.reproduction.mode_dropping import modes_drawn, players


@figure(
    model="gan, wgan, wgan_gp",
    data="gaussian-ring",
    split="none",
    metric="of 8 Gaussians missed by WGAN-GP",
    unit="modes",
    source="Gulrajani et al. 2017 (arXiv:1704.00028); Srivastava et al. 2017 (arXiv:1705.07761)",
    notes="mean over seeds, in 2,500 samples each; a sample is of low quality if it lies farther than 3 standard"
    " deviations from every mode; one step of each player after the other, as many for all; KL of the shares of samples"
    " nearest to each mode from equal ones says how unevenly the modes are drawn",
)
def modes_ring(
    seed: int,
    data_root: Root,
    progress: bool,
    *,
    repetitions: int = 5,
    noise: float = 0.05,
    hidden: Sequence[int] = (128, 128),
    latent_dim: int = 2,
    training: Mapping[str, Any] = {"steps": 4000, "batch_size": 128, "schedule": "cosine"},
    wgan: Mapping[str, Any] = {"clip": 0.1, "critic_steps": 1},
    wgan_gp: Mapping[str, Any] = {"penalty": 0.1, "critic_steps": 1},
    lr: float = 1e-3,
    rows: int = 50_000,
) -> Drawn:
    """Modes of a ring of 8 Gaussians that a GAN, by either objective, a WGAN and a WGAN-GP miss."""
    named = players(hidden, latent_dim, training, lr, wgan, wgan_gp)
    return modes_drawn(
        "gaussian-ring",
        named,
        "WGAN-GP",
        seed,
        data_root,
        progress,
        repetitions=repetitions,
        noise=noise,
        rows=rows,
    )
