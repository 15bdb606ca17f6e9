"""What each layer of a hierarchical PixelVAE holds: images that share latents, and images that share none.

A sample is made from the top: the vector z_2, the map z_1 given it, the pixels given that. With both latents kept and
the pixels drawn anew, an image should change in its details alone; with the vector kept and the map drawn anew, in
more; with everything drawn anew it is another image (Gulrajani et al. 2017, arXiv:1611.05013).

The number is the mean squared difference of two images that share both latents, over that of two independent samples:
0 where the latents say everything, 100 % where they say nothing. On images of 8x8 the pixels can do without latents:
a KL that costs nothing below `free_nats` lets them be of use.
"""

from collections.abc import Mapping
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ancestral.data import load_data
from ancestral.evaluation import decoded
from ancestral.interface import Decoder, InputError
from ancestral.plots import samples_figure
from ancestral.reproduction.figure import Drawn, Root, figure, fitted, seeded_build
from ancestral.reproduction.measurement import Measurement
from ancestral.training import Cosine

_PIXELS, _MAP, _ALL = "the pixels alone drawn anew", "the map and the pixels", "everything"


@figure(
    model="hierarchical_pixelvae",
    data="digits",
    split="none",
    metric="squared difference of images that share all latents, over that of independent samples",
    unit="%",
    source="Gulrajani et al. 2017 (arXiv:1611.05013)",
    notes="means over pairs of samples; beside it the same of images that share the vector alone",
)
def resampled_latents(
    seed: int,
    data_root: Root,
    progress: bool,
    *,
    model: Mapping[str, Any] = {
        "map_latents": 2,
        "blocks": 0,
        "channels": 24,
        "prior_channels": 24,
        "stage_channels": 24,
        "free_nats": 40.0,
    },
    training: Mapping[str, Any] = {"epochs": 60, "batch_size": 64, "lr": 2e-3, "clip_gradient": 500.0},
    pairs: int = 500,
    columns: int = 8,
) -> Drawn:
    """Images with the pixels, the map of latents, or everything drawn anew by a hierarchical PixelVAE."""
    if pairs < columns or columns < 1:
        raise InputError(f"columns must be at least 1 and pairs as many, got {columns} and {pairs}")
    data = load_data("digits", data_root=data_root)
    made = seeded_build("hierarchical_pixelvae", data, seed, model)
    fitted(made, data, **{"seed": seed, "progress": progress, "schedule": Cosine(), **training})
    assert isinstance(made, Decoder)
    generator = torch.Generator().manual_seed(seed)
    z = made.sample_latents(pairs, generator=generator)
    names = list(made.latent_shapes)
    given = {_PIXELS: names, _MAP: names[:1], _ALL: []}
    rows = {"a sample": decoded(made, z, generator=generator)}
    for name, kept in given.items():
        latents = {key: value for key, value in made.split_latents(z).items() if key in kept}
        again = made.sample_latents(pairs, given=latents, generator=generator)
        rows[name] = decoded(made, again, generator=generator)
    differences = {name: float((rows[name] - rows["a sample"]).double().square().mean()) for name in given}
    shares = {name: 100 * differences[name] / differences[_ALL] for name in (_PIXELS, _MAP)}
    measurement = Measurement(shares[_PIXELS], None, "estimate", None, {"sharing the vector alone": shares[_MAP]})
    return Drawn(_picture({name: row[:columns] for name, row in rows.items()}, made), measurement)


def _picture(rows: Mapping[str, Tensor], model: Decoder) -> Figure:
    columns = len(next(iter(rows.values())))
    return samples_figure(torch.cat(list(rows.values())), model.event, columns=columns, row_names=list(rows))
