"""Codes: of a run that both encodes and decodes, of a prior, and on the way from one to another."""

import itertools
import math
from fractions import Fraction

import torch
from torch import Tensor

from ancestral.cli.runs import Run, open_run
from ancestral.interface import Encoder, InputError, MeanDecoder


def open_autoencoder(path: str) -> tuple[Run, Encoder, MeanDecoder]:
    """The run in `path` with its two abilities, which are one model."""
    trained = open_run(path)
    model = trained.model
    if not isinstance(model, Encoder) or not isinstance(model, MeanDecoder):
        raise InputError(
            f"{model.registered_name} has no latent space to go through: it needs to be both an Encoder and a"
            " MeanDecoder (see `ancestral models`)"
        )
    return trained, model, model


def draw_latents(model: MeanDecoder, n: int, generator: torch.Generator) -> Tensor:
    """`n` draws of the model's prior, (n, latent size)."""
    return model.sample_latents(n, generator=generator)


def walks(first: Tensor, second: Tensor, steps: int) -> Tensor:
    """Codes on straight lines from the codes `first` to `second`, (n * steps, latent size), walk after walk."""
    weight = torch.linspace(0, 1, steps)[:, None]
    return torch.cat([torch.lerp(a[None], b[None], weight) for a, b in zip(first, second, strict=True)])


def resampled(model: MeanDecoder, z: Tensor, generator: torch.Generator) -> tuple[list[Fraction], Tensor]:
    """What of an observation each latent holds (after Dinh et al. 2017, appendix on latent semantics).

    The shares of z that are kept, from all but the last latent to the first alone, and for each code the observation
    itself and those with the others drawn from the prior, (batch * (1 + shares), *event.shape).
    """
    fresh = draw_latents(model, len(z), generator)
    ends = list(itertools.accumulate(math.prod(shape) for shape in model.latent_shapes.values()))[-2::-1]
    codes = [z, *(torch.cat([z[:, :end], fresh[:, end:]], dim=1) for end in ends)]
    x = decoded(model, torch.stack(codes, dim=1).flatten(0, 1), None)
    return [Fraction(end, model.latent_size) for end in ends], x


@torch.no_grad()
def decoded(model: MeanDecoder, z: Tensor, context: Tensor | None) -> Tensor:
    """The expected observations of codes, in data units."""
    return model.decode_mean(z, context=context).cpu().float()
