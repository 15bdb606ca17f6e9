"""Codes, and the observations that they decode to: walks between them, and what of an observation each latent holds."""

from fractions import Fraction

import torch
from jaxtyping import Float, Num
from torch import Tensor

from ancestral.interface import Decoder, MeanDecoder

#: Codes that are decoded at once: bounds the memory.
_ROWS = 512


@torch.no_grad()
def decoded(
    model: Decoder,
    z: Float[Tensor, "batch n"],
    context: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Num[Tensor, "batch *event"]:
    """What codes look like, in data units: the expected observations of a `MeanDecoder`, of another decoder draws.

    `context` is (batch, *context_event.shape).
    """
    parts = []
    for start in range(0, len(z), _ROWS):
        rows = slice(start, start + _ROWS)
        given = None if context is None else context[rows]
        if isinstance(model, MeanDecoder):
            parts.append(model.decode_mean(z[rows], context=given).cpu())
        else:
            parts.append(model.decode(z[rows], context=given, generator=generator).cpu())
    return torch.cat(parts)


def walks(first: Float[Tensor, "n latent"], second: Float[Tensor, "n latent"], steps: int) -> Float[Tensor, "_ latent"]:
    """Codes on straight lines from the codes `first` to `second`, (n * steps, latent), walk after walk."""
    weight = torch.linspace(0, 1, steps, dtype=first.dtype, device=first.device)[:, None]
    return torch.cat([torch.lerp(a[None], b[None], weight) for a, b in zip(first, second, strict=True)])


@torch.no_grad()
def resampled(
    model: Decoder,
    z: Float[Tensor, "batch latent"],
    context: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[list[Fraction], Num[Tensor, "_ *event"]]:
    """What of an observation each latent holds (after Dinh et al. 2017, appendix on latent semantics).

    The shares of z that are kept, from all but the last latent to the first alone, and for each code the observation
    itself and those with the later latents drawn anew given the ones that are kept,
    (batch * (1 + shares), *event.shape).
    """
    latents = list(model.split_latents(z).items())
    codes, shares = [z], []
    for kept in range(len(latents) - 1, 0, -1):
        given = dict(latents[:kept])
        codes.append(model.sample_latents(len(z), given=given, context=context, generator=generator))
        shares.append(Fraction(sum(latent[0].numel() for latent in given.values()), model.latent_size))
    if context is not None:
        context = context.repeat_interleave(len(codes), 0)
    return shares, decoded(model, torch.stack(codes, dim=1).flatten(0, 1), context, generator)
